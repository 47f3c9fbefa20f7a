"""Receptive fields: the pixels of the image that a value of a feature map depends on.

A layer makes value `o` of a map from some values of the map before, its taps: those of a window of K with stride S,
padding P and dilation D are

    o * S - P + D * k,  0 <= k < K.

The receptive field of `o` runs from the first to the last pixel of its taps' fields (Araujo, Norris & Sim 2019,
"Computing receptive fields of convolutional neural networks", distill.pub, who give the closed form for windows). Where
maps are enlarged, neighbouring values have fields of different sizes, which repeat after a few values: all of them are
kept, so the fields are exact. Where branches meet, the field is the union of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import NamedTuple

__all__ = [
    "Axis",
    "Field",
    "averaged",
    "interpolated",
    "of_image",
    "shifted",
    "transposed",
    "union",
    "windowed",
]

Pair = tuple[int, int]  # rows, columns
Taps = Callable[[int], Iterable[int]]  # from a value of a map to those of the map before that it depends on

_MOST = 4096  # different fields that are kept; enough for maps of any usual size
_NOTHING = (math.inf, -math.inf)  # the field of a value that depends on no pixel


class Axis(NamedTuple):
    """Receptive fields along one axis, in pixels; padding has coordinates below 0 or beyond the size of the image.

    Attributes:
        fields: first and last pixel of the fields of the first values of the map, until they repeat, further on.
        jump: distance between the fields of two neighbouring values, in pixels; a mean where they differ in size.
    """

    fields: tuple[tuple[float, float], ...]
    jump: float

    def of(self, place: int) -> tuple[float, float]:
        """Return the first and the last pixel that value number `place` depends on."""
        repeats, phase = divmod(place, len(self.fields))
        low, high = self.fields[phase]
        distance = repeats * len(self.fields) * self.jump
        return low + distance, high + distance

    @property
    def size(self) -> float:
        """Size of the largest field, in pixels."""
        return max(0, *(high - low + 1 for low, high in self.fields))

    @property
    def first_centre(self) -> float:
        """Centre of the field of the first value that depends on any pixel; 0 if none does."""
        return next(((low + high) / 2 for low, high in self.fields if low <= high), 0)


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
    return Field(Axis(((0, 0),), 1), Axis(((0, 0),), 1))


def windowed(field: Field, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Field:
    """Return the field after a convolution or pooling."""
    if kernel == stride == (1, 1) and padding == (0, 0):
        return field  # as most layers of deep networks; the rule below gives the same

    def taps(i: int) -> Taps:
        span = dilation[i] * (kernel[i] - 1) + 1
        return lambda o: range(o * stride[i] - padding[i], o * stride[i] - padding[i] + span, dilation[i])

    return _map_axes(field, lambda axis, i: _resampled(axis, taps(i), stride[i]))


def transposed(field: Field, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Field:
    """Return the field after a transposed convolution: `o` has the taps `i` with o = i * S - P + D * k."""

    def taps(i: int) -> Taps:
        def of(o: int) -> Iterable[int]:
            reached = (divmod(o + padding[i] - dilation[i] * k, stride[i]) for k in range(kernel[i]))
            return (place for place, rest in reached if rest == 0)

        return of

    return _map_axes(field, lambda axis, i: _resampled(axis, taps(i), 1, stride[i]))


def averaged(field: Field, before: Pair, after: Pair) -> Field:
    """Return the field after adaptive pooling of maps of `before` values to `after`."""

    def taps(i: int) -> Taps:
        return lambda o: range(o * before[i] // after[i], -(-(o + 1) * before[i] // after[i]))

    return _map_axes(field, lambda axis, i: _resampled(axis, taps(i), before[i], after[i]))


def interpolated(field: Field, steps: tuple[Fraction, Fraction], reach: int, shift: Fraction) -> Field:
    """Return the field after interpolation.

    Args:
        field: field of the map.
        steps: distance of neighbouring samples along rows and columns, in values of the map.
        reach: values that each sample is interpolated from: 1 (nearest), 2 (linear) or 4 (cubic).
        shift: place of the sample within its pixel: 1/2 for the centre, 0 for the upper left corner.
    """

    def taps(i: int) -> Taps:
        def of(o: int) -> Iterable[int]:
            place = (o + shift) * steps[i] - (shift if reach > 1 else 0)
            first = math.floor(place) - (reach - 1) // 2
            # A sample that falls on a value depends on nothing else.
            return (int(place),) if place.denominator == 1 else range(first, first + reach)

        return of

    return _map_axes(field, lambda axis, i: _resampled(axis, taps(i), steps[i].numerator, steps[i].denominator))


def shifted(field: Field, top: int, left: int) -> Field:
    """Return the field after padding with rows above and columns at the left."""
    return _map_axes(field, lambda axis, i: _resampled(axis, lambda o: (o - (top, left)[i],), 1))


def union(fields: Iterable[Field]) -> Field:
    """Return the field of maps of equal size that are added or concatenated."""
    first, *others = fields
    for other in others:
        if other != first:
            rows, columns = _joined(first.rows, other.rows), _joined(first.columns, other.columns)
            first = Field(rows, columns, first.whole or other.whole)
    return first


def _map_axes(field: Field, function: Callable[[Axis, int], Axis]) -> Field:
    """Apply a function of axis and axis number (0 for rows, 1 for columns) to both axes."""
    return Field(function(field.rows, 0), function(field.columns, 1), field.whole)


def _resampled(axis: Axis, taps: Taps, step: int, of: int = 1) -> Axis:
    """Return the axis of a map whose taps advance by `step` values every `of` values."""
    shared = math.gcd(step, of)
    step, of = step // shared, of // shared
    period = of * (len(axis.fields) // math.gcd(len(axis.fields), step))
    jump = axis.jump * step if of == 1 else axis.jump * step / of
    return _repeating(lambda o: map(axis.of, taps(o)), period, jump)


def _repeating(fields: Callable[[int], Iterable[tuple[float, float]]], period: int, jump: float) -> Axis:
    """Return the axis whose value `o` has the union of `fields(o)`; one bound for all where too many differ."""
    found = [_hull(fields(o)) for o in range(min(period, _MOST))]
    if period > _MOST:
        found = [_hull((low - o * jump, high - o * jump) for o, (low, high) in enumerate(found))]
    return Axis(tuple(found), jump)


def _hull(fields: Iterable[tuple[float, float]]) -> tuple[float, float]:
    lows, highs = zip(_NOTHING, *fields, strict=True)
    return min(lows), max(highs)


def _joined(one: Axis, other: Axis) -> Axis:
    period = math.lcm(len(one.fields), len(other.fields))
    return _repeating(lambda o: (one.of(o), other.of(o)), period, max(one.jump, other.jump))
