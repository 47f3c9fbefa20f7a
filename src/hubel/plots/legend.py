"""Legends of figures of pictures: a colour scale, and a sentence that says how to read the figure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hubel.plots.style import INK, MUTED, drawable, ems

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ColourScale", "Legend", "draw_legend", "legend_height", "wrapped"]

# In inches; TYPE, the font size, in points.
TYPE, LINE, GAP, BAR_WIDTH, BAR_HEIGHT = 8.0, 0.15, 0.08, 1.3, 0.09


@dataclass(frozen=True)
class ColourScale:
    """A colour bar.

    Attributes:
        colours: a colour map of matplotlib.
        low: text at its left end.
        high: text at its right end.
    """

    colours: str
    low: str
    high: str


@dataclass(frozen=True)
class Legend:
    """Colour scales, and how to read a figure.

    Attributes:
        reading: how to read it; "" for a figure that needs no words.
        scales: meanings of its colours; none where they are those of the images.
    """

    reading: str = ""
    scales: tuple[ColourScale, ...] = ()


def legend_height(legend: Legend | None, width: float) -> float:
    """Return the height in inches that a legend takes in a figure `width` inches wide."""
    if legend is None:
        return 0.0
    lines = len(list(wrapped(legend.reading, _line_ems(width))))
    return GAP + (LINE + GAP) * len(legend.scales) + LINE * lines


def draw_legend(axes: Axes, legend: Legend, x: float, y: float, width: float) -> None:
    """Draw a legend with its upper left corner at (x, y), on axes whose unit is an inch and whose y points down."""
    text: dict[str, Any] = {"size": TYPE, "color": MUTED, "va": "center"}
    y += GAP + LINE / 2
    for scale in legend.scales:
        low, high = drawable(scale.low), drawable(scale.high)
        left = x + (ems(low) * TYPE) / 72 + GAP
        axes.text(x, y, low, **text)
        ramp = np.linspace(0, 1, 256)[None]
        extent = (left, left + BAR_WIDTH, y + BAR_HEIGHT / 2, y - BAR_HEIGHT / 2)
        axes.imshow(ramp, cmap=scale.colours, extent=extent, aspect="auto")
        axes.text(left + BAR_WIDTH + GAP, y, high, **text)
        y += LINE + GAP
    for line in wrapped(legend.reading, _line_ems(width)):
        axes.text(x, y, drawable(line), **(text | {"color": INK}))
        y += LINE


def wrapped(text: str, limit: float) -> Iterator[str]:
    """Yield the lines of a text, each at most about `limit` ems wide, broken between words."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and ems(longer) > limit:
            yield line
            longer = word
        line = longer
    if line:
        yield line


def _line_ems(width: float) -> float:
    return 72 * width / TYPE
