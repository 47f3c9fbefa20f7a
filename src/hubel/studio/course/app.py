"""Addresses of the course: pages, script and style sheet, and live computations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from hubel.core.errors import UnknownNameError
from hubel.studio.body import BodyBudget, read_body
from hubel.studio.course.bundle import read_bundle
from hubel.studio.course.events import Computer, EventStream
from hubel.studio.guard import Guard
from hubel.studio.metrics import ServerMetrics
from hubel.studio.responses import JsonResponse, RequestError
from hubel.studio.settings import ServerSettings
from hubel.teach.course.catalogue import check_lesson, find_lesson
from hubel.teach.course.lesson import LANGUAGES
from hubel.teach.course.page import lesson_numbers, served_page

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["Course"]

_PATHS = ("/", "/learn/", "/app.js", "/app.css", "/favicon.ico")


class Course:
    """Endpoints of the course.

    Args:
        settings: address and limits.
        lang: language of the pages; that of the browser if None.
    """

    def __init__(self, settings: ServerSettings, lang: str | None) -> None:
        self._settings, self._lang = settings, lang
        self._bodies = BodyBudget(settings.max_bodies)
        self._computer = Computer()
        self.stopping = False

    def application(self) -> ASGIApp:
        """Return the ASGI application: the endpoints behind the guard."""
        bundle = read_bundle()
        routes = [
            Route("/", self.start),
            Route("/favicon.ico", self.icon),
            Route("/app.js", _static(bundle.script, "text/javascript; charset=utf-8")),
            Route("/app.css", _static(bundle.style, "text/css; charset=utf-8")),
            Route("/learn/", self.page),
            Route("/learn/{lesson}", self.page),
            Route("/v1/lessons/{lesson}/numbers", self.numbers),
            Route("/v1/lessons/{lesson}/{action}", self.live, methods=["POST"]),
        ]
        handlers: dict[Any, Any] = {RequestError: _request_error, HTTPException: _http_exception}
        app = Starlette(routes=routes, exception_handlers=handlers)
        app.router.redirect_slashes = False
        return Guard(app, self._settings, ServerMetrics(), paths=_PATHS, free=_PATHS, probes=(), camera=True)

    async def start(self, request: Request) -> Response:
        """Go to the list of lessons."""
        return RedirectResponse("/learn/")

    async def icon(self, request: Request) -> Response:
        """Answer a browser that asks for an icon: there is none."""
        return Response(status_code=204)

    async def page(self, request: Request) -> Response:
        """Return the page of a lesson, or the list of lessons."""
        asked = request.query_params.get("lang")
        lang = asked if asked in LANGUAGES else self._lang
        name = request.path_params.get("lesson")
        if name is not None:
            _check(name)
        return HTMLResponse(served_page(name, lang))

    async def numbers(self, request: Request) -> Response:
        """Return what the page of a lesson shows; computed once, in the thread that computes."""
        name = _check(request.path_params["lesson"])
        return JsonResponse(await self._computer.run(partial(lesson_numbers, name)))

    async def live(self, request: Request) -> Response:
        """Compute for a lesson, and send what is found as it is found."""
        name, action = _check(request.path_params["lesson"]), request.path_params["action"]
        lesson = await asyncio.to_thread(find_lesson, name)  # which may import torch
        if action not in lesson.live:
            raise RequestError(404, "no_such_action", str(UnknownNameError("action", action[:100], lesson.live)))
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RequestError(415, "wrong_type", "the body must be application/json")
        with self._bodies.lease() as lease:
            asked = _json_object(await read_body(request, self._settings, lease))
        await self._computer.claim()
        return EventStream(self._computer, lesson.live[action](asked))


def _check(name: str) -> str:
    try:
        check_lesson(name)
    except UnknownNameError as error:
        raise RequestError(404, "no_such_lesson", str(error)) from None
    return name


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RequestError(400, "bad_request", "the body must be a JSON object")
    return value


def _static(content: str, kind: str) -> Any:
    async def endpoint(request: Request) -> Response:
        return Response(content, headers={"content-type": kind})

    return endpoint


async def _request_error(request: Request, error: RequestError) -> Response:
    return error.response()


async def _http_exception(request: Request, error: HTTPException) -> Response:
    """Answer the router's errors: unknown paths and methods."""
    code = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "bad_request")
    return RequestError(error.status_code, code, error.detail.lower(), dict(error.headers or {})).response()
