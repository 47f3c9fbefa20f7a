"""A request's body: counted as it comes, one by one and all together, and never waited for without end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request

from hubel.studio.refusal import RequestError, busy
from hubel.studio.settings import Settings

__all__ = ["Budget", "Lease", "read_body"]


class Budget:
    """Bytes that all requests together may hold. For one event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """A part of the budget that is given back at the end."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            self.used -= lease.size

    def take(self, size: int) -> None:
        """Use so many more.

        Raises:
            RequestError: there are not as many.
        """
        if self.used + size > self._limit:
            raise busy("too many large requests at the same time")
        self.used += size


class Lease:
    """What one request holds of a budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.size = 0

    def grow(self, size: int) -> None:
        """Hold so many bytes more; see `Budget.take`."""
        self._budget.take(size)
        self.size += size


async def read_body(request: Request, settings: Settings, lease: Lease) -> bytes:
    """The whole body.

    Raises:
        RequestError: it is too large, compressed, too slow, or there is no memory for it now.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        message = "send the body as it is: images are compressed already"
        raise RequestError(415, "compressed_body", message, {"Accept-Encoding": "identity"})
    too_large = RequestError(413, "body_too_large", f"a body has at most {settings.max_body:,} bytes")
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
        raise RequestError(408, "body_too_slow", f"a body takes at most {settings.body_timeout:g} seconds") from None
    except ClientDisconnect:
        raise RequestError(499, "client_gone", "the client has gone") from None
    finally:
        body.clear()  # an error's traceback would keep it until the client has its answer
