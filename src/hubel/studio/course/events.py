"""Server-sent events of a computation that runs in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import Response

from hubel.core.errors import HubelError
from hubel.studio.responses import busy
from hubel.teach.course.json_values import json_ready
from hubel.teach.course.lesson import RefusedError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["Computer", "EventStream"]

T = TypeVar("T")

_PATIENCE = 10.0  # seconds to wait for the end of a computation whose page has gone


class Computer:
    """The thread that computes, for one page at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "hubel-lesson")
        self._free = threading.Semaphore()
        self._leaving = False

    async def claim(self) -> None:
        """Reserve the thread; `release` gives it back.

        Raises:
            RequestError: another page computes.
        """
        loop, waited = asyncio.get_running_loop(), 0.0
        end = loop.time() + _PATIENCE
        while not self._free.acquire(blocking=False):
            # The computation of a page that was closed, or that asked anew, ends at its next event.
            if not self._leaving or loop.time() > end:
                raise busy("another computation is running: stop it first, or wait for its end")
            waited = min(waited + 0.01, 0.1)
            await asyncio.sleep(waited)

    def release(self, events: Iterator[Mapping[str, Any]]) -> None:
        """End the computation where it stands, and give the thread back."""
        self._leaving = True
        self._thread.submit(self._close, events)

    async def next(self, events: Iterator[Mapping[str, Any]]) -> str | None:
        """Compute the next event; return its JSON, or None after the last."""

        def compute() -> str | None:
            event = next(events, None)
            return None if event is None else json.dumps(json_ready(event), allow_nan=False, separators=(",", ":"))

        return await self.run(compute)

    async def run(self, compute: Callable[[], T]) -> T:
        """Compute something short in the thread, between two events if a computation runs; return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, compute)

    def close(self) -> None:
        """End the thread; a computation ends at its next event."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _close(self, events: Iterator[Mapping[str, Any]]) -> None:
        with contextlib.suppress(Exception):
            events.close()  # type: ignore[attr-defined]  # iterators that are no generators have nothing to close
        self._leaving = False
        self._free.release()


class EventStream(Response):
    """Response `text/event-stream`: `row` for each event, then `end`; `error` with its message ends it early."""

    media_type = "text/event-stream"

    def __init__(self, computer: Computer, events: Iterator[Mapping[str, Any]]) -> None:
        self._computer, self._events = computer, events
        self.status_code, self.background = 200, None
        self.init_headers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the last, or until the page has gone."""
        sending = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait([sending, gone], return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()
            gone.cancel()
            self._computer.release(self._events)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        kind, data = "row", ""
        try:
            while (row := await self._computer.next(self._events)) is not None:
                await send(_event("row", row))
            kind, data = "end", "{}"
        except HubelError as error:
            sentence = {"key": error.key, "values": error.values} if isinstance(error, RefusedError) else {}
            kind, data = "error", json.dumps({"message": str(error), **sentence})
        except Exception:  # its traceback is for the log, not for the page
            kind, data = "error", json.dumps({"code": "failed", "message": "the computation failed"})
            raise
        finally:
            if data:
                await send(_event(kind, data))
                await send({"type": "http.response.body", "body": b""})


def _event(kind: str, data: str) -> dict[str, Any]:
    return {"type": "http.response.body", "body": f"event: {kind}\ndata: {data}\n\n".encode(), "more_body": True}


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
