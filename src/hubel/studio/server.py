"""A server that runs: in this thread until a signal, or in another one for as long as a block lasts."""

from __future__ import annotations

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
from hubel.studio.app import Api
from hubel.studio.metrics import Metrics
from hubel.studio.models import at_work
from hubel.studio.protocol import protocol_class
from hubel.studio.settings import LOOPBACK, Settings

__all__ = ["running", "serve"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_MOST_HEAD = 16 * 2**10  # bytes of a request's head
_BACKLOG = 128


def serve(classifiers: Mapping[str, Classifier], settings: Settings, say: Callable[[str], Any]) -> None:
    """Answer requests until SIGTERM or Ctrl-C; those under way are finished first.

    Args:
        classifiers: models by their names, the default one first.
        settings: where and how.
        say: is told where the server listens, and what is unsafe.

    Raises:
        OptionError: it cannot listen there.
    """
    with _listening(settings) as bound, at_work(classifiers, settings, metrics := Metrics()) as served:
        api = Api(served, settings, metrics)
        if settings.host not in LOOPBACK and settings.token is None:
            say(f"warning: {settings.host} is open to other computers, and no token is asked for (--token)")
        if settings.everywhere and not settings.allow_hosts:
            say("other computers are answered only when they call this one by a name of --allow-host")
        say(f"{', '.join(served)} at {_address(settings, bound)}; Ctrl-C stops")
        _Server(api, settings).run([bound])


@contextmanager
def running(classifiers: Mapping[str, Classifier], settings: Settings) -> Iterator[str]:
    """A server in another thread; its address, such as `http://127.0.0.1:8000`. Errors as in `serve`."""
    with _listening(settings) as bound, at_work(classifiers, settings, metrics := Metrics()) as served:
        server = _Server(Api(served, settings, metrics), settings)
        thread = threading.Thread(target=server.run, args=([bound],), name="hubel-serve")
        thread.start()
        try:
            yield _address(settings, bound)
        finally:
            server.stop()
            thread.join()


class _Server(uvicorn.Server):
    """uvicorn's, but for signals: they ask it to stop, and are not sent to this process again afterwards."""

    def __init__(self, api: Api, settings: Settings) -> None:
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
            h11_max_incomplete_event_size=_MOST_HEAD,
        )
        super().__init__(config)

    def stop(self) -> None:
        """Take no more requests, and end when those under way have their answers."""
        self._api.stopping = True
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal asks to stop; another one waits for nobody."""
        self.force_exit = self.should_exit
        self.stop()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear the signals, where Python allows it: in the main thread."""
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
def _listening(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        bound = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from None
    with bound:
        yield bound


def _address(settings: Settings, bound: socket.socket) -> str:
    host = "localhost" if settings.everywhere else f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{bound.getsockname()[1]}"
