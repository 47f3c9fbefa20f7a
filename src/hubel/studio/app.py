"""Endpoints of the HTTP API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hubel.core.errors import DecodeError, OptionError, UnknownNameError
from hubel.core.language import preferred
from hubel.inference.classifier import Classifier
from hubel.inference.dense import DenseModel
from hubel.studio.annotated import annotated
from hubel.studio.batching import ScoredImage
from hubel.studio.body import BodyBudget, BodyLease, read_body
from hubel.studio.classify_page import classify_page
from hubel.studio.guard import Guard
from hubel.studio.metrics import ServerMetrics, gauge
from hubel.studio.multipart import FormPart, parse_boundary, parse_parts
from hubel.studio.openapi import MOST_CLASSES, openapi_document
from hubel.studio.responses import JsonResponse, RequestError, busy
from hubel.studio.served_models import ServedModel
from hubel.studio.settings import ServerSettings
from hubel.studio.watch import watch_lines

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from hubel.retrieval.search import PhotoSearch

__all__ = ["Api"]

Result = TypeVar("Result")
_PAGE = {
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_PROBES = ("/healthz", "/readyz", "/metrics")  # asked by address, by programs that know no name of this server
_FREE = ("/healthz", "/readyz", "/", *_PAGE)  # no token needed: the page asks for it


class Api:
    """Endpoints of the HTTP API.

    Args:
        served: models by name, the default one first.
        settings: limits.
        metrics: counters.
        photos: an indexed folder for the search box; None for none.

    Attributes:
        stopping: the server is stopping, so `/readyz` answers 503.
    """

    def __init__(
        self,
        served: Mapping[str, ServedModel],
        settings: ServerSettings,
        metrics: ServerMetrics,
        photos: PhotoSearch | None = None,
    ) -> None:
        self._served = dict(served)
        self._settings = settings
        self._metrics = metrics
        self._bodies = BodyBudget(settings.max_bodies)
        self._document = openapi_document(settings, searches=photos is not None)
        self._photos = photos
        self.stopping = False

    def application(self) -> ASGIApp:
        """Return the ASGI application: the endpoints behind the guard."""
        endpoints = {
            "/": self.page,
            "/v1/models": self.models,
            "/healthz": self.health,
            "/readyz": self.ready,
            "/metrics": self.metrics,
            "/openapi.json": self.openapi,
        }
        if self._photos is not None:
            from hubel.studio.search_page import SearchEndpoints

            search = SearchEndpoints(self._photos, self._settings)
            style = _static("search.css", "text/css; charset=utf-8")
            endpoints |= {"/search": search.page, "/search.css": style, "/v1/search": search.api}
        posts = {"/v1/predict": self.predict, "/v1/explain": self.explain}
        routes = [Route(path, endpoint) for path, endpoint in endpoints.items()]
        routes += [Route(path, endpoint, methods=["POST"]) for path, endpoint in posts.items()]
        routes += [Route(path, _static(*file)) for path, file in _PAGE.items()]
        handlers: dict[Any, Any] = {
            RequestError: _request_error,
            HTTPException: _http_exception,
            Exception: _internal_error,
        }
        app = Starlette(routes=routes, exception_handlers=handlers)
        app.router.redirect_slashes = False
        paths = {*endpoints, *posts, *_PAGE}
        forms = self._photos is not None
        return Guard(app, self._settings, self._metrics, paths=paths, free=_FREE, probes=_PROBES, forms=forms)

    async def predict(self, request: Request) -> Response:
        """Classify one image, sent as the body, or several, sent as parts of a form."""
        model, top = self._model(request), _top(request)
        coverage, sure = _coverage(request, model.model), _sure(request, model.model)
        with self._bodies.lease() as lease:
            images, single = await self._images(request, lease)
            futures = model.batcher.submit([image.data for image in images])
            names = [image.name for image in images]
            del images
            rows = await self._results(request, futures)
        if single and isinstance(rows[0], DecodeError):
            raise _unreadable(rows[0])
        predictions = [
            _prediction(name, row, model.model, top, coverage, sure) for name, row in zip(names, rows, strict=True)
        ]
        return JsonResponse({"model": model.name, "images": predictions})

    async def explain(self, request: Request) -> Response:
        """Return an image's attribution map of a class, as a PNG overlay."""
        model = self._model(request)
        if model.explainer is None:
            raise RequestError(404, "no_maps", "this model has no maps of evidence: serve a classifier's model file")
        if not _is_image(request):
            raise _wrong_type("an image (image/* or application/octet-stream)")
        with self._bodies.lease() as lease:
            data = await read_body(request, self._settings, lease)
            future = model.explainer.submit(data, request.query_params.get("class"))
            del data
            (png,) = await self._results(request, [future])
        if isinstance(png, DecodeError):
            raise _unreadable(png)
        if isinstance(png, UnknownNameError):
            raise RequestError(404, "no_such_class", str(png))
        if isinstance(png, OptionError):
            raise RequestError(422, "no_such_map", str(png))
        if isinstance(png, Exception):
            raise png
        return Response(png, media_type="image/png")

    async def page(self, request: Request) -> Response:
        """Return the page for a photo, in the language of the server or that which the browser prefers."""
        language = self._settings.lang or preferred(request.headers.get("accept-language", ""))
        content = classify_page(language, self._settings.root_path)
        return Response(content, headers={"content-type": "text/html; charset=utf-8", "vary": "Accept-Language"})

    async def models(self, request: Request) -> Response:
        """List the models."""
        return JsonResponse({"models": [_described(model) for model in self._served.values()]})

    async def health(self, request: Request) -> Response:
        """Answer that the server is alive."""
        return JsonResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Answer whether the server takes requests; 503 while it stops."""
        if self.stopping:
            raise busy("the server is stopping")
        return JsonResponse({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """Return the counters in the text format of Prometheus."""
        waiting = [({"model": name}, float(model.batcher.in_progress)) for name, model in self._served.items()]
        lines = [
            *self._metrics.lines(),
            *gauge("hubel_images_under_way", "Images being decoded, waiting or being classified.", waiting),
            *gauge("hubel_body_bytes", "Bytes of request bodies in memory.", [({}, float(self._bodies.used))]),
            *watch_lines([model.watch for model in self._served.values() if model.watch]),
        ]
        return Response("\n".join([*lines, ""]), media_type="text/plain; version=0.0.4")

    async def openapi(self, request: Request) -> Response:
        """Return the OpenAPI document."""
        return JsonResponse(self._document)

    def _model(self, request: Request) -> ServedModel:
        name = request.query_params.get("model", next(iter(self._served)))
        if name not in self._served:
            raise RequestError(404, "no_such_model", str(UnknownNameError("model", name[:100], self._served)))
        return self._served[name]

    async def _images(self, request: Request, lease: BodyLease) -> tuple[list[FormPart], bool]:
        """Return the images of a request, and whether the body is a single image."""
        if _is_image(request):
            return [FormPart(None, await read_body(request, self._settings, lease))], True
        kind = request.headers.get("content-type", "")
        if _media_type(kind) != "multipart/form-data":
            raise _wrong_type("an image (image/* or application/octet-stream) or multipart/form-data")
        boundary = parse_boundary(kind)
        body = await read_body(request, self._settings, lease)
        form_parts = list(parse_parts(body, boundary, self._settings.max_parts))
        del body
        if not form_parts:
            raise RequestError(400, "no_images", "the form has no parts")
        return form_parts, False

    async def _results(self, request: Request, futures: Sequence[Future[Result]]) -> list[Result | Exception]:
        """Wait for the results or errors of futures, until the deadline or until the client disconnects."""
        results: asyncio.Future[Any] = asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
        results.add_done_callback(_retrieve_exception)
        disconnect: asyncio.Future[Any] = asyncio.ensure_future(request.receive())
        try:
            timeout = self._settings.deadline
            await asyncio.wait([results, disconnect], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if results.done():
                return list(results.result())
            if disconnect.done():
                raise RequestError(499, "client_gone", "the client has disconnected")
            raise busy("the deadline has passed")
        finally:
            results.cancel()
            disconnect.cancel()


def _retrieve_exception(results: asyncio.Future[Any]) -> None:
    """Retrieve the exception of abandoned results, so that asyncio does not log it."""
    if not results.cancelled():
        results.exception()


def _static(name: str, kind: str) -> Any:
    content = files("hubel.studio").joinpath(name).read_bytes()

    async def endpoint(request: Request) -> Response:
        return Response(content, headers={"content-type": kind})

    return endpoint


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def _is_image(request: Request) -> bool:
    kind = _media_type(request.headers.get("content-type", ""))
    return kind.startswith("image/") or kind == "application/octet-stream"


def _top(request: Request) -> int:
    text = request.query_params.get("top", "5")
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MOST_CLASSES):
        raise RequestError(422, "bad_parameter", f"top must be a whole number from 1 to {MOST_CLASSES}")
    return int(text)


def _coverage(request: Request, model: Classifier | DenseModel) -> float | None:
    """Return the coverage of the prediction sets that a request asks for, if any."""
    return _share(request, "coverage", lambda share: model.card.coverage_table().at(share))


def _sure(request: Request, model: Classifier | DenseModel) -> float | None:
    """Return how sure the model is to be of the ancestors that a request asks for, if any."""
    return _share(request, "sure", lambda share: model.card.class_tree().check(share))


def _share(request: Request, name: str, check: Callable[[float], object]) -> float | None:
    """Return a parameter from 0.5 to 0.999 that `check` does not refuse; None where there is none."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (len(text) < 9 and text.isascii() and text.replace(".", "", 1).isdecimal()):
        raise RequestError(422, "bad_parameter", f"{name} must be a number from 0.5 to 0.999")
    try:
        check(float(text))
    except OptionError as error:
        raise RequestError(422, "bad_parameter", str(error)) from None
    return float(text)


