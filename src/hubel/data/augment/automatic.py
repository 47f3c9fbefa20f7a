"""The operations of TrivialAugment and RandAugment, and how far each goes.

Deviations: moves are done first, in one sampling, and lengths are shares of the sides. TrivialAugment moves by up to 32
pixels, here of 224; RandAugment by up to 150 of 331. Both papers' lists are those of AutoAugment (Cubuk et al. 2018,
arXiv:1805.09501, Table 6), without the pairing of images, the inversion and the erased square.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["OPERATIONS", "Operation"]


@dataclass(frozen=True)
class Operation:
    """One of a list.

    Attributes:
        name: of a move or a change of colours.
        moves: whether it is a move.
        values: what it takes, from a strength (0 to 1) and a sign (-1 or 1).
    """

    name: str
    moves: bool
    values: Callable[[float, float], tuple[float, ...]]


def _factor(name: str, most: float) -> Operation:
    return Operation(name, False, lambda level, sign: (1 + sign * most * level,))


def _slant(tangent: float, level: float, sign: float) -> float:
    return math.degrees(math.atan(sign * tangent * level))


def _list(*, shear: float, shift: float, rotate: float, factor: float, bits: int) -> tuple[Operation, ...]:
    """The 14 operations, with the largest tangent, share of a side, degrees, change of a factor, and lost bits."""
    return (
        Operation("shift", True, lambda level, sign: (0.0, 0.0)),  # leave it as it is
        Operation("shear", True, lambda level, sign: (_slant(shear, level, sign), 0.0)),
        Operation("shear", True, lambda level, sign: (0.0, _slant(shear, level, sign))),
        Operation("shift", True, lambda level, sign: (sign * shift * level, 0.0)),
        Operation("shift", True, lambda level, sign: (0.0, sign * shift * level)),
        Operation("rotate", True, lambda level, sign: (sign * rotate * level,)),
        *(_factor(name, factor) for name in ("brightness", "saturation", "contrast", "sharpness")),
        Operation("posterize", False, lambda level, sign: (8.0 - round(bits * level),)),
        Operation("solarize", False, lambda level, sign: (255 * (1 - level),)),
        Operation("autocontrast", False, lambda level, sign: ()),
        Operation("equalize", False, lambda level, sign: ()),
    )


OPERATIONS = {
    "trivialaugment": _list(shear=0.99, shift=32 / 224, rotate=135, factor=0.99, bits=6),
    "randaugment": _list(shear=0.3, shift=150 / 331, rotate=30, factor=0.9, bits=4),
}
