"""The API: from requests to models and back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hubel.core.errors import DecodeError, OptionError, UnknownNameError
from hubel.inference.classifier import Classifier
from hubel.studio.body import Budget, Lease, read_body
from hubel.studio.guard import Guard
from hubel.studio.metrics import Metrics, gauge
from hubel.studio.models import Served
from hubel.studio.multipart import Part, boundary_of, parts
from hubel.studio.openapi import MOST_CLASSES, document
from hubel.studio.refusal import Json, RequestError, busy
from hubel.studio.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["Api"]

Result = TypeVar("Result")
_PAGE = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_FREE = ("/healthz", *_PAGE)  # the page asks for the token


class Api:
    """The endpoints.

    Args:
        served: models by name, the default one first.
        settings: limits.
        metrics: what is counted.

    Attributes:
        stopping: whether `/readyz` says that no more requests should come.
    """

    def __init__(self, served: Mapping[str, Served], settings: Settings, metrics: Metrics) -> None:
        self._served = dict(served)
        self._settings = settings
        self._metrics = metrics
        self._bodies = Budget(settings.max_bodies)
        self._document = document(settings)
        self.stopping = False

    def application(self) -> ASGIApp:
        """Everything, behind its guard."""
        endpoints = {
            "/v1/models": self.models,
            "/healthz": self.health,
            "/readyz": self.ready,
            "/metrics": self.metrics,
            "/openapi.json": self.openapi,
        }
        posts = {"/v1/predict": self.predict, "/v1/explain": self.explain}
        routes = [Route(path, endpoint) for path, endpoint in endpoints.items()]
        routes += [Route(path, endpoint, methods=["POST"]) for path, endpoint in posts.items()]
        routes += [Route(path, _static(*file)) for path, file in _PAGE.items()]
        handlers: dict[Any, Any] = {RequestError: _refused, HTTPException: _not_so, Exception: _failed}
        app = Starlette(routes=routes, exception_handlers=handlers)
        app.router.redirect_slashes = False
        paths = {*endpoints, *posts, *_PAGE}
        return Guard(app, self._settings, self._metrics, paths=paths, free=_FREE)

    async def predict(self, request: Request) -> Response:
        """The best classes of one image, which is the body, or of many, which are the parts of a form."""
        model, top = self._model(request), _top(request)
        with self._bodies.lease() as lease:
            images, alone = await self._images(request, lease)
            futures = model.batcher.submit([image.data for image in images])
            names = [image.name for image in images]
            del images
            rows = await self._answers(request, futures)
        if alone and isinstance(rows[0], DecodeError):
            raise _unreadable(rows[0])
        answers = [_answer(name, row, model.classifier, top) for name, row in zip(names, rows, strict=True)]
        return Json({"model": model.name, "images": answers})

    async def explain(self, request: Request) -> Response:
        """Where on an image a class comes from, as a picture."""
        model = self._model(request)
        if model.explainer is None:
            raise RequestError(
                404, "no_maps", "this model is an export; only the model file that it came from has maps"
            )
        if not _is_image(request):
            raise _wrong_type("an image, as image/* or application/octet-stream")
        with self._bodies.lease() as lease:
            data = await read_body(request, self._settings, lease)
            future = model.explainer.submit(data, request.query_params.get("class"))
            del data
            (png,) = await self._answers(request, [future])
        if isinstance(png, DecodeError):
            raise _unreadable(png)
        if isinstance(png, UnknownNameError):
            raise RequestError(404, "no_such_class", str(png))
        if isinstance(png, OptionError):
            raise RequestError(422, "no_such_map", str(png))
        if isinstance(png, Exception):
            raise png
        return Response(png, media_type="image/png")

    async def models(self, request: Request) -> Response:
        """What there is."""
        return Json({"models": [_described(model) for model in self._served.values()]})

    async def health(self, request: Request) -> Response:
        """Whether the server is alive."""
        return Json({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Whether requests should come."""
        if self.stopping:
            raise busy("the server is stopping")
        return Json({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """Counters."""
        waiting = [({"model": name}, float(model.batcher.under_way)) for name, model in self._served.items()]
        lines = [
            *self._metrics.lines(),
            *gauge("hubel_images_under_way", "Images that are decoded, wait or are computed.", waiting),
            *gauge("hubel_body_bytes", "Bytes of bodies in memory.", [({}, float(self._bodies.used))]),
        ]
        return Response("\n".join([*lines, ""]), media_type="text/plain; version=0.0.4")

    async def openapi(self, request: Request) -> Response:
        """The description of all this."""
        return Json(self._document)

    def _model(self, request: Request) -> Served:
        name = request.query_params.get("model", next(iter(self._served)))
        if name not in self._served:
            raise RequestError(404, "no_such_model", str(UnknownNameError("model", name[:100], self._served)))
        return self._served[name]

    async def _images(self, request: Request, lease: Lease) -> tuple[list[Part], bool]:
        """The images of a request, and whether it is one that is the body."""
        if _is_image(request):
            return [Part(None, await read_body(request, self._settings, lease))], True
        kind = request.headers.get("content-type", "")
        if _media_type(kind) != "multipart/form-data":
            raise _wrong_type("an image, as image/* or application/octet-stream, or multipart/form-data")
        boundary = boundary_of(kind)
        found = list(parts(await read_body(request, self._settings, lease), boundary, self._settings.max_parts))
        if not found:
            raise RequestError(400, "no_images", "the form has no parts")
        return found, False

    async def _answers(self, request: Request, futures: Sequence[Future[Result]]) -> list[Result | Exception]:
        """What comes of futures until the deadline, and while the client is there to hear it."""
        answers: asyncio.Future[Any] = asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
        answers.add_done_callback(_heard)
        gone: asyncio.Future[Any] = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait([answers, gone], timeout=self._settings.deadline, return_when=asyncio.FIRST_COMPLETED)
            if answers.done():
                return list(answers.result())
            if gone.done():
                raise RequestError(499, "client_gone", "the client has gone")
            raise busy("the deadline has passed")
        finally:
            answers.cancel()
            gone.cancel()


def _heard(answers: asyncio.Future[Any]) -> None:
    """Keeps asyncio from complaining of the error that cancelled answers end with."""
    if not answers.cancelled():
        answers.exception()


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
        raise RequestError(422, "bad_parameter", f"top is a whole number from 1 to {MOST_CLASSES}")
    return int(text)


def _answer(name: str | None, row: NDArray[np.float64] | Exception, model: Classifier, top: int) -> dict[str, Any]:
    if isinstance(row, DecodeError):
        return {"name": name, "error": {"code": "unreadable", "message": row.reason}}
    if isinstance(row, Exception):
        raise row
    return {"name": name, "top": [{"class": label, "score": score} for label, score in model.best(row, top)]}


def _described(model: Served) -> dict[str, Any]:
    card, preprocess = model.classifier.card, model.classifier.card.preprocess
    return {
        "name": model.name,
        "network": card.model,
        "input": {"width": preprocess.width, "height": preprocess.height, "channels": preprocess.channels},
        "scores": card.scores,
        "explains": model.explainer is not None,
        "classes": list(card.classes),
    }


def _unreadable(error: DecodeError) -> RequestError:
    return RequestError(422, "unreadable", error.reason)


def _wrong_type(wanted: str) -> RequestError:
    return RequestError(415, "wrong_type", f"the body is {wanted}")


async def _refused(request: Request, error: RequestError) -> Response:
    return error.response()


async def _not_so(request: Request, error: HTTPException) -> Response:
    """What the router says of paths and methods."""
    code = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "bad_request")
    return RequestError(error.status_code, code, error.detail.lower(), dict(error.headers or {})).response()


async def _failed(request: Request, error: Exception) -> Response:
    """The error itself goes to the log of the server only."""
    return RequestError(500, "failed", "something went wrong here").response()
