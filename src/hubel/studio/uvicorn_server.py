"""Listen on a socket and answer by uvicorn until a signal: what every server of hubel shares."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Protocol

import uvicorn

from hubel.core.errors import OptionError
from hubel.studio.framing import LONGEST_HEAD
from hubel.studio.protocol import protocol_class
from hubel.studio.settings import ServerSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["Application", "Server", "address", "bound_socket", "url"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BACKLOG = 128


class Application(Protocol):
    """Program behind a server.

    Attributes:
        stopping: the server is stopping; set by `Server`.
    """

    stopping: bool

    def application(self) -> ASGIApp:
        """Return the ASGI application."""
        ...


class Server(uvicorn.Server):
    """uvicorn's server with its own signal handling: signals stop it, and are not raised again afterwards."""

    def __init__(self, api: Application, settings: ServerSettings) -> None:
        self._api = api
        config = uvicorn.Config(
            api.application(),
            http=protocol_class(settings),
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=settings.idle_timeout,
            timeout_graceful_shutdown=round(settings.deadline) + 1,
            h11_max_incomplete_event_size=LONGEST_HEAD,
        )
        super().__init__(config)

    def stop(self) -> None:
        """Stop taking requests, and end when those in progress are answered."""
        self._api.stopping = True
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully at the first signal, at once at the second."""
        self.force_exit = self.should_exit
        self.stop()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals, if in the main thread: Python allows it nowhere else."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def bound_socket(settings: ServerSettings) -> Iterator[socket.socket]:
    """Yield a socket that listens at the address of the settings.

    Raises:
        OptionError: the address is not available.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        bound = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]  # which says the address again
        raise OptionError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from None
    with bound:
        yield bound


def address(settings: ServerSettings, bound: socket.socket) -> str:
    """Return the address for this computer's own browser."""
    return url("localhost" if settings.everywhere else settings.host, bound)


def url(host: str, bound: socket.socket) -> str:
    """Return the address of a socket by this name of its computer."""
    return f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
