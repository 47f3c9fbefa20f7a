"""Run a server: in this thread until a signal, or in a background thread for the duration of a `with` block."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hubel.inference.classifier import Classifier
from hubel.inference.dense import DenseModel
from hubel.studio.app import Api
from hubel.studio.metrics import ServerMetrics
from hubel.studio.served_models import serving
from hubel.studio.settings import LOOPBACK, ServerSettings
from hubel.studio.uvicorn_server import Server, address, bound_socket, url

if TYPE_CHECKING:
    from hubel.retrieval.search import PhotoSearch

__all__ = ["running_server", "serve"]


def serve(
    models: Mapping[str, Classifier | DenseModel],
    settings: ServerSettings,
    say: Callable[[str], Any],
    photos: PhotoSearch | None = None,
) -> None:
    """Answer requests until SIGTERM or Ctrl-C; requests in progress are finished first.

    Args:
        models: models by name, the default one first.
        settings: address and limits.
        say: prints the address and warnings.
        photos: an indexed folder for the search box; None for none.

    Raises:
        OptionError: the address is not available.
    """
    with bound_socket(settings) as bound, serving(models, settings, metrics := ServerMetrics()) as served:
        api = Api(served, settings, metrics, photos)
        if settings.host not in LOOPBACK and settings.token is None:
            say(f"warning: {settings.host} is open to other computers, and no token is required (--token)")
        if "*" in settings.allow_hosts:
            say("warning: --allow-host '*' also lets every web page in under a name of its own (DNS rebinding)")
        say(f"{', '.join(served)} at {address(settings, bound)}{settings.root_path}; Ctrl-C stops")
        if photos is not None:
            say(f"search {len(photos.index.paths):,} photos at {address(settings, bound)}{settings.root_path}/search")
        if settings.everywhere and (outside := _network_address(bound.family)):
            say(f"from a phone or another computer: {url(outside, bound)}{settings.root_path}")
        Server(api, settings).run([bound])


@contextmanager
def running_server(
    models: Mapping[str, Classifier | DenseModel], settings: ServerSettings, photos: PhotoSearch | None = None
) -> Iterator[str]:
    """Run a server in a background thread; yield its address, such as `http://127.0.0.1:8000`. Errors as in `serve`."""
    with bound_socket(settings) as bound, serving(models, settings, metrics := ServerMetrics()) as served:
        server = Server(Api(served, settings, metrics, photos), settings)
        thread = threading.Thread(target=server.run, args=([bound],), name="hubel-serve")
        thread.start()
        try:
            yield address(settings, bound)
        finally:
            server.stop()
            thread.join()


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
