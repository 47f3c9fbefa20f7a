"""The order of an epoch that shows each class equally often: a pure function of the targets, the seed and the epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import permutation

__all__ = ["balanced_order", "draw_epochs", "repetitions"]

_REPEAT = 2**32  # added to the epoch of the draws for each repetition of an image within an epoch
_CLASS, _SHUFFLE = 1, 2  # separate the draws within a class, and the last shuffle, from those of the plain order


def balanced_order(targets: NDArray[Any], seed: int, epoch: int) -> NDArray[np.int64]:
    """Return as many positions as there are images, int64 `(n,)`: each class has the same number, give or take one.

    Of a class, all images come before any comes again. The classes with one more change from epoch to epoch.

    Args:
        targets: class numbers `(n,)`.
        seed: of the run.
        epoch: from 0 on.
    """
    names = np.unique(targets)
    wanted = np.full(len(names), len(targets) // len(names))
    wanted[permutation(len(names), seed, epoch, _CLASS)[: len(targets) % len(names)]] += 1
    drawn = []
    for name, number in zip(names.tolist(), wanted.tolist(), strict=True):
        own = np.flatnonzero(targets == name)
        rounds = range(-(-number // len(own)))
        order = [own[permutation(len(own), seed, epoch, _CLASS, name, turn)] for turn in rounds]
        drawn.append(np.concatenate([*order, own[:0]])[:number])
    positions = np.concatenate(drawn)
    return positions[permutation(len(positions), seed, epoch, _SHUFFLE)]


def draw_epochs(order: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
    """Return the number that stands for the epoch in the draws of each position: another one for each repetition."""
    return epoch + _REPEAT * repetitions(order)


def repetitions(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many times each position of an order has come before.

    >>> repetitions(np.array([7, 3, 7, 7, 3]))
    array([0, 0, 1, 2, 1])
    """
    by_position = np.argsort(order, kind="stable")
    _, first, counts = np.unique(order[by_position], return_index=True, return_counts=True)
    seen = np.empty(len(order), np.int64)
    seen[by_position] = np.arange(len(order)) - np.repeat(first, counts)
    return seen
