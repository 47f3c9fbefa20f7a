"""Inline SVG drawings of arrays and curves, in the page's own colours, so that they follow light and dark mode."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

__all__ = [
    "format_number",
    "format_sum",
    "image_grid",
    "loss_chart",
    "loss_history_chart",
    "number_grid",
    "sigmoid_chart",
    "stacked_maps",
]

Floats = NDArray[np.float64]
Window = tuple[int, int, int, int]  # row, column, height and width in cells

_STRONGEST = 0.7  # of a colour under a number that must stay readable
_MINUS = "\N{MINUS SIGN}"


def format_number(value: float, digits: int = 2) -> str:
    r"""Format a number with a true minus sign, and none before zero.

    >>> format_number(-0.111) == "\N{MINUS SIGN}0.11", format_number(-0.001), format_number(1, 0)
    (True, '0.00', '1')
    """
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", _MINUS)


def format_sum(values: Floats) -> str:
    r"""Format a sum of values.

    >>> format_sum(np.array([[1, -1], [0.5, 1]])) == "1 \N{MINUS SIGN} 1 + 0.5 + 1"
    True
    """
    text = " + ".join(f"{value:g}" for value in values.flat)
    return text.replace("+ -", f"{_MINUS} ").replace("-", _MINUS)


def image_grid(
    image: Floats, label: str, *, cell: int = 34, windows: Iterable[Window] = (), bare: bool = False, name: str = ""
) -> Markup:
    """Draw an image `(h, w)` of -1 and +1 as cells of paper and ink with their numbers.

    Args:
        image: the pixels.
        label: text alternative, for screen readers.
        cell: side of a cell in pixels.
        windows: groups of cells to frame.
        bare: leave out the numbers, in small cells.
        name: id by which the drawing can be reused.
    """
    height, width = image.shape
    parts = [f'<g class="cells" id="{name}">' if name else '<g class="cells">']
    for (row, column), value in np.ndenumerate(image):
        parts.append(_cell(row, column, cell, 'class="ink"' if value > 0 else 'class="paper"'))
        if not bare:
            kind = ' class="on"' if value > 0 else ' class="off"'
            parts.append(_number(row, column, cell, format_number(value, 0), kind))
    parts.append("</g>")
    parts += [_frame(window, cell) for window in windows]
    return _svg(width * cell, height * cell, label, parts, f'font-size="{_font_size(cell, 0)}"')


def number_grid(
    values: Floats,
    label: str,
    *,
    cell: int = 34,
    digits: int = 2,
    full: float = 1.0,
    windows: Iterable[Window] = (),
    ink: Floats | None = None,
) -> Markup:
    """Draw numbers `(h, w)` in coloured cells: blue above zero, orange below, stronger farther from zero.

    Args:
        values: the numbers.
        label: text alternative, for screen readers.
        cell: side of a cell in pixels.
        digits: digits after the decimal point.
        full: absolute value that has the full colour.
        windows: groups of cells to frame.
        ink: an image of -1 and +1 whose ink is marked by circles, to show it among its products.
    """
    height, width = values.shape
    parts = ['<g class="cells">']
    for (row, column), value in np.ndenumerate(values):
        x, y = column * cell, row * cell
        parts.append(_cell(row, column, cell, _tint(value / full)))
        if ink is not None and ink[row, column] > 0:
            parts.append(f'<circle class="dotted" cx="{x + cell / 2:g}" cy="{y + cell / 2:g}" r="{0.42 * cell:g}"/>')
        parts.append(_number(row, column, cell, format_number(value, digits)))
    parts.append("</g>")
    parts += [_frame(window, cell) for window in windows]
    return _svg(width * cell, height * cell, label, parts, f'font-size="{_font_size(cell, digits)}"')


def stacked_maps(maps: Floats, label: str, *, cell: int = 34, apart: int = 26) -> Markup:
    """Draw maps `(k, h, w)` as a stack, the first in front."""
    count, height, width = maps.shape
    parts = []
    for index in reversed(range(count)):
        x, y = index * apart, (count - 1 - index) * apart
        parts.append(f'<g class="cells" transform="translate({x} {y})">')
        parts.append(f'<rect class="sheet" width="{width * cell}" height="{height * cell}"/>')
        for (row, column), value in np.ndenumerate(maps[index]):
            parts.append(_cell(row, column, cell, _tint(value)))
            if index == 0:
                middle = f'x="{(column + 0.5) * cell:g}" y="{(row + 0.5) * cell:g}"'
                parts.append(f"<text {middle}>{format_number(value)}</text>")
        parts.append("</g>")
    more = (count - 1) * apart
    return _svg(width * cell + more, height * cell + more, label, parts, f'font-size="{_font_size(cell)}"')


def sigmoid_chart(points: Sequence[tuple[str, float]]) -> Markup:
    """Draw the sigmoid with two named points on it."""
    named = [(name, x, 1 / (1 + math.exp(-x))) for name, x in points]
    line = [(x, 1 / (1 + math.exp(-x))) for x in np.linspace(-6, 6, 121)]
    values = ", ".join(f"{name}: {format_number(x)} becomes {format_number(y)}" for name, x, y in named)
    label = f"The sigmoid curve. {values}."
    return _chart(
        line, label, named, _Axes((_MINUS + "6", "6"), ("0", "1"), (-6, 6, 0, 1), (_LEFT_ABOVE, _RIGHT_BELOW))
    )


def loss_chart(points: Sequence[tuple[str, float]]) -> Markup:
    """Draw the loss -log(p) with two named points on it."""
    named = [(name, p, -math.log(p)) for name, p in points]
    line = [(p, -math.log(p)) for p in np.linspace(math.exp(-4), 1, 121)]
    values = ", ".join(f"{name}: probability {format_number(p)}, loss {format_number(y)}" for name, p, y in named)
    label = f"The curve of the loss over the probability. {values}."
    return _chart(line, label, named, _Axes(("0", "1"), ("0", "4"), (0, 1, 0, 4), (_RIGHT_ABOVE, _LEFT_BELOW)))


def loss_history_chart(values: Floats) -> Markup:
    """Draw the loss over training steps."""
    top = math.ceil(values.max() * 2) / 2
    line = [(float(number), float(value)) for number, value in enumerate(values, start=1)]
    ends = [(format_number(y), x, y) for x, y in (line[0], line[-1])]
    label = f"The loss over {len(values)} steps, from {ends[0][0]} to {ends[1][0]}."
    frame = _Axes(
        ("step 1", str(len(values))), ("0", f"{top:g}"), (1, len(values), 0, top), (_RIGHT_ABOVE, _LEFT_ABOVE)
    )
    return _chart(line, label, ends, frame)


# Offset of a name from its point (right, down), and its text anchor.
_LEFT_ABOVE, _RIGHT_ABOVE = (-8, -10, "end"), (9, -8, "start")
_LEFT_BELOW, _RIGHT_BELOW = (-8, 18, "end"), (10, 16, "start")


@dataclass(frozen=True)
class _Axes:
    """Axes of a chart.

    Attributes:
        along: labels at the ends of the x axis.
        up: labels at the ends of the y axis.
        bounds: left, right, low, high.
        sides: offset of each point's name (right, down), and its text anchor.
    """

    along: tuple[str, str]
    up: tuple[str, str]
    bounds: tuple[float, float, float, float]
    sides: tuple[tuple[int, int, str], tuple[int, int, str]]


def _chart(
    line: Sequence[tuple[float, float]], label: str, named: Sequence[tuple[str, float, float]], frame: _Axes
) -> Markup:
    """Draw a line chart of 300x150 pixels with two named points."""
    left, right, low, high = frame.bounds

    def at(x: float, y: float) -> tuple[float, float]:
        return 34 + 300 * (x - left) / (right - left), 166 - 150 * (y - low) / (high - low)

    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line))
    parts = ['<path class="axis" d="M34 16V166H334"/>', f'<polyline class="line" points="{path}"/>']
    ticks = (
        (34, 184, "start", frame.along[0]),
        (334, 184, "end", frame.along[1]),
        (27, 170, "end", frame.up[0]),
        (27, 22, "end", frame.up[1]),
    )
    parts += [
        f'<text class="tick" x="{x}" y="{y}" text-anchor="{end}">{escape(text)}</text>' for x, y, end, text in ticks
    ]
    for (name, *point), (right_by, down_by, end) in zip(named, frame.sides, strict=True):
        x, y = at(*point)
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
        parts.append(f'<text x="{x + right_by:.1f}" y="{y + down_by:.1f}" text-anchor="{end}">{escape(name)}</text>')
    return _svg(350, 190, label, parts, 'class="chart" font-size="13"')


def _font_size(cell: int, digits: int = 2) -> str:
    """Return the font size at which a number from -9 to 9 fits a cell."""
    characters = len(format_number(-1, digits))
    return f"{min(0.42 * cell, (cell - 4) / (0.62 * characters)):.1f}"


def _cell(row: int, column: int, cell: int, style: str) -> str:
    return f'<rect x="{column * cell}" y="{row * cell}" width="{cell}" height="{cell}" {style}/>'


def _number(row: int, column: int, cell: int, text: str, kind: str = "") -> str:
    return f'<text x="{column * cell + cell / 2:g}" y="{row * cell + cell / 2:g}"{kind}>{text}</text>'


def _tint(value: float) -> str:
    strength = _STRONGEST * min(1.0, abs(value))
    return f'class="{"plus" if value > 0 else "minus"}" fill-opacity="{strength:.2f}"'


def _frame(window: Window, cell: int) -> str:
    row, column, height, width = (cell * side for side in window)
    return f'<rect class="frame" x="{column + 1}" y="{row + 1}" width="{width - 2}" height="{height - 2}" rx="3"/>'


def _svg(width: int, height: int, label: str, parts: Iterable[str], attributes: str) -> Markup:
    # One pixel more on each side, for the outer lines.
    box = f'viewBox="-1 -1 {width + 2} {height + 2}" width="{width + 2}" height="{height + 2}"'
    return Markup(f'<svg role="img" aria-label="{escape(label)}" {box} {attributes}>{"".join(parts)}</svg>')
