"""Real handwritten digits as arrays, split once, for the lessons that compare classifiers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import permutation
from hubel.data.sources.builtin import digits

__all__ = ["LEVELS", "SIDE", "Digits", "digit_pictures", "packed"]

SIDE = 8  # pixels
LEVELS = 16  # grey levels above black
_TRAIN, _TEST = 1000, 500
_CODES = "0123456789ABCDEFG"  # one character a grey level


@dataclass(frozen=True, eq=False, kw_only=True)
class Digits:
    """Pictures and their classes.

    Attributes:
        levels: grey levels 0 to 16, int64 `(n, 8, 8)`.
        labels: digits 0 to 9, int64 `(n,)`.
    """

    levels: NDArray[np.int64]
    labels: NDArray[np.int64]


@cache
def digit_pictures() -> tuple[Digits, Digits]:
    """Return 1,000 digits to learn from and 500 others to measure with, drawn at random once and for all."""
    source = digits()
    chosen = permutation(len(source.labels), 0)[: _TRAIN + _TEST]
    pixels = np.stack([source.read(int(row), "") for row in chosen])
    levels = np.rint(pixels * (LEVELS / 255)).astype(np.int64)
    labels = np.array([int(str(source.labels[row])) for row in chosen])
    first, rest = slice(None, _TRAIN), slice(_TRAIN, None)
    return Digits(levels=levels[first], labels=labels[first]), Digits(levels=levels[rest], labels=labels[rest])


def packed(levels: NDArray[np.int64]) -> list[str]:
    """Return each picture as a text of one character a pixel, row by row: 0 to 9, then A for 10 to G for 16.

    >>> packed(np.array([[[0, 9], [10, 16]]]))
    ['09AG']
    """
    codes = np.array(list(_CODES))
    return ["".join(row) for row in codes[levels.reshape(len(levels), -1)]]
