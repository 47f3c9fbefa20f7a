"""Read request bodies within limits on their size, their total size and their time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request

from hubel.studio.responses import RequestError, busy
from hubel.studio.settings import ServerSettings

__all__ = ["BodyBudget", "BodyLease", "read_body"]


class BodyBudget:
    """Memory budget in bytes that all requests share; for one event loop, not thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0

    @contextmanager
    def lease(self) -> Iterator[BodyLease]:
        """Yield a lease on the budget, and return its bytes at the end."""
        lease = BodyLease(self)
        try:
            yield lease
        finally:
            self.used -= lease.size

    def take(self, size: int) -> None:
        """Reserve `size` bytes.

        Raises:
            RequestError: the budget has fewer bytes left.
        """
        if self.used + size > self._limit:
            raise busy("too many large requests at the same time")
        self.used += size


class BodyLease:
    """Bytes of the budget that one request holds."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.size = 0

    def grow(self, size: int) -> None:
        """Reserve `size` more bytes; see `BodyBudget.take`."""
        self._budget.take(size)
        self.size += size


async def read_body(request: Request, settings: ServerSettings, lease: BodyLease) -> bytes:
    """Read the whole body of a request.

    Raises:
        RequestError: it is too large, compressed or too slow, the budget is used up, or the client has disconnected.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        message = "send the body uncompressed: images are compressed already"
        raise RequestError(415, "compressed_body", message, {"Accept-Encoding": "identity"})
    too_large = RequestError(413, "body_too_large", f"a body may have at most {settings.max_body:,} bytes")
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated[:20]) > settings.max_body:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(settings.body_timeout):
            async for chunk in request.stream():
                if len(body) + len(chunk) > settings.max_body:
                    raise too_large
                lease.grow(len(chunk))
                body += chunk
        return bytes(body)
    except TimeoutError:
        message = f"a body must arrive within {settings.body_timeout:g} seconds"
        raise RequestError(408, "body_too_slow", message) from None
    except ClientDisconnect:
        raise RequestError(499, "client_gone", "the client has disconnected") from None
    finally:
        body.clear()  # an error's traceback would hold it until the answer is sent
