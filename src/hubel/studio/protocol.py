"""HTTP protocol of one connection, with limits that uvicorn lacks: slow heads, slow readers, number of connections."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hubel.studio.guard import SECURITY_HEADERS, TOO_MANY_CONNECTIONS
from hubel.studio.responses import RequestError
from hubel.studio.settings import ServerSettings

__all__ = ["protocol_class"]

_HARD = 2  # up to this multiple of `connections`, further connections get a 503; beyond it they are closed at once


def protocol_class(settings: ServerSettings) -> type[H11Protocol]:
    """Return the protocol class that uvicorn instantiates for each connection."""

    class Limited(_Limited):
        limits = settings

    return Limited


class _Limited(H11Protocol):
    """Connection that is aborted when its client exceeds `head_timeout` or `write_timeout`."""

    limits: ServerSettings
    _head: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        count = len(self.connections)
        if count > _HARD * self.limits.connections:
            transport.abort()
            return
        self.app_state = {TOO_MANY_CONNECTIONS: count > self.limits.connections}
        self._head = self.loop.call_later(self.limits.head_timeout, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._head)
        _cancel(self._stuck)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._head is None and self.conn.their_state is h11.IDLE:
            self._head = self.loop.call_later(self.limits.head_timeout, self.transport.abort)
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            _cancel(self._head)
            self._head = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_if_stuck()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._abort_if_stuck()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._abort_if_stuck()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            _cancel(self._stuck)
            self._stuck = None

    def send_400_response(self, msg: str) -> None:
        """Answer invalid HTTP by 400, in the JSON form of all errors, and close the connection."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = RequestError(400, "bad_request", "this is not a valid HTTP request").response()
            headers = [*response.raw_headers, *SECURITY_HEADERS, (b"connection", b"close")]
            head = h11.Response(status_code=response.status_code, headers=headers, reason=b"Bad Request")
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._abort_if_stuck()

    def _abort_if_stuck(self) -> None:
        """Abort after `write_timeout`: a closed transport would wait for ever for its client to read the rest."""
        self._stuck = self._stuck or self.loop.call_later(self.limits.write_timeout, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