def _prediction(
    name: str | None,
    row: ScoredImage | Exception,
    model: Classifier | DenseModel,
    top: int,
    coverage: float | None,
    sure: float | None,
) -> dict[str, Any]:
    if isinstance(row, DecodeError):
        return {"name": name, "error": {"code": "unreadable", "message": row.reason}}
    if isinstance(row, Exception):
        raise row
    damage = {"damaged": row.damage} if row.damage else {}
    if isinstance(model, DenseModel):
        return {"name": name, **annotated(row, model), **damage}
    sets = {"set": model.label_set(row.row, coverage)} if coverage else {}
    found = {"top": model.best(row.row, top), **sets}
    entries = {key: [{"class": label, "score": score} for label, score in pairs] for key, pairs in found.items()}
    cost = model.expected_cost(row.row)
    ancestor = (
        {} if sure is None else dict(zip(("ancestor", "ancestor_score"), model.ancestor(row.row, sure), strict=True))
    )
    novelty, unknown = model.novelty(row.row)
    return {
        "name": name,
        **entries,
        **({} if cost is None else {"expected_cost": cost}),
        **ancestor,
        **({} if novelty is None else {"novelty": novelty, "unknown": unknown}),
        **damage,
    }


def _described(model: ServedModel) -> dict[str, Any]:
    card, preprocess = model.model.card, model.model.card.preprocess
    limbs = card.skeleton.limbs if card.skeleton else ()
    ranked = card.task == "classify" and card.classes  # one class an image, which has a hierarchy
    groups = {"groups": list(card.class_tree().groups)} if ranked else {}
    return {
        "name": model.name,
        "network": card.model,
        "input": {"width": preprocess.width, "height": preprocess.height, "channels": preprocess.channels},
        "output": card.output,
        "scores": card.scores,
        "explains": model.explainer is not None,
        "classes": list(card.objects),
        **groups,
        **({"points": list(card.classes), "limbs": [list(limb) for limb in limbs]} if card.dense == "points" else {}),
    }


def _unreadable(error: DecodeError) -> RequestError:
    return RequestError(422, "unreadable", error.reason)


def _wrong_type(wanted: str) -> RequestError:
    return RequestError(415, "wrong_type", f"the body must be {wanted}")


async def _request_error(request: Request, error: RequestError) -> Response:
    return error.response()


async def _http_exception(request: Request, error: HTTPException) -> Response:
    """Answer the router's errors: unknown paths and methods."""
    code = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "bad_request")
    return RequestError(error.status_code, code, error.detail.lower(), dict(error.headers or {})).response()


async def _internal_error(request: Request, error: Exception) -> Response:
    """Answer 500; the error itself goes only to the server's log."""
    return RequestError(500, "failed", "internal server error").response()
