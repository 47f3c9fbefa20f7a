"""The operations of TrivialAugment and RandAugment, and how far each goes.

Deviations: geometry comes first, in one sampling, and lengths are shares of the sides. TrivialAugment shifts by up to
32 pixels, here of 224; RandAugment by up to 150 of 331. Both papers' lists are those of AutoAugment (Cubuk et al. 2018,
arXiv:1805.09501, Table 6), without the pairing of images, the inversion and the erased square.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.data.augment.colour import BRIGHTNESS, CONTRAST, SATURATION
from hubel.data.augment.effects import AUTOCONTRAST, EQUALIZE, POSTERIZE, SHARPNESS, SOLARIZE
from hubel.data.augment.extremes import MINUS, TIMES
from hubel.data.augment.geometry import ROTATE, SHEAR, SHIFT
from hubel.data.augment.operation import (
    ColourMatrix,
    ColourStep,
    GeometricStep,
    GeometricTransform,
    Operation,
    PixelEffect,
    Setting,
    Stage,
    Values,
)

__all__ = ["AUTOMATIC", "AUTOMATIC_LISTS", "AutomaticOperation", "automatic_level"]

_MOST_OPERATIONS = 16


@dataclass(frozen=True, kw_only=True)
class AutomaticOperation:
    """One operation of a published list.

    Attributes:
        operation: the geometric or colour operation.
        values: what it takes, from a level (0 to 1) and a sign (-1 or 1).
        caption: text of such values.
    """

    operation: GeometricTransform | ColourMatrix | PixelEffect
    values: Callable[[float, float], Values]
    caption: Callable[[Values], str]


def _written(text: str, scale: float = 1) -> Callable[[Values], str]:
    """Return a function that writes each value with a format, after it is scaled."""
    return lambda values: ", ".join(text.format(scale * value) if value else "0" for value in values).replace(
        "-", MINUS
    )


def _slant(tangent: float, level: float, sign: float) -> float:
    return math.degrees(math.atan(sign * tangent * level))


def _operations(
    *, shear: float, shift: float, rotate: float, factor: float, bits: int
) -> tuple[AutomaticOperation, ...]:
    """Return the 14 operations of a list; the first leaves the image unchanged.

    Args:
        shear: largest tangent.
        shift: largest share of a side.
        rotate: largest angle, in degrees.
        factor: largest difference of a factor from 1.
        bits: most bits that are lost.
    """
    degrees, percent = _written("{:+.3g}°"), _written("{:+.3g} %", 100)
    return (
        AutomaticOperation(operation=SHIFT, values=lambda level, sign: (0.0, 0.0), caption=percent),
        AutomaticOperation(
            operation=SHEAR, values=lambda level, sign: (_slant(shear, level, sign), 0.0), caption=degrees
        ),
        AutomaticOperation(
            operation=SHEAR, values=lambda level, sign: (0.0, _slant(shear, level, sign)), caption=degrees
        ),
        AutomaticOperation(operation=SHIFT, values=lambda level, sign: (sign * shift * level, 0.0), caption=percent),
        AutomaticOperation(operation=SHIFT, values=lambda level, sign: (0.0, sign * shift * level), caption=percent),
        AutomaticOperation(operation=ROTATE, values=lambda level, sign: (sign * rotate * level,), caption=degrees),
        *(
            AutomaticOperation(
                operation=operation,
                values=lambda level, sign: (1 + sign * factor * level,),
                caption=_written(f"{TIMES} {{:.3g}}"),
            )
            for operation in (BRIGHTNESS, SATURATION, CONTRAST, SHARPNESS)
        ),
        AutomaticOperation(
            operation=POSTERIZE, values=lambda level, sign: (8.0 - round(bits * level),), caption=_written("{:g} bits")
        ),
        AutomaticOperation(
            operation=SOLARIZE,
            values=lambda level, sign: (255 * (1 - level),),
            caption=lambda values: f"from {values[0]:.3g} on",
        ),
        *(
            AutomaticOperation(operation=operation, values=lambda level, sign: (), caption=lambda values: "applied")
            for operation in (AUTOCONTRAST, EQUALIZE)
        ),
    )


AUTOMATIC_LISTS = {
    "trivialaugment": _operations(shear=0.99, shift=32 / 224, rotate=135, factor=0.99, bits=6),
    "randaugment": _operations(shear=0.3, shift=150 / 331, rotate=30, factor=0.9, bits=4),
}


def automatic_level(automatic: str, strength: float) -> float:
    """Return the largest level, 0 to 1, that a list is applied with: TrivialAugment draws it, RandAugment fixes it."""
    return 1.0 if automatic == "trivialaugment" else strength / 30


def _steps(
    draws: NDArray[np.float64], automatic: str, operations: int, strength: float
) -> list[list[GeometricStep | ColourStep]]:
    listed, trivial = AUTOMATIC_LISTS[automatic], automatic == "trivialaugment"
    most = automatic_level(automatic, strength)
    steps: list[list[GeometricStep | ColourStep]] = []
    for row in draws.reshape(len(draws), _MOST_OPERATIONS, 3)[:, : 1 if trivial else operations].tolist():
        chosen = [
            (
                listed[int(which * len(listed))],
                math.floor(31 * level) / 30 if trivial else most,
                1.0 if sign < 0.5 else -1.0,
            )
            for which, level, sign in row
        ]
        steps.append([(one.operation, one.values(level, sign)) for one, level, sign in chosen])  # type: ignore[misc]
    return steps


AUTOMATIC: Operation[list[GeometricStep | ColourStep]] = Operation(
    name="automatic",
    stage=Stage.AUTOMATIC,
    settings=(Setting("automatic", choices=("none", *AUTOMATIC_LISTS)),),
    options=(Setting("operations", (1, _MOST_OPERATIONS)), Setting("strength", (0, 30))),
    draws=tuple(range(1000, 1000 + 3 * _MOST_OPERATIONS)),  # for each: which, level, sign
    parameters=_steps,
)
