"""Contact sheets: grids of images with captions."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.core.language import Sentence
from hubel.plots.legend import Legend, draw_legend, legend_height
from hubel.plots.style import DPI, INK, canvas, drawable, finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["contact_sheet"]

# In inches; TYPE, the font size, in points.
TILE, GAP, HEAD, LINE, TYPE = 1.5, 0.22, 0.45, 0.14, 7.5


def contact_sheet(
    images: Sequence[NDArray[np.uint8]], captions: Sequence[str], title: str, *, legend: Legend | None = None
) -> Figure:
    """Draw images in a grid, each above its caption, a legend below. Images with few pixels are not smoothed.

    Args:
        images: uint8, each (h, w), (h, w, 1) or RGB (h, w, 3), of any size.
        captions: one per image, up to three lines.
        title: text above the sheet.
        legend: what its colours mean, and how to read it.

    Raises:
        DataError: there is no image, one has another shape or dtype, or the number of captions differs.
    """
    if not images or len(images) != len(captions):
        raise DataError(
            f"a contact sheet needs images, and one caption for each, not {len(images)} and {len(captions)}"
        )
    for number, pixels in enumerate(images):
        shape = np.shape(pixels)
        if pixels.dtype != np.uint8 or 0 in shape or len(shape) not in (2, 3) or (*shape, 1)[2] not in (1, 3):
            raise DataError(f"image {number} must be uint8 (h, w), (h, w, 1) or (h, w, 3), not {pixels.dtype} {shape}")

    room = 72 * (TILE + GAP / 2) / TYPE  # ems
    columns = min(len(images), max(4, min(8, ceil(sqrt(1.5 * len(images))))))
    texts = [_lines(text, room) for text in captions]
    pitch = TILE + GAP + LINE * max(text.count("\n") + bool(text) for text in texts)
    width = max(columns * (TILE + GAP) + GAP, 5.0)
    bottom = ceil(len(images) / columns) * pitch + HEAD
    height = bottom + legend_height(legend, width - 2 * GAP)

    figure = canvas(width, height, None)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    axes.text(
        GAP,
        0.15,
        drawable(title, limit=72 * (width - 2 * GAP) / 12),
        size=12,
        weight="bold",
        color=INK,
        va="center",
    )
    for number, (pixels, text) in enumerate(zip(images, texts, strict=True)):
        row, column = divmod(number, columns)
        x, y = GAP + column * (TILE + GAP), HEAD + row * pitch
        h, w = pixels.shape[:2]
        scale = TILE / max(h, w)
        left, upper = x + (TILE - w * scale) / 2, y + (TILE - h * scale) / 2
        axes.imshow(
            pixels,
            cmap="gray",
            vmin=0,
            vmax=255,
            extent=(left, left + w * scale, upper + h * scale, upper),
            interpolation="nearest" if max(h, w) < DPI * TILE else "auto",
            aspect="auto",
        )
        axes.text(x + TILE / 2, y + TILE + 0.06, text, size=TYPE, color=INK, ha="center", va="top")
    if legend:
        draw_legend(axes, legend, GAP, bottom, width - 2 * GAP)
    axes.set(xlim=(0, width), ylim=(height, 0))
    return finish(figure)


def _lines(caption: str, room: float) -> str:
    """Return up to three lines that are `room` ems wide at most; a sentence stays one, with values as narrow."""
    lines = "\n".join(drawable(line, limit=room) for line in caption.splitlines()[:3])
    if not isinstance(caption, Sentence):
        return lines
    values = {name: drawable(one, limit=room) if type(one) is str else one for name, one in caption.values.items()}
    return Sentence(lines, caption.key, values)
