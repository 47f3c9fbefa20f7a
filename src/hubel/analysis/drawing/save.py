"""Write a drawing to a file: SVG by itself, PDF and PNG by matplotlib from the same shapes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel.analysis.drawing.colours import LIGHT
from hubel.analysis.drawing.shapes import Box, Circle, Curve, Shape, Text
from hubel.analysis.drawing.svg import arrow_head
from hubel.core.errors import OptionError
from hubel.core.files import write_atomic
from hubel.core.outputs import output_file
from hubel.plots.backend import import_matplotlib
from hubel.plots.figure_files import PNG_TEXT, is_figure
from hubel.plots.style import canvas, drawable, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["drawing_png", "save_drawing"]

_PIXELS = 96.0  # of a drawing in an inch
_SCALE = 2.0  # pixels of a PNG file for one of the drawing
_LONGEST = 60_000  # pixels that matplotlib can draw


def save_drawing(
    shapes: Sequence[Shape], width: float, height: float, path: str | Path, *, svg: Callable[[], str]
) -> Path:
    """Write shapes to a file; see `NetworkDrawing.save`.

    Args:
        shapes: shapes, from (0, 0) to (width, height).
        width: in pixels.
        height: likewise.
        path: the file, whose suffix tells the format.
        svg: returns the drawing as SVG.
    """
    formats: dict[str, Callable[[], bytes]] = {
        ".svg": lambda: svg().encode(),
        ".pdf": lambda: _pdf(shapes, width, height),
        ".png": lambda: drawing_png(shapes, width, height),
    }
    suffix = Path(path).suffix.lower()
    if suffix not in formats:
        raise OptionError(f"a drawing is a .svg, .pdf or .png file, not {Path(path).name!r}")
    path = output_file(path, ours=_is_drawing)
    write_atomic(path, formats[suffix]())
    return path


def drawing_png(shapes: Sequence[Shape], width: float, height: float) -> bytes:
    """Return shapes as a PNG file of twice their size.

    Raises:
        OptionError: there are more pixels than can be drawn.
    """
    if max(width, height) * _SCALE > _LONGEST:
        raise OptionError(f"the drawing of {width:.0f}x{height:.0f} pixels is too large for PNG; use SVG or PDF")
    buffer = io.BytesIO()
    _figure(shapes, width, height).savefig(buffer, format="png", dpi=_SCALE * _PIXELS, metadata=PNG_TEXT)
    return buffer.getvalue()


def _pdf(shapes: Sequence[Shape], width: float, height: float) -> bytes:
    matplotlib = import_matplotlib()
    buffer = io.BytesIO()
    with matplotlib.rc_context({"pdf.fonttype": 42}):  # text stays text
        about = {"Creator": PNG_TEXT["Software"], "CreationDate": None}
        _figure(shapes, width, height).savefig(buffer, format="pdf", metadata=about)
    return buffer.getvalue()


def _is_drawing(path: Path) -> bool:
    """Tell whether a file is a drawing that hubel has made."""
    content = path.read_bytes()
    return is_figure(path) or b'class="hubel-drawing"' in content[:1024] or b"/Creator (hubel)" in content


def _figure(shapes: Sequence[Shape], width: float, height: float) -> Figure:
    figure = canvas(width / _PIXELS, height / _PIXELS, layout=None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    for order, shape in enumerate(shapes):
        _ADDERS[type(shape)](axes, shape, order)
    return finish(figure)


def _points(size: float) -> float:
    return size * 72 / _PIXELS


def _add_box(axes: Axes, box: Box, order: int) -> None:
    from matplotlib.patches import FancyBboxPatch

    fill, stroke = LIGHT.boxes.get(box.kind, LIGHT.boxes["other"])
    style = f"round,pad=0,rounding_size={box.radius}"
    patch = FancyBboxPatch(
        (box.x, box.y), box.width, box.height, boxstyle=style, fc=fill, ec=stroke, lw=_points(1.0), zorder=order
    )
    axes.add_patch(patch)


def _add_circle(axes: Axes, circle: Circle, order: int) -> None:
    from matplotlib.patches import Circle as Disc

    fill, stroke = LIGHT.boxes[circle.kind]
    axes.add_patch(Disc((circle.x, circle.y), circle.radius, fc=fill, ec=stroke, lw=_points(1.0), zorder=order))


def _add_text(axes: Axes, text: Text, order: int) -> None:
    ink = LIGHT.ink if text.kind == "line" else LIGHT.muted
    across = {"start": "left", "middle": "center", "end": "right"}[text.anchor]
    axes.text(
        text.x, text.y, drawable(text.text), size=_points(text.size), color=ink, ha=across, va="baseline", zorder=order
    )


def _add_curve(axes: Axes, curve: Curve, order: int) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path as Line

    codes = [Line.MOVETO, *[Line.CURVE4] * (len(curve.points) - 1)]
    line = Line(list(curve.points), codes)
    axes.add_patch(PathPatch(line, fc="none", ec=LIGHT.edge, lw=_points(1.2), zorder=order))
    if curve.head is not None:
        axes.add_patch(Polygon(list(arrow_head(curve)), fc=LIGHT.edge, ec="none", zorder=order))


_ADDERS: dict[type, Callable[[Axes, Any, int], None]] = {
    Box: _add_box,
    Circle: _add_circle,
    Text: _add_text,
    Curve: _add_curve,
}
