"""Figures as files: PNG (recognisable as made by hubel), SVG and PDF, byte for byte reproducible."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel.core.errors import UnknownNameError
from hubel.core.files import write_atomic
from hubel.plots.style import DPI, worded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURE_FORMATS", "PNG_TEXT", "is_figure", "save_figure", "to_png"]

#: Formats of figures.
FIGURE_FORMATS = ("png", "svg", "pdf")

#: Text in the PNG files of hubel, by which `is_figure` knows them.
PNG_TEXT = {"Software": "hubel"}
_HEAD = 1024  # bytes in which a PNG file has its texts


def to_png(figure: Figure, language: str = "en") -> bytes:
    """Return the figure as a PNG file, its sentences in a language; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with worded(figure, language):
        figure.savefig(
            buffer,
            format="png",
            dpi=DPI,
            bbox_inches="tight",
            pad_inches=0.15,
            metadata=PNG_TEXT,
            pil_kwargs={"compress_level": 4},  # of photos 4 % larger than by level 6, in half the time
        )
    return buffer.getvalue()


def is_figure(path: Path) -> bool:
    """Tell whether a file is a PNG image that hubel has made."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return head.startswith(b"\x89PNG") and b"tEXtSoftware\0hubel" in head


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure to `path`, atomically, as the ending of its name says: .png, .svg or .pdf.

    Raises:
        UnknownNameError: it has another ending.
    """
    form = path.suffix.removeprefix(".")
    if form not in FIGURE_FORMATS:
        raise UnknownNameError("figure format", form, FIGURE_FORMATS)
    write_atomic(path, to_png(figure) if form == "png" else _to_vector(figure, form))


def _to_vector(figure: Figure, form: str) -> bytes:
    """Return the figure as an SVG or PDF file: letters are outlines in SVG, so that it looks the same everywhere."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None} if form == "svg" else {"CreationDate": None, "Creator": "hubel"}
    with rc_context({"svg.hashsalt": "hubel", "pdf.fonttype": 42}):
        figure.savefig(buffer, format=form, dpi=DPI, bbox_inches="tight", pad_inches=0.15, metadata=metadata)
    return buffer.getvalue()
