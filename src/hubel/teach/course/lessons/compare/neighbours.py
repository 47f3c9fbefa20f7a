"""k nearest neighbours on the pixels: distances and votes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["classify", "nearest_first", "squared_distances"]


def squared_distances(queries: NDArray[np.float64], stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared Euclidean distance of each query `(q, ...)` to each stored picture `(n, ...)`, `(q, n)`."""
    a, b = queries.reshape(len(queries), -1), stored.reshape(len(stored), -1)
    return np.asarray((a * a).sum(1)[:, None] - 2 * a @ b.T + (b * b).sum(1))


def nearest_first(distances: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the positions of the stored pictures, nearest first, `(q, n)`; of equally near ones, the first."""
    return np.argsort(distances, axis=1, kind="stable")


def classify(order: NDArray[np.int64], labels: NDArray[np.int64], k: int, classes: int = 10) -> NDArray[np.int64]:
    """Return the class with the most votes of the k nearest `(q,)`; of equal ones, the smallest number."""
    votes = (labels[order[:, :k]][:, :, None] == np.arange(classes)).sum(1)
    return np.asarray(votes.argmax(1))
