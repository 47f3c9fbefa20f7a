"""Receptive fields: the pixels of the image that a value of a feature map depends on.

Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks", distill.pub. A window of K
pixels with stride S, padding P and dilation D turns the receptive field [low, high] of the first value of a map, and
the step `jump` from one value to the next, into

    low - P * jump,   high + (D * (K - 1) - P) * jump,   jump * S.

Where branches meet, the field is the union of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

__all__ = ["Axis", "Field", "averaged", "of_image", "shifted", "transposed", "union", "upsampled", "windowed"]

Pair = tuple[int, int]  # rows, columns


class Axis(NamedTuple):
    """A receptive field along one axis, in pixels; padding has coordinates below 0 or beyond the size of the image.

    Attributes:
        low: first pixel that the first value of the map depends on.
        high: last pixel that it depends on.
        jump: distance between the fields of two neighbouring values, in pixels.
    """

    low: float
    high: float
    jump: float

    @property
    def size(self) -> float:
        """Size of the field, in pixels."""
        return self.high - self.low + 1

    @property
    def first_centre(self) -> float:
        """Centre of the field of the first value."""
        return (self.low + self.high) / 2


class Field(NamedTuple):
    """The receptive field of the values of a feature map.

    Attributes:
        rows: vertical axis, from top to bottom.
        columns: horizontal axis, from left to right.
        whole: whether each value also depends on all pixels through a global average (as with the gates of
            squeeze-and-excitation); rows and columns are then the field without that average.
    """

    rows: Axis
    columns: Axis
    whole: bool = False


def of_image() -> Field:
    """Return the field of the input image: each pixel depends on itself."""
    return Field(Axis(0, 0, 1), Axis(0, 0, 1))


def _map_axes(field: Field, function: Callable[[Axis, int], Axis]) -> Field:
    """Apply a function of axis and axis number (0 for rows, 1 for columns) to both axes."""
    return Field(function(field.rows, 0), function(field.columns, 1), field.whole)


def windowed(field: Field, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Field:
    """Return the field after a convolution or pooling."""

    def along(a: Axis, i: int) -> Axis:
        before, beyond = padding[i], dilation[i] * (kernel[i] - 1) - padding[i]
        return Axis(a.low - before * a.jump, a.high + beyond * a.jump, a.jump * stride[i])

    return _map_axes(field, along)


def transposed(field: Field, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Field:
    """Return the field after a transposed convolution, a bound: neighbouring values have fields of different sizes.

    Output value o depends on those input values i for which o = i * S - P + D * k with 0 <= k < K.
    """

    def along(a: Axis, i: int) -> Axis:
        last, first = (padding[i] - dilation[i] * (kernel[i] - 1)) / stride[i], padding[i] / stride[i]
        return Axis(a.low + last * a.jump, a.high + first * a.jump, a.jump / stride[i])

    return _map_axes(field, along)


def upsampled(field: Field, factor: tuple[float, float]) -> Field:
    """Return the field after nearest-neighbour upsampling by `factor` along rows and columns."""
    return _map_axes(field, lambda a, i: Axis(a.low - (1 - 1 / factor[i]) * a.jump, a.high, a.jump / factor[i]))


def shifted(field: Field, top: int, left: int) -> Field:
    """Return the field after padding with rows above and columns at the left."""

    def along(a: Axis, i: int) -> Axis:
        by = (top, left)[i] * a.jump
        return Axis(a.low - by, a.high - by, a.jump)

    return _map_axes(field, along)


def averaged(field: Field, step: tuple[float, float]) -> Field:
    """Return the field after adaptive pooling with a mean stride of `step`, a bound: its windows differ in size."""
    return _map_axes(field, lambda a, i: Axis(a.low - a.jump, a.high + math.ceil(step[i]) * a.jump, a.jump * step[i]))


def union(fields: Iterable[Field]) -> Field:
    """Return the field of maps of equal size that are added or concatenated."""
    first, *others = fields
    for other in others:
        pairs = (first.rows, other.rows), (first.columns, other.columns)
        rows, columns = (Axis(min(a.low, b.low), max(a.high, b.high), max(a.jump, b.jump)) for a, b in pairs)
        first = Field(rows, columns, first.whole or other.whole)
    return first
