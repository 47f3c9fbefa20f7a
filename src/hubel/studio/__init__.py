"""Serve models over HTTP, with a web page to classify photos; serve the course to the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.studio.course.bundle import read_bundle as read_bundle
    from hubel.studio.course.server import running_course as running_course
    from hubel.studio.course.server import serve_course as serve_course
    from hubel.studio.server import running_server as running_server
    from hubel.studio.server import serve as serve
    from hubel.studio.settings import ServerSettings as ServerSettings

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.studio.course.bundle": ("read_bundle",),
        "hubel.studio.course.server": ("running_course", "serve_course"),
        "hubel.studio.server": ("running_server", "serve"),
        "hubel.studio.settings": ("ServerSettings",),
    },
)
