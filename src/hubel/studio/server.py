"""Run a server: in this thread until a signal, or in a background thread for the duration of a `with` block."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from hubel.core.errors import OptionError
from hubel.inference.classifier import Classifier
from hubel.inference.dense import DenseModel
from hubel.studio.app import Api
from hubel.studio.framing import LONGEST_HEAD
from hubel.studio.metrics import ServerMetrics
from hubel.studio.protocol import protocol_class
from hubel.studio.served_models import serving
from hubel.studio.settings import LOOPBACK, ServerSettings

__all__ = ["running_server", "serve"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BACKLOG = 128


def serve(models: Mapping[str, Classifier | DenseModel], settings: ServerSettings, say: Callable[[str], Any]) -> None:
    """Answer requests until SIGTERM or Ctrl-C; requests in progress are finished first.

    Args:
        models: models by name, the default one first.
        settings: address and limits.
        say: prints the address and warnings.

    Raises:
        OptionError: the address is not available.
    """
    with _listening(settings) as bound, serving(models, settings, metrics := ServerMetrics()) as served:
        api = Api(served, settings, metrics)
        if settings.host not in LOOPBACK and settings.token is None:
            say(f"warning: {settings.host} is open to other computers, and no token is required (--token)")
        if "*" in settings.allow_hosts:
            say("warning: --allow-host '*' also lets every web page in under a name of its own (DNS rebinding)")
        say(f"{', '.join(served)} at {_address(settings, bound)}{settings.root_path}; Ctrl-C stops")
        if settings.everywhere and (outside := _network_address(bound.family)):
            say(f"from a phone or another computer: {_url(outside, bound)}{settings.root_path}")
        _Server(api, settings).run([bound])


@contextmanager
def running_server(models: Mapping[str, Classifier | DenseModel], settings: ServerSettings) -> Iterator[str]:
    """Run a server in a background thread; yield its address, such as `http://127.0.0.1:8000`. Errors as in `serve`."""
    with _listening(settings) as bound, serving(models, settings, metrics := ServerMetrics()) as served:
        server = _Server(Api(served, settings, metrics), settings)
        thread = threading.Thread(target=server.run, args=([bound],), name="hubel-serve")
        thread.start()
        try:
            yield _address(settings, bound)
        finally:
            server.stop()
            thread.join()


class _Server(uvicorn.Server):
    """uvicorn's server with its own signal handling: signals stop it, and are not raised again afterwards."""

    def __init__(self, api: Api, settings: ServerSettings) -> None:
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
def _listening(settings: ServerSettings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        bound = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from None
    with bound:
        yield bound


def _address(settings: ServerSettings, bound: socket.socket) -> str:
    return _url("localhost" if settings.everywhere else settings.host, bound)


def _url(host: str, bound: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"


def _network_address(family: socket.AddressFamily) -> str | None:
    """Return the address of this computer in its network; None without a network.

    It is the source of what would be sent to an address for documentation (RFC 5737, RFC 3849). Connecting a UDP socket
    sends nothing: it only looks the route up.
    """
    far = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.connect((far, 9))
        return str(asking.getsockname()[0])
    return None
