"""The augmentation of one image, drawn from a policy: a function of keys such as `(seed, epoch, sample)` alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import bits, fractions, uniform
from hubel.data.augment.automatic import AUTOMATIC
from hubel.data.augment.erase import ERASE, Square
from hubel.data.augment.geometry import CROP, TRANSFORMS, WARP, WHOLE_PIXEL_TRANSFORMS, CropShares
from hubel.data.augment.operation import (
    ColourMatrix,
    ColourStep,
    GeometricStep,
    GeometricTransform,
    Operation,
    PixelEffect,
)
from hubel.data.augment.operations import COLOUR
from hubel.data.augment.policy import Policy

__all__ = ["Augmentation", "draw_augmentations", "draw_colour", "draw_parameters", "single"]

_KEY_DRAW = 3000  # the number of the draw that is the key of an image's noise

_Keys = tuple[int | NDArray[Any], ...]
_Drawn = dict[Operation[Any], Sequence[Any]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Augmentation:
    """The parameters of one image's augmentation, in shares of the sides of image or input: they fit any resolution.

    Attributes:
        crop: height, width, and how far down and right the crop lies of all that it could, shares from 0 to 1.
        transforms: geometric transforms of the input, in order, with their values.
        displacements: local displacements, x and y as shares of the input's sides, `(rows, columns, 2)`; None for none.
        colour: operations on pixel values, in order, with their values.
        erase: side of the square as a share of the input's shorter side, and y and x of its centre; None for none.
        fill: what lies outside of the image: black, edge or reflect.
        key: of the noise.
    """

    crop: CropShares = (1.0, 1.0, 0.0, 0.0)
    transforms: tuple[GeometricStep, ...] = ()
    displacements: NDArray[np.float64] | None = None
    colour: tuple[ColourStep, ...] = ()
    erase: Square | None = None
    fill: str = "black"
    key: int = 0

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, top, width and height of the crop of an image of this size, in whole pixels."""
        rows = min(height, max(1, round(height * self.crop[0])))
        columns = min(width, max(1, round(width * self.crop[1])))
        return round(self.crop[3] * (width - columns)), round(self.crop[2] * (height - rows)), columns, rows


_UNCHANGED = Augmentation()


def draw_augmentations(policy: Policy, *keys: int | NDArray[Any]) -> list[Augmentation]:
    """Draw an augmentation for each combination of keys, which broadcast to `(n,)`; see `core.random.uniform`."""
    geometric = WHOLE_PIXEL_TRANSFORMS if policy.keeps_pixels else TRANSFORMS
    drawn, keys_of_noise = _drawn(policy, (CROP, *geometric, WARP, *COLOUR, ERASE, AUTOMATIC), keys)
    result = []
    transform_columns, colour_columns = _columns(drawn, geometric), _columns(drawn, COLOUR)
    for i, key in enumerate(keys_of_noise):
        transforms, colour = _steps(transform_columns, i), _steps(colour_columns, i)
        for step in drawn[AUTOMATIC][i] if AUTOMATIC in drawn else ():
            (transforms if isinstance(step[0], GeometricTransform) else colour).append(step)
        result.append(
            Augmentation(
                crop=drawn[CROP][i] if CROP in drawn else _UNCHANGED.crop,
                transforms=tuple(transforms),
                displacements=drawn[WARP][i] if WARP in drawn else None,
                colour=tuple(colour),
                erase=drawn[ERASE][i] if ERASE in drawn else None,
                fill=policy.fill,
                key=key,
            )
        )
    return result


def draw_colour(policy: Policy, *keys: int | NDArray[Any]) -> list[tuple[list[ColourStep], int]]:
    """Draw of the same augmentations only the operations on pixel values, and the key of their noise."""
    drawn, keys_of_noise = _drawn(policy, COLOUR, keys)
    columns = _columns(drawn, COLOUR)
    return [(_steps(columns, i), key) for i, key in enumerate(keys_of_noise)]


def draw_parameters(
    policy: Policy, operations: Sequence[Operation[Any]], *keys: int | NDArray[Any]
) -> dict[Operation[Any], Sequence[Any]]:
    """Draw the parameters of each image for those operations that a policy switches on."""
    return _drawn(policy, operations, keys)[0]


def _drawn(policy: Policy, operations: Sequence[Operation[Any]], keys: _Keys) -> tuple[_Drawn, list[int]]:
    """Draw the parameters of those operations that a policy switches on, and the key of each image's noise."""
    active = tuple(operation for operation in operations if policy.is_on(operation))
    numbers, columns = _numbers(active)
    words = np.atleast_2d(bits(*(_rows(key) for key in keys), numbers))
    draws = fractions(words)
    for operation, column in zip(active, columns, strict=True):
        if operation.alternating and getattr(policy, operation.alternating):
            draws[:, column] = _alternating(operation.draws, *keys)
    drawn = {
        operation: operation.parameters(draws[:, column], *policy.values_of(operation))
        for operation, column in zip(active, columns, strict=True)
    }
    return drawn, (words[:, -1] >> np.uint64(1)).tolist()


def _alternating(
    numbers: tuple[int, ...], seed: int | NDArray[Any], epoch: int | NDArray[Any], *samples: int | NDArray[Any]
) -> NDArray[np.float64]:
    """Return the same draws in every epoch, but for one half that is added, modulo 1, in every other one."""
    first = uniform(_rows(seed), 0, *(_rows(key) for key in samples), np.array(numbers))
    return np.asarray((first + np.asarray(_rows(epoch)) % 2 / 2) % 1)


@lru_cache(maxsize=64)
def _numbers(operations: tuple[Operation[Any], ...]) -> tuple[NDArray[np.int64], list[slice]]:
    """Return the numbers of all draws of these operations and of the noise's key, and the columns of each operation."""
    stops = np.cumsum([len(operation.draws) for operation in operations]).tolist()
    columns = [slice(start, stop) for start, stop in zip([0, *stops], stops, strict=False)]
    return np.array([*(number for operation in operations for number in operation.draws), _KEY_DRAW]), columns


def _columns(drawn: _Drawn, operations: Sequence[Operation[Any]]) -> list[tuple[Operation[Any], Sequence[Any]]]:
    """Return those of some operations that were drawn, with the parameters of all images."""
    return [(operation, drawn[operation]) for operation in operations if operation in drawn]


def _steps(columns: list[tuple[Operation[Any], Sequence[Any]]], i: int) -> list[Any]:
    """Return the steps of one image, without those that leave it alone."""
    return [(operation, column[i]) for operation, column in columns if column[i] is not None]


def _rows(key: int | NDArray[Any]) -> int | NDArray[Any]:
    """Return a key with one row for each image, where it is an array."""
    return key[:, None] if isinstance(key, np.ndarray) and key.ndim else key


def single(operation: Operation[Any], parameters: Any, *, fill: str = "black") -> Augmentation:
    """Return the augmentation that is one operation with these parameters; None leaves the image unchanged."""
    if parameters is None:
        return _UNCHANGED
    if isinstance(operation, GeometricTransform):
        return Augmentation(transforms=((operation, parameters),), fill=fill)
    if isinstance(operation, ColourMatrix | PixelEffect):
        return Augmentation(colour=((operation, parameters),))
    if operation is CROP:
        return Augmentation(crop=parameters)
    if operation is WARP:
        return Augmentation(displacements=parameters, fill=fill)
    assert operation is ERASE, operation
    return Augmentation(erase=parameters)
