"""Figures as PNG files, byte for byte reproducible."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from hubel.core.files import write_atomic
from hubel.plots.style import DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save_figure", "to_png"]


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        format="png",
        dpi=DPI,
        bbox_inches="tight",
        pad_inches=0.15,
        metadata={"Software": None},
        pil_kwargs={"compress_level": 4},  # of photos 4 % larger than by level 6, in half the time
    )
    return buffer.getvalue()


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure to `path` as a PNG file, atomically."""
    write_atomic(path, to_png(figure))
