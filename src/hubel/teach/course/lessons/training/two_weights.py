"""The loss of two weights: a neuron with two inputs tells handwritten sevens from eights.

The output is y = w1 x1 + w2 x2, the target +1 for a seven and -1 for an eight, the loss the mean of (y - t)^2 / 2: a
quadratic function L(w) = w H w / 2 - g w + c with H = mean(x x^T), g = mean(t x), c = mean(t^2) / 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.teach.course.digit_pictures import LEVELS, Digits

__all__ = ["BLOCKS", "BLOCK_SIDE", "CLASSES", "Bowl", "bowl", "inputs"]

Floats = NDArray[np.float64]

CLASSES = (7, 8)  # targets +1 and -1
BLOCK_SIDE = 2  # pixels
BLOCKS = ((4, 4), (6, 4))  # upper left pixels (row, column) of the two parts whose mean grey values are the inputs


def inputs(pictures: Digits) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return inputs `(n, 2)` from 0 to 1, targets `(n,)`, and which of the pictures these are."""
    chosen = np.flatnonzero(np.isin(pictures.labels, CLASSES))
    grey = pictures.levels[chosen] / LEVELS
    parts = [grey[:, r : r + BLOCK_SIDE, c : c + BLOCK_SIDE].mean((1, 2)) for r, c in BLOCKS]
    return np.stack(parts, 1), np.where(pictures.labels[chosen] == CLASSES[0], 1.0, -1.0), chosen


@dataclass(frozen=True, eq=False, kw_only=True)
class Bowl:
    """A quadratic loss of two weights.

    Attributes:
        curvature: H, `(2, 2)`.
        minimum: the weights of the lowest loss, `(2,)`.
        lowest: that loss.
        eigenvalues: of H, the larger first, `(2,)`.
    """

    curvature: Floats
    minimum: Floats
    lowest: float
    eigenvalues: Floats

    @property
    def largest_rate(self) -> float:
        """Return the learning rate above which gradient descent diverges: 2 over the largest eigenvalue."""
        return float(2 / self.eigenvalues[0])

    @property
    def condition(self) -> float:
        """Return how many times as steep the steepest direction is as the flattest."""
        return float(self.eigenvalues[0] / self.eigenvalues[1])


def bowl(x: Floats, targets: Floats, decay: float = 0.0) -> Bowl:
    """Return the loss of inputs `(n, 2)` and targets `(n,)`, with weight decay `decay` |w|^2 / 2."""
    curvature = x.T @ x / len(x) + decay * np.eye(2)
    pull = targets @ x / len(x)
    minimum = np.asarray(np.linalg.solve(curvature, pull), np.float64)
    return Bowl(
        curvature=curvature,
        minimum=minimum,
        lowest=float((targets**2).mean() / 2 - pull @ minimum / 2),
        eigenvalues=np.asarray(np.linalg.eigvalsh(curvature)[::-1], np.float64),
    )
