"""The built front end: one script and one style sheet, made from `web/` by `npm run build`."""

from __future__ import annotations

from importlib.resources import files

from hubel.teach.course.page import Bundle

__all__ = ["read_bundle"]


def read_bundle() -> Bundle:
    """Return the script and the style sheet of all pages."""
    assets = files("hubel.studio.course").joinpath("assets")
    return Bundle(
        script=assets.joinpath("app.js").read_text(encoding="utf-8"),
        style=assets.joinpath("app.css").read_text(encoding="utf-8"),
    )
