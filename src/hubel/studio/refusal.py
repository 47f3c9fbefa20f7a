"""Answers that are no answers: what was wrong, in JSON, and nothing of the inside."""

from __future__ import annotations

import json
import math
from typing import Any

from starlette.responses import Response

from hubel.core.errors import HubelError

__all__ = ["Json", "RequestError", "busy"]


class Json(Response):
    """JSON in ASCII: a class's or file's name with half a character in it cannot make it fail."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of the body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class RequestError(HubelError):
    """A request that is not answered as it was meant.

    Args:
        status: of HTTP.
        code: for programs.
        message: for people.
        headers: beside the usual ones.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}

    def response(self) -> Json:
        """What the client gets."""
        return Json({"error": {"code": self.code, "message": str(self)}}, self.status, self.headers)


def busy(message: str, seconds: float = 1.0) -> RequestError:
    """503: come back in so many seconds."""
    return RequestError(503, "busy", message, {"Retry-After": str(max(1, math.ceil(seconds)))})
