"""Images unlike all others of a data set, by the distance to their nearest neighbours among the features.

Ramaswamy, Rastogi & Shim 2000 (SIGMOD, "Efficient algorithms for mining outliers"); on features of unit length as in
Sun et al. 2022 (ICML, arXiv:2204.06507).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.core.progress import bar

__all__ = ["Outliers", "neighbour_distances", "outliers"]

# Measured on 1,293 photos of clothes among which 20 photos of other things were put (4 draws): 19 or 20 of these are
# the 20 farthest, for 5, 10 and 20 neighbours alike; 16 or 17 lie beyond 3 robust standard deviations, and no photo of
# clothes does. Distances within the own class mark more (nearly all 20, and one photo of clothes), but mislabelled
# images too, which `label_errors` is for. Not found: 20 blurred 32x32 pictures of CIFAR-10; at most two are among the
# 20 farthest.
_NEIGHBOURS = 10
_LIMIT = 3.0
_ROWS = 1024  # of the matrix of similarities at a time: 400 MB at 100,000 images
_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Outliers:
    """How unusual each image is.

    Attributes:
        deviations: per image, by how many robust standard deviations its distance lies above the median.
        rows: places of the images beyond the threshold, the most unusual first.
    """

    deviations: NDArray[np.float64]
    rows: NDArray[np.int64]


def neighbour_distances(features: NDArray[np.float32], *, neighbours: int = _NEIGHBOURS) -> NDArray[np.float64]:
    """For each row of features `(n, d)`, the mean of 1 - cosine to its nearest other rows; 0 for a single row."""
    x = (features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), _LEAST)).astype(np.float32)
    n = len(x)
    near = min(neighbours, n - 1)
    if near < 1:
        return np.zeros(n)
    found = np.empty(n)
    with bar("looking for outliers", n) as progress:
        for start in range(0, n, _ROWS):
            cosines = x[start : start + _ROWS] @ x.T
            rows = np.arange(len(cosines))
            cosines[rows, start + rows] = -np.inf
            cosines.partition(n - near, axis=1)
            found[start + rows] = 1 - cosines[:, n - near :].mean(1, dtype=np.float64)
            progress.step(len(rows))
    return np.maximum(found, 0)


def outliers(features: NDArray[np.float32], *, limit: float = _LIMIT) -> Outliers:
    """The images whose neighbours are unusually far away.

    Usual is the median; the unit is the median absolute deviation times 1.4826, which is the standard deviation of a
    normal distribution (Iglewicz & Hoaglin 1993).

    Args:
        features: `(n, d)` of a network.
        limit: how many of these units are too many.
    """
    distances = neighbour_distances(features)
    if not len(distances):
        return Outliers(distances, np.empty(0, np.int64))
    above = distances - np.median(distances)
    unit = 1.4826 * float(np.median(np.abs(above)))
    # Where half of the images are equally far from their neighbours, nothing says what is unusual.
    deviations = above / unit if unit > _LEAST else np.zeros_like(above)
    order = np.argsort(-deviations, kind="stable")
    return Outliers(deviations, order[deviations[order] > limit])
