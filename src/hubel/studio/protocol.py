"""HTTP protocol of one connection, with strict framing, and limits on slow clients and on the number of connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hubel.studio.framing import RequestReader
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
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reader = RequestReader()
        # asyncio does so for sockets that name their protocol, which those of `socket.create_server` do not. Without
        # it the second packet of a response waits 40 ms for the client to acknowledge the first one.
        with contextlib.suppress(OSError):  # macOS refuses once the client has gone
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
        if self.transport.is_closing() or self._refused:
            return
        self._unset_keepalive_if_required()
        self._reader.receive(data)
        self._advance()

    def _advance(self) -> None:
        """Give h11 what has arrived of the next request, but nothing of it before the last response is complete."""
        if self._reader.complete and self.conn.their_state is h11.IDLE:
            self._reader.begin_next()
        try:
            part = self._reader.take()
        except RequestError as error:
            self._refuse(error)
            return
        if part:
            self.conn.receive_data(part)
            self.handle_events()
        if self._reader.complete and self._reader.waiting:
            self.flow.pause_reading()
        if self.conn.their_state is not h11.IDLE:
            _cancel(self._head)
            self._head = None
        elif self._head is None and self._reader.waiting:
            self._head = self.loop.call_later(self.limits.head_timeout, self.transport.abort)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_if_stuck()
        elif self._reader.waiting:
            self._advance()

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
        """Refuse what h11 finds invalid."""
        self._refuse(RequestError(400, "bad_request", "this is not a valid HTTP request"))

    def _refuse(self, error: RequestError) -> None:
        """Answer in the JSON form of all errors, drop what else arrives for a while, and close the connection."""
        self._refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = error.response()
            headers = [*response.raw_headers, *SECURITY_HEADERS, (b"connection", b"close")]
            reason = HTTPStatus(error.status).phrase.encode()
            head = h11.Response(status_code=error.status, headers=headers, reason=reason)
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        _cancel(self._head)
        self._abort_if_stuck()
        self.flow.resume_reading()  # closing with unread data would reset the connection before the client reads this
        self.transport.write_eof()
        self.loop.call_later(self.limits.linger, self.transport.close)

    def _abort_if_stuck(self) -> None:
        """Abort after `write_timeout`: a closed transport would wait for ever for its client to read the rest."""
        self._stuck = self._stuck or self.loop.call_later(self.limits.write_timeout, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
