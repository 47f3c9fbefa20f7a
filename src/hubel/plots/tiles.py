"""Figures of rows of small images with captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.plots.legend import Legend, draw_legend, legend_height
from hubel.plots.style import DPI, FAINT, INK, MUTED, canvas, drawable, finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ImageTile", "TileRow", "draw_tiles"]

# In inches; TYPE, the font size, in points.
GAP, HEAD, LINE, TYPE, MARGIN = 0.12, 0.45, 0.13, 7.5, 0.05


@dataclass(frozen=True, eq=False)
class ImageTile:
    """One small image of a figure.

    Attributes:
        pixels: uint8 `(h, w)`, `(h, w, 1)` or RGB `(h, w, 3)`.
        caption: text below it.
        aspect: width by height as drawn; that of its pixels if not given.
        box: rectangle drawn over it: left, upper, right, lower in pixels.
    """

    pixels: NDArray[np.uint8]
    caption: str = ""
    aspect: float | None = None
    box: tuple[float, float, float, float] | None = None

    @property
    def shape(self) -> tuple[float, float]:
        """Return height and width as shares of the tile's square."""
        aspect = self.aspect or self.pixels.shape[1] / self.pixels.shape[0]
        return min(1.0, 1 / aspect), min(1.0, aspect)


@dataclass(frozen=True, eq=False)
class TileRow:
    """Tiles side by side.

    Attributes:
        tiles: the tiles, from left to right.
        label: text above them; none if empty.
        scale: size of the tiles relative to those of a row of scale 1.
    """

    tiles: Sequence[ImageTile]
    label: str = ""
    scale: float = 1.0


def draw_tiles(
    rows: Sequence[TileRow], title: str, *, size: float = 1.3, aside: str = "", legend: Legend | None = None
) -> Figure:
    """Draw rows of images in squares of `size` inches, a legend below; images with few pixels are not smoothed.

    Raises:
        DataError: there is no tile.
    """
    if not any(row.tiles for row in rows):
        raise DataError("there is nothing to draw")
    widest = max(len(row.tiles) * (row.scale * size + GAP) for row in rows)
    width = max(widest - GAP + 2 * MARGIN, 4.2)
    heights = [_height(row, size) for row in rows]
    head = HEAD + (0.12 if aside else 0)
    height = head + sum(heights) + legend_height(legend, width - 2 * MARGIN)
    figure = canvas(width, height, None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    text: dict[str, Any] = {"size": 12, "weight": "bold", "color": INK, "va": "center"}
    axes.text(MARGIN, 0.2, drawable(title, limit=72 * (width - 2 * MARGIN) / 12.5), **text)
    if aside:
        limit = 72 * (width - 2 * MARGIN) / 8.5
        axes.text(MARGIN, 0.2 + 0.22, drawable(aside, limit=limit), size=8.5, color=MUTED, va="center")
    y = head
    for row, room in zip(rows, heights, strict=True):
        if row.label:
            limit = 72 * (width - 2 * MARGIN) / 9
            axes.text(MARGIN, y + 0.08, drawable(row.label, limit=limit), size=9, color=INK, va="center")
        for column, tile in enumerate(row.tiles):
            side = row.scale * size
            x, top = MARGIN + column * (side + GAP), y + (0.2 if row.label else 0)
            _draw(axes, tile, x, top, side, _tallest(row) * side)
        y += room
    if legend:
        draw_legend(axes, legend, MARGIN, y, width - 2 * MARGIN)
    axes.set(xlim=(0, width), ylim=(height, 0))
    return finish(figure)


def _tallest(row: TileRow) -> float:
    return max(tile.shape[0] for tile in row.tiles)


def _height(row: TileRow, size: float) -> float:
    lines = max(len(tile.caption.splitlines()) for tile in row.tiles)
    return _tallest(row) * row.scale * size + (0.2 if row.label else 0) + lines * LINE + GAP


def _draw(axes: Any, tile: ImageTile, x: float, y: float, size: float, room: float) -> None:
    """Draw one tile with its upper left corner at (x, y), in an area `size` wide and `room` high."""
    from matplotlib.patches import Rectangle

    h, w = (share * size for share in tile.shape)
    left, upper = x + (size - w) / 2, y + (room - h) / 2
    rows, columns = tile.pixels.shape[:2]
    axes.imshow(
        tile.pixels,
        cmap="gray",
        vmin=0,
        vmax=255,
        extent=(left, left + w, upper + h, upper),
        interpolation="nearest" if max(rows, columns) < DPI * size / 2 else "auto",
        aspect="auto",
    )
    axes.add_patch(Rectangle((left, upper), w, h, fill=False, edgecolor=FAINT, linewidth=0.6))
    if tile.box:
        a, b, c, d = (side * scale for side, scale in zip(tile.box, (w / columns, h / rows) * 2, strict=True))
        for colour, thickness in (("black", 2.4), ("white", 1.2)):
            axes.add_patch(
                Rectangle((left + a, upper + b), c - a, d - b, fill=False, edgecolor=colour, linewidth=thickness)
            )
    if tile.caption:
        lines = [drawable(line, limit=72 * (size + GAP / 2) / TYPE) for line in tile.caption.splitlines()]
        axes.text(x + size / 2, y + room + 0.05, "\n".join(lines), size=TYPE, color=INK, ha="center", va="top")
