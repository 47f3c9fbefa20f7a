"""What stands before the application: who may ask, what every answer carries, and how a refused body ends."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import re
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from hubel.studio.metrics import Metrics
from hubel.studio.refusal import RequestError, busy
from hubel.studio.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ALWAYS", "CROWDED", "Guard", "host_in"]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
ALWAYS = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
CROWDED = "crowded"  # what the protocol says in a request's state where there are too many connections
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]]+))(?::[0-9]{1,5})?", re.IGNORECASE)
_ORIGIN = re.compile(r"https?://(.+)", re.IGNORECASE)


def host_in(authority: str) -> str | None:
    """The host in `host:port`, in small letters; None where there is none.

    >>> host_in("LocalHost:8000"), host_in("[::1]"), host_in("127.0.0.1@evil.example"), host_in("")
    ('localhost', '::1', None, None)
    """
    found = _AUTHORITY.fullmatch(authority)
    return (found[1] or found[2]).lower() if found else None


class Guard:
    """The outermost application.

    A page of a stranger in the browser of the user reaches this server, too, and by a name of its own that leads to
    this computer's address. So it is not enough to listen on 127.0.0.1: both Host and Origin must be known names.

    Args:
        app: what it guards.
        settings: whom to answer.
        metrics: count every request.
        paths: that metrics may name; others are one.
        free: paths that need no token.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, metrics: Metrics, *, paths: Collection[str], free: Collection[str]
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._paths, self._free = paths, free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.monotonic()
        crowded = scope.get("state", {}).get(CROWDED, False)
        exchange = _Exchange(scope, receive, send, self._settings.linger, last=crowded)
        refusal = busy("too many connections") if crowded else self._refusal(scope)
        app = refusal.response() if refusal else self._app
        try:
            await app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            # The server stops, and has waited long enough.
            if not exchange.status:
                await busy("the server is stopping").response()(scope, exchange.receive, exchange.send)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.request(path, exchange.status or 500, time.monotonic() - began)

    def _refusal(self, scope: Scope) -> RequestError | None:
        headers = scope["headers"]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or host_in(hosts[0]) not in self._settings.hosts:
            return RequestError(421, "foreign_host", "this server does not answer to that name (--allow-host)")
        for origin in (value.decode("latin-1") for name, value in headers if name == b"origin"):
            address = _ORIGIN.fullmatch(origin)
            if address is None or host_in(address[1]) not in self._settings.hosts:
                return RequestError(403, "foreign_origin", "pages of other hosts may not ask this server")
        if self._settings.token is None or scope["path"] in self._free:
            return None
        given = next((value for name, value in headers if name == b"authorization"), b"")
        kind, _, token = given.partition(b" ")
        if kind.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._settings.token.encode()):
            return None
        message = "this server needs a token: Authorization: Bearer TOKEN"
        return RequestError(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})


class _Exchange:
    """A request and its answer. A body that nobody has read is not read to its end either: the connection closes.

    Before it does, a little more is read and dropped. Otherwise the client, which is still sending, would be told of
    a broken connection, and never see the answer.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, linger: float, *, last: bool) -> None:
        self._receive, self._send, self._linger, self._last = receive, send, linger, last
        headers = dict(scope["headers"])
        self._unread = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._unread = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            closing = [(b"connection", b"close")] if self._unread or self._last else []
            message = {**message, "headers": [*message["headers"], *ALWAYS, *closing]}
        elif self._unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._linger):
                    while self._unread:
                        await self.receive()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)
