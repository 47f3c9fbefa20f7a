"""The record of one operation: its settings, draws, parameters and effect, and the extremes that a preview shows.

`operations` lists all of them. Drawing, whole batches, the ranges of a policy and the preview read these records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ColourMatrix",
    "ColourStep",
    "Extreme",
    "GeometricStep",
    "GeometricTransform",
    "Matrix",
    "Operation",
    "PixelEffect",
    "Pixels",
    "Setting",
    "Stage",
    "Values",
    "for_each",
    "signed",
]

Values = tuple[float, ...]
Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]
P = TypeVar("P")


class Stage(Enum):
    """The stage at which an operation applies; it decides what can be done on images of the input's size."""

    WHOLE_PIXEL = auto()  # geometry that can move whole pixels, where nothing else interpolates
    INTERPOLATION = auto()  # geometry that interpolates, once for all of it
    COLOUR = auto()  # a matrix of the colours
    EFFECT = auto()  # any other function of the pixels
    ERASE = auto()
    AUTOMATIC = auto()  # operations of a published list, of geometry and of colour
    BATCH = auto()  # mixes the images of a batch


@dataclass(frozen=True)
class Extreme(Generic[P]):
    """One end of an operation's range.

    Attributes:
        caption: stands below the image.
        parameters: of the operation; None leaves the image unchanged.
    """

    caption: str
    parameters: P | None


@dataclass(frozen=True, eq=False)
class Setting:
    """A field of `Policy` that an operation reads; its default there switches the operation off.

    Attributes:
        name: of the field.
        span: the lowest and the highest value of a number.
        choices: the known values of a text.
        extremes: both ends of its range, from the values of the operation's settings and options; None is not shown.
    """

    name: str
    span: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    extremes: Callable[..., tuple[Extreme[Any], Extreme[Any]]] | None = None


def _undrawn(draws: NDArray[np.float64], *settings: Any) -> list[None]:
    return [None] * len(draws)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Operation(Generic[P]):
    """One operation.

    Attributes:
        name: for people.
        stage: the stage at which it applies.
        settings: the fields of a policy that switch it on.
        options: further fields that it reads, without effect as long as it is off.
        draws: the numbers of its random draws. A number never changes its meaning, and a new operation takes new ones:
            so the draws of all others, and with them the images of a run that is resumed, stay the same.
        alternating: the field of a policy under which the draws of an image stay the same from epoch to epoch, but for
            one half that is added, modulo 1, in every other one; "" for draws that are new in each epoch.
        parameters: from the draws `(n, len(draws))`, uniform in [0, 1), and the values of settings and options, to the
            parameters of each image; None where an image is left alone.
    """

    name: str
    stage: Stage
    settings: tuple[Setting, ...] = ()
    options: tuple[Setting, ...] = ()
    draws: tuple[int, ...] = ()
    alternating: str = ""
    parameters: Callable[..., Sequence[P | None]] = _undrawn

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @cached_property
    def switches(self) -> tuple[str, ...]:
        """The names of the settings."""
        return tuple(setting.name for setting in self.settings)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class GeometricTransform(Operation[Values]):
    """A projective map, which composes with others.

    Attributes:
        matrix: from the values and the input's width and height to the matrix `(3, 3)`, the input's centre being the
            origin: from the position of a pixel after the transform to that before.
        rearrange: does the same to pixels `(h, w, c)` of the input's size, where that needs no interpolation; from the
            pixels, the values and what comes in from outside (black, edge or reflect).
    """

    stage: Stage = Stage.INTERPOLATION
    matrix: Callable[[Values, float, float], Matrix]
    rearrange: Callable[[Pixels, Values, str], Pixels] | None = None


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ColourMatrix(Operation[Values]):
    """An affine map of RGB values, which composes with others.

    Attributes:
        matrix: from the values and the image's mean grey to the matrix `(3, 4)`.
        needs_mean: whether it depends on that mean; if not, 0 is passed where nobody else has computed it.
    """

    stage: Stage = Stage.COLOUR
    matrix: Callable[[Values, float], Matrix]
    needs_mean: bool = False


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class PixelEffect(Operation[Values]):
    """Any other function of an image.

    Attributes:
        apply: from the image `(h, w, 1 or 3)`, the values and the key of its noise to a new image of this shape.
    """

    stage: Stage = Stage.EFFECT
    apply: Callable[[Pixels, Values, int], Pixels]


GeometricStep = tuple[GeometricTransform, Values]
ColourStep = tuple[ColourMatrix | PixelEffect, Values]


def for_each(function: Callable[..., P | None]) -> Callable[..., list[P | None]]:
    """Return `Operation.parameters` from a function of one image's draws, a list, and the values of the settings."""

    def parameters(draws: NDArray[np.float64], *settings: Any) -> list[P | None]:
        return [function(row, *settings) for row in draws.tolist()]

    return parameters


def signed(draws: list[float], most: float) -> Values:
    """Return for each draw a number from -most to most."""
    return tuple((2 * draw - 1) * most for draw in draws)
