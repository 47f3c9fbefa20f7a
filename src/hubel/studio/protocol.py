"""HTTP on one connection, with the limits that uvicorn lacks: on heads, on readers, on how many there are."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hubel.studio.guard import ALWAYS, CROWDED
from hubel.studio.refusal import RequestError
from hubel.studio.settings import Settings

__all__ = ["protocol_class"]

_HARD = 2  # times as many connections as are served are open, to be told so; more are closed at once


def protocol_class(settings: Settings) -> type[H11Protocol]:
    """The class of which uvicorn makes an object for each connection."""

    class Limited(_Limited):
        limits = settings

    return Limited


class _Limited(H11Protocol):
    """A client has `head_timeout` for a head and `write_timeout` to take its answer, or is cut off."""

    limits: Settings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        many = len(self.connections)
        if many > _HARD * self.limits.connections:
            transport.abort()
            return
        self.app_state = {CROWDED: many > self.limits.connections}
        self._head = self.loop.call_later(self.limits.head_timeout, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        _end(self._head)
        _end(self._stuck)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._head is None and self.conn.their_state is h11.IDLE:
            self._head = self.loop.call_later(self.limits.head_timeout, self.transport.abort)
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            _end(self._head)
            self._head = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._must_end()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._must_end()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._must_end()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            _end(self._stuck)
            self._stuck = None

    def send_400_response(self, msg: str) -> None:
        """Say that something is no HTTP, in the form that all our answers have, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = RequestError(400, "bad_request", "this is no valid HTTP request").response()
            headers = [*response.raw_headers, *ALWAYS, (b"connection", b"close")]
            head = h11.Response(status_code=response.status_code, headers=headers, reason=b"Bad Request")
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._must_end()

    def _must_end(self) -> None:
        """A closed transport waits for its client to take the rest; not for ever."""
        self._stuck = self._stuck or self.loop.call_later(self.limits.write_timeout, self.transport.abort)


def _end(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
