"""Write shapes as SVG: text as text, with colours for light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from hubel.analysis.drawing.colours import DARK, FONTS, LIGHT, Colours
from hubel.analysis.drawing.shapes import Box, Circle, Curve, Shape, Text

__all__ = ["DRAWING_STYLE", "arrow_head", "to_svg"]


def _rules(colours: Colours) -> str:
    boxes = "".join(f".hubel-{kind}{{fill:{fill};stroke:{stroke}}}" for kind, (fill, stroke) in colours.boxes.items())
    return (
        f".hubel-page{{fill:{colours.page}}}{boxes}.hubel-ink{{fill:{colours.ink}}}"
        f".hubel-muted{{fill:{colours.muted}}}.hubel-edge{{stroke:{colours.edge}}}.hubel-head{{fill:{colours.edge}}}"
    )


#: Style sheet of the drawings, for pages that forbid style in their text: light, and dark where the reader prefers it.
DRAWING_STYLE = f"{_rules(LIGHT)}@media (prefers-color-scheme:dark){{{_rules(DARK)}}}"


def to_svg(shapes: Sequence[Shape], width: float, height: float, *, label: str, style: bool = True) -> str:
    """Return an SVG file.

    Args:
        shapes: shapes, from (0, 0) to (width, height).
        width: in pixels at its natural size.
        height: likewise.
        label: what the drawing shows, for screen readers.
        style: whether the style sheet is in the file; without it, the colours are those for light pages.
    """
    w, h = _number(width), _number(height)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="hubel-drawing" viewBox="0 0 {w} {h}" width="{w}" height="{h}" '
        f'role="img" aria-label={quoteattr(label)} font-family="{FONTS}">'
    )
    sheet = f"<style>{DRAWING_STYLE}</style>" if style else ""
    page = f'<rect class="hubel-page" width="{w}" height="{h}" fill="{LIGHT.page}"/>'
    return "\n".join([head, f"<title>{escape(label)}</title>{sheet}", page, *map(_element, shapes), "</svg>\n"])


def _element(shape: Shape) -> str:
    if isinstance(shape, Box):
        fill, stroke = LIGHT.boxes.get(shape.kind, LIGHT.boxes["other"])
        kind = shape.kind if shape.kind in LIGHT.boxes else "other"
        return (
            f'<rect class="hubel-{kind}" x="{_number(shape.x)}" y="{_number(shape.y)}" width="{_number(shape.width)}" '
            f'height="{_number(shape.height)}" rx="{_number(shape.radius)}" fill="{fill}" stroke="{stroke}"/>'
        )
    if isinstance(shape, Circle):
        fill, stroke = LIGHT.boxes[shape.kind]
        return (
            f'<circle class="hubel-{shape.kind}" cx="{_number(shape.x)}" cy="{_number(shape.y)}" '
            f'r="{_number(shape.radius)}" fill="{fill}" stroke="{stroke}"/>'
        )
    if isinstance(shape, Text):
        tone = "ink" if shape.kind == "line" else "muted"
        anchor = "" if shape.anchor == "start" else f' text-anchor="{shape.anchor}"'
        return (
            f'<text class="hubel-{tone}" x="{_number(shape.x)}" y="{_number(shape.y)}" font-size="{shape.size:g}"'
            f'{anchor} fill="{LIGHT.ink if tone == "ink" else LIGHT.muted}">{escape(shape.text)}</text>'
        )
    return _path(shape)


def _path(curve: Curve) -> str:
    (x, y), *rest = curve.points
    path = [f"M{_number(x)} {_number(y)}"]
    for first, second, end in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        before = (x, y)
        x, y = end
        if before[0] == first[0] == second[0] == x:
            path.append(f"V{_number(y)}")
        elif (first, second) == (before, end):
            path.append(f"L{_number(x)} {_number(y)}")
        else:
            path.append("C" + " ".join(f"{_number(a)} {_number(b)}" for a, b in (first, second, end)))
    line = f'<path class="hubel-edge" d="{"".join(path)}" fill="none" stroke="{LIGHT.edge}" stroke-width="1.2"/>'
    if curve.head is None:
        return line
    corners = " ".join(f"{_number(a)},{_number(b)}" for a, b in arrow_head(curve))
    return f'{line}<polygon class="hubel-head" points="{corners}" fill="{LIGHT.edge}"/>'


def arrow_head(curve: Curve) -> tuple[tuple[float, float], ...]:
    """Return the corners of the head of an arrow that has one."""
    (x, y), (right, down) = curve.points[-1], curve.head or (0, 1)
    long, wide = 6.0, 3.2
    back = (x - long * right, y - long * down)
    return (x, y), (back[0] - wide * down, back[1] - wide * right), (back[0] + wide * down, back[1] + wide * right)


def _number(value: float) -> str:
    return f"{round(value, 1):g}"
