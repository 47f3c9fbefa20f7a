"""Serve models over HTTP, with a web page to classify photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.studio.server import running_server as running_server
    from hubel.studio.server import serve as serve
    from hubel.studio.settings import ServerSettings as ServerSettings

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.studio.server": ("running_server", "serve"),
        "hubel.studio.settings": ("ServerSettings",),
    },
)
