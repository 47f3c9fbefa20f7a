"""A sheet of rows of tiles with heads and captions: variants of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hubel.plots.style import DPI, INK, MUTED, canvas, drawable, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PreviewRow", "draw_preview_sheet"]

# In inches, but the size of the type in points.
_TILE, _GAP, _MARGIN, _WIDE_GAP = 224 / DPI, 0.06, 0.25, 0.24
_TITLE, _HEAD, _CAPTION, _BETWEEN = 0.5, 0.22, 0.2, 0.12
_TYPE, _SMALL_TYPE = 8.5, 7.5


@dataclass(frozen=True, kw_only=True)
class PreviewRow:
    """One row of tiles.

    Attributes:
        name: stands above it, or beside it.
        tiles: uint8 `(h, w, 1 or 3)`, all of one size.
        captions: one below each tile, or none.
    """

    name: str
    tiles: Sequence[NDArray[np.uint8]]
    captions: Sequence[str] = field(default_factory=list)


def draw_preview_sheet(
    rows: Sequence[PreviewRow], heads: Sequence[str], title: str, *, across: int = 1, gap_after: int = 0
) -> Figure:
    """Draw rows of tiles below each other, or several in a line.

    Args:
        rows: of equally many tiles.
        heads: one above each column of tiles; where captions say more, they are left out.
        title: of the sheet.
        across: rows in a line.
        gap_after: a wider gap follows so many tiles of a row; 0 for none.
    """
    height, width = rows[0].tiles[0].shape[:2]
    tile = _TILE * width / max(width, height), _TILE * height / max(width, height)
    captions = any(row.captions for row in rows)
    n, across = len(rows[0].tiles), min(across, len(rows))
    strip = n * tile[0] + (n - 1) * _GAP + (_WIDE_GAP - _GAP if gap_after else 0)
    pitch = tile[1] + _BETWEEN + _CAPTION + (_HEAD if captions else 0.0)
    lines = -(-len(rows) // across)
    whole = 2 * _MARGIN + across * strip + (across - 1) * _WIDE_GAP
    top = _TITLE + (0.0 if captions else _HEAD)
    size = (max(whole, 4.0), top + lines * pitch + _MARGIN / 2)
    figure = canvas(*size, None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.text(
        _MARGIN, 0.27, drawable(title, limit=72 * (size[0] - 2 * _MARGIN) / 13), size=13, weight="bold", color=INK,
        va="center",
    )  # fmt: skip
    for number, row in enumerate(rows):
        line, column = divmod(number, across)
        left, upper = _MARGIN + column * (strip + _WIDE_GAP), top + line * pitch
        if captions:
            axes.text(left, upper + _HEAD / 2, drawable(row.name), size=_TYPE, weight="bold", color=INK, va="center")
            upper += _HEAD
        for i, pixels in enumerate(row.tiles):
            x = left + i * (tile[0] + _GAP) + (_WIDE_GAP - _GAP if gap_after and i >= gap_after else 0)
            if not captions and line == 0:
                axes.text(x + tile[0] / 2, top - 0.09, heads[i], size=_TYPE, color=MUTED, ha="center")
            _tile(axes, pixels, x, upper, tile)
            below = row.captions[i] if row.captions else row.name if i == 0 else ""
            room = 72 * (tile[0] if row.captions else strip) / _SMALL_TYPE
            anchor, alignment = (x + tile[0] / 2, "center") if row.captions else (x, "left")
            axes.text(
                anchor, upper + tile[1] + 0.05, drawable(below, limit=room), size=_SMALL_TYPE, color=MUTED,
                ha=alignment, va="top",
            )  # fmt: skip
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0))
    return finish(figure)


def _tile(axes: Axes, pixels: NDArray[np.uint8], x: float, y: float, tile: tuple[float, float]) -> None:
    """Draw an image at its position; a small one shows its pixels."""
    axes.imshow(
        pixels, cmap="gray", vmin=0, vmax=255, extent=(x, x + tile[0], y + tile[1], y), aspect="auto",
        interpolation="nearest" if max(pixels.shape) <= _TILE * DPI else "auto",
    )  # fmt: skip
