"""Access control around the application: known hosts and origins, the token, security headers, unread bodies."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import re
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from hubel.studio.metrics import ServerMetrics
from hubel.studio.responses import RequestError, busy
from hubel.studio.settings import ServerSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SECURITY_HEADERS", "TOO_MANY_CONNECTIONS", "Guard", "parse_host"]

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
SECURITY_HEADERS = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
_WITH_CAMERA = {**_HEADERS, "permissions-policy": "camera=(self), geolocation=(), microphone=()"}
_WITH_FORMS = {
    **_HEADERS, "content-security-policy": _POLICY.replace("form-action 'none'", "form-action 'self'")
}  # fmt: skip
TOO_MANY_CONNECTIONS = "too_many_connections"  # key of a request's state, set by the protocol
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]]+))(?::[0-9]{1,5})?", re.IGNORECASE)
_ORIGIN = re.compile(r"https?://(.+)", re.IGNORECASE)


def parse_host(authority: str) -> str | None:
    """Return the host of `host:port` in lower case; None if the text has another form.

    >>> parse_host("LocalHost:8000"), parse_host("[::1]"), parse_host("127.0.0.1@evil.example"), parse_host("")
    ('localhost', '::1', None, None)
    """
    found = _AUTHORITY.fullmatch(authority)
    return (found[1] or found[2]).lower() if found else None


class Guard:
    """Outermost ASGI application.

    Listening on 127.0.0.1 is not enough: a foreign page in the user's browser can send requests here too, even by a
    domain name of its own that resolves to this computer (DNS rebinding). So Host and Origin must be known names, or
    the address itself to which the client has connected: no foreign name can stand for that.

    Args:
        app: the application behind it.
        settings: known hosts, token and limits.
        metrics: counters of all requests.
        paths: paths that the metrics name; all others are counted as "other".
        free: paths that need no token.
        probes: paths that have nothing to protect, and are answered whatever Host says.
        camera: pages may ask the user for a frame of the camera.
        forms: pages may send forms to this server.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        metrics: ServerMetrics,
        *,
        paths: Collection[str],
        free: Collection[str],
        probes: Collection[str],
        camera: bool = False,
        forms: bool = False,
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._paths, self._free, self._probes = paths, free, probes
        headers = _WITH_CAMERA if camera else _WITH_FORMS if forms else _HEADERS
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.monotonic()
        scope = {**scope, "path": self._below_root(scope["path"])}
        too_many = scope.get("state", {}).get(TOO_MANY_CONNECTIONS, False)
        exchange = _Exchange(scope, receive, send, self._settings.linger, self._headers, last=too_many)
        refusal = busy("too many connections") if too_many else self._refusal(scope)
        app = refusal.response() if refusal else self._app
        try:
            await app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            # The server is stopping, and its grace period is over.
            if not exchange.status:
                await busy("the server is stopping").response()(scope, exchange.receive, exchange.send)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.request(path, exchange.status or 500, time.monotonic() - began)

    def _below_root(self, path: str) -> str:
        """Return a path without the prefix of the proxy, if it has that."""
        root = self._settings.root_path
        return path.removeprefix(root) or "/" if f"{path}/".startswith(f"{root}/") else path

    def _refusal(self, scope: Scope) -> RequestError | None:
        headers = scope["headers"]
        connected, _ = scope["server"]

        def known(authority: str) -> bool:
            host = parse_host(authority)
            return host is not None and (host == connected or self._settings.knows(host))

        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if scope["path"] not in self._probes and not (len(hosts) == 1 and known(hosts[0])):
            return RequestError(421, "foreign_host", "unknown Host; allow it with --allow-host")
        for origin in (value.decode("latin-1") for name, value in headers if name == b"origin"):
            address = _ORIGIN.fullmatch(origin)
            if address is None or not known(address[1]):
                return RequestError(403, "foreign_origin", "unknown Origin: pages of other hosts are refused")
        if self._settings.token is None or scope["path"] in self._free:
            return None
        given = next((value for name, value in headers if name == b"authorization"), b"")
        kind, _, token = given.partition(b" ")
        if kind.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._settings.token.encode()):
            return None
        message = "this server needs a token: Authorization: Bearer TOKEN"
        return RequestError(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})


class _Exchange:
    """One request and its response. If the body was not read to its end, the connection is closed.

    Before that, the rest of the body is read and dropped for a while. Otherwise a client that is still sending would
    see a connection reset instead of the response.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        linger: float,
        security: Sequence[tuple[bytes, bytes]],
        *,
        last: bool,
    ) -> None:
        self._receive, self._send, self._linger, self._last = receive, send, linger, last
        self._security = security
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
            message = {**message, "headers": [*message["headers"], *self._security, *closing]}
        elif self._unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._linger):
                    while self._unread:
                        await self.receive()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)
