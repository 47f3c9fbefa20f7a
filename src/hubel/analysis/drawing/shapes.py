"""Shapes of a drawing, which SVG, PDF and PNG are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["Box", "Circle", "Curve", "Shape", "Text", "shapes_at"]

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle with round corners, by its upper left corner."""

    kind: str
    x: float
    y: float
    width: float
    height: float

    @property
    def radius(self) -> float:
        """Radius of the corners."""
        return 10.0 if self.kind in ("concat", "input", "output", "frame") else 4.0


@dataclass(frozen=True, kw_only=True)
class Circle:
    """A circle by its centre."""

    kind: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True, kw_only=True)
class Text:
    """A line of text on its baseline.

    Attributes:
        kind: "line", "secondary", "title", "shape" or "sign".
        x: where it starts, has its middle, or ends.
        y: the baseline.
        text: the characters.
        size: font size.
        anchor: what `x` is.
    """

    kind: str
    x: float
    y: float
    text: str
    size: float
    anchor: Anchor = "start"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """An arrow.

    Attributes:
        points: start, and for each piece two control points and the end of a cubic Bezier curve.
        head: direction of the arrow's head in the end, as (right, down); None for no head.
    """

    points: tuple[tuple[float, float], ...]
    head: tuple[int, int] | None = None


Shape = Box | Circle | Text | Curve


def shapes_at(shapes: Sequence[Shape], right: float, down: float) -> list[Shape]:
    """Return shapes at another place."""
    return [
        replace(shape, points=tuple((x + right, y + down) for x, y in shape.points))
        if isinstance(shape, Curve)
        else replace(shape, x=shape.x + right, y=shape.y + down)
        for shape in shapes
    ]
