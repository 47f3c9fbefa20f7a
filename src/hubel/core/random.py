"""Stateless random numbers: each is a function of its keys.

The order of epoch `e` is a function of `(seed, e)`; the augmentation of a sample is a function of `(seed, e, sample)`.
So a run can be resumed from `(epoch, step)` alone, and the number of loading threads changes nothing.

The mixing function is SplitMix64's finaliser (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number
generators", with Stafford's constants): 64-bit arithmetic only, so that every platform gives the same numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["bits", "fractions", "normal", "permutation", "scalar", "uniform"]

Keys = int | NDArray[Any]


def bits(*keys: Keys) -> NDArray[np.uint64]:
    """Return 64 random bits for each combination of keys, modulo 2**64; arrays are broadcast.

    >>> int(bits(0, 1)), bits(0, np.arange(2)).tolist()
    (533277651790633397, [9263801033069360685, 533277651790633397])
    """
    state = np.asarray(0x9E3779B97F4A7C15, dtype=np.uint64)
    with np.errstate(over="ignore"):  # the arithmetic is modulo 2**64
        for key in keys:
            word = np.asarray(key % 2**64 if isinstance(key, int) else key).astype(np.uint64)
            state = _mix(state * np.uint64(0xD1342543DE82EF95) + word + np.uint64(0x9E3779B97F4A7C15))
    return state


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def uniform(*keys: Keys) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each combination of keys, from the upper 53 of its 64 bits."""
    return fractions(bits(*keys))


def fractions(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return a number in [0, 1) from the upper 53 of each word's 64 bits."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(*keys: Keys) -> NDArray[np.float64]:
    """Return a standard normal number for each combination of keys, from two uniform ones (Box & Muller 1958).

    >>> normal(0, np.arange(3)).round(3).tolist()
    [-1.128, 0.989, -0.656]
    """
    radius = np.sqrt(-2 * np.log1p(-uniform(*keys, 0)))
    return np.asarray(radius * np.cos(2 * np.pi * uniform(*keys, 1)))


def permutation(n: int, *keys: int) -> NDArray[np.int64]:
    """Return a random permutation of `range(n)`, by sorting one random word each."""
    return np.argsort(bits(*keys, np.arange(n)), kind="stable")


def scalar(*keys: int) -> int:
    """Return a non-negative 63-bit number, for use as a seed elsewhere."""
    return int(bits(*keys)) >> 1
