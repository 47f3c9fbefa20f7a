"""Receptive fields: which pixels of the image a number of a map depends on.

Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks", distill.pub. A window of K
pixels with stride S, padding P and dilation D turns the interval [low, high] that the first number of a map sees, and
the step `jump` from one number to the next, into

    low - P * jump,   high + (D * (K - 1) - P) * jump,   jump * S.

Where branches meet, the field is the union of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

__all__ = ["Axis", "Field", "averaged", "enlarged", "of_image", "shifted", "transposed", "union", "windowed"]

Pair = tuple[int, int]  # rows, columns


class Axis(NamedTuple):
    """Along one axis, in pixels of the image; pixels outside of it (padding) have numbers below 0 or beyond its size.

    Attributes:
        low: first pixel that the first number of the map depends on.
        high: last one.
        jump: pixels between the fields of two neighbours.
    """

    low: float
    high: float
    jump: float

    @property
    def size(self) -> float:
        """Pixels of the field."""
        return self.high - self.low + 1

    @property
    def first_centre(self) -> float:
        """Where the field of the first number has its centre."""
        return (self.low + self.high) / 2


class Field(NamedTuple):
    """What the numbers of a map see.

    Attributes:
        rows: from top to bottom.
        columns: from left to right.
        whole: whether each number also depends on all pixels, through an average over the whole map (as the gates of
            squeeze-and-excite do); rows and columns are then what it sees apart from that.
    """

    rows: Axis
    columns: Axis
    whole: bool = False


def of_image() -> Field:
    """A pixel sees itself."""
    return Field(Axis(0, 0, 1), Axis(0, 0, 1))


def _each(field: Field, change: Callable[[Axis, int], Axis]) -> Field:
    """A field whose axes 0 and 1 are changed."""
    return Field(change(field.rows, 0), change(field.columns, 1), field.whole)


def windowed(field: Field, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Field:
    """After a convolution or pooling."""

    def change(a: Axis, i: int) -> Axis:
        before, beyond = padding[i], dilation[i] * (kernel[i] - 1) - padding[i]
        return Axis(a.low - before * a.jump, a.high + beyond * a.jump, a.jump * stride[i])

    return _each(field, change)


def transposed(field: Field, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Field:
    """After a transposed convolution: neighbours see different numbers of pixels, and this holds for each of them.

    Number o of the result depends on those numbers i of the input for which o = i * S - P + D * k with 0 <= k < K.
    """

    def change(a: Axis, i: int) -> Axis:
        last, first = (padding[i] - dilation[i] * (kernel[i] - 1)) / stride[i], padding[i] / stride[i]
        return Axis(a.low + last * a.jump, a.high + first * a.jump, a.jump / stride[i])

    return _each(field, change)


def enlarged(field: Field, factor: tuple[float, float]) -> Field:
    """After repeating each pixel `factor` times in both directions; holds for each of the repetitions."""
    return _each(field, lambda a, i: Axis(a.low - (1 - 1 / factor[i]) * a.jump, a.high, a.jump / factor[i]))


def shifted(field: Field, top: int, left: int) -> Field:
    """After rows and columns have been added above and at the left."""

    def change(a: Axis, i: int) -> Axis:
        by = (top, left)[i] * a.jump
        return Axis(a.low - by, a.high - by, a.jump)

    return _each(field, change)


def averaged(field: Field, step: tuple[float, float]) -> Field:
    """After adaptive pooling, whose windows have different sizes: `step` pixels on average; none goes further."""
    return _each(field, lambda a, i: Axis(a.low - a.jump, a.high + math.ceil(step[i]) * a.jump, a.jump * step[i]))


def union(fields: Iterable[Field]) -> Field:
    """Where maps of one size are added or stacked."""
    first, *others = fields
    for other in others:
        pairs = (first.rows, other.rows), (first.columns, other.columns)
        rows, columns = (Axis(min(a.low, b.low), max(a.high, b.high), max(a.jump, b.jump)) for a, b in pairs)
        first = Field(rows, columns, first.whole or other.whole)
    return first
