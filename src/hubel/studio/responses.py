"""JSON responses, and errors that become one; they reveal nothing of the server's internals."""

from __future__ import annotations

import json
import math
from typing import Any

from starlette.responses import Response

from hubel.core.errors import HubelError

__all__ = ["JsonResponse", "RequestError", "busy"]


class JsonResponse(Response):
    """JSON in ASCII, so that names of classes or files with lone surrogates cannot make encoding fail."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the bytes of the body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class RequestError(HubelError):
    """A request that cannot be fulfilled.

    Args:
        status: HTTP status.
        code: machine-readable reason.
        message: human-readable reason.
        headers: additional headers of the response.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}

    def response(self) -> JsonResponse:
        """Return the response to the client."""
        return JsonResponse({"error": {"code": self.code, "message": str(self)}}, self.status, self.headers)


def busy(message: str, seconds: float = 1.0) -> RequestError:
    """Return a 503 error that asks the client to retry after `seconds`."""
    return RequestError(503, "busy", message, {"Retry-After": str(max(1, math.ceil(seconds)))})
