"""Find outliers of a data set by the distance of their features to the nearest neighbours.

Ramaswamy, Rastogi & Shim 2000 (SIGMOD, "Efficient algorithms for mining outliers"); on features of unit length as in
Sun et al. 2022 (ICML, arXiv:2204.06507).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.core.progress import bar
from hubel.core.vectors import unit

__all__ = ["Outliers", "neighbour_distances", "outliers"]

# Measured on 1,293 photos of clothes among which 20 photos of other things were put (4 draws): 19 or 20 of these are
# the 20 farthest, for 5, 10 and 20 neighbours alike; 16 or 17 lie beyond 3 robust standard deviations, and no photo of
# clothes does. Distances within the own class mark more (nearly all 20, and one photo of clothes), but mislabelled
# images too, which `label_errors` is for. Not found: 20 blurred 32x32 images of CIFAR-10; at most two are among the
# 20 farthest.
_NEIGHBOURS = 10
_LIMIT = 3.0
_ROWS = 1024  # rows of the similarity matrix at a time: 400 MB at 100,000 images
_LEAST = 1e-12


@dataclass(frozen=True, eq=False, kw_only=True)
class Outliers:
    """Distances of images to their nearest neighbours, and the outliers.

    Attributes:
        deviations: distance of each image above the median `(n,)`, in robust standard deviations.
        rows: rows of the images beyond the threshold, the farthest first.
    """

    deviations: NDArray[np.float64]
    rows: NDArray[np.int64]


def neighbour_distances(features: NDArray[np.float32], *, neighbours: int = _NEIGHBOURS) -> NDArray[np.float64]:
    """Return the mean of 1 - cosine of each row of features `(n, d)` to its nearest other rows; 0 for a single row."""
    x = unit(features).astype(np.float32)
    n = len(x)
    k = min(neighbours, n - 1)
    if k < 1:
        return np.zeros(n)
    distances = np.empty(n)
    with bar("finding outliers", n) as progress:
        for start in range(0, n, _ROWS):
            cosines = x[start : start + _ROWS] @ x.T
            rows = np.arange(len(cosines))
            cosines[rows, start + rows] = -np.inf
            cosines.partition(n - k, axis=1)
            distances[start + rows] = 1 - cosines[:, n - k :].mean(1, dtype=np.float64)
            progress.step(len(rows))
    return np.maximum(distances, 0)


def outliers(features: NDArray[np.float32], *, limit: float = _LIMIT) -> Outliers:
    """Find the images whose nearest neighbours are unusually far away.

    The distance is measured from the median in units of 1.4826 times the median absolute deviation, which is the
    standard deviation of a normal distribution (Iglewicz & Hoaglin 1993).

    Args:
        features: features of a network `(n, d)`.
        limit: threshold in these units.
    """
    distances = neighbour_distances(features)
    if not len(distances):
        return Outliers(deviations=distances, rows=np.empty(0, np.int64))
    above = distances - np.median(distances)
    spread = 1.4826 * float(np.median(np.abs(above)))
    # If half of the images are equally far from their neighbours, the scale is undefined.
    deviations = above / spread if spread > _LEAST else np.zeros_like(above)
    order = np.argsort(-deviations, kind="stable")
    return Outliers(deviations=deviations, rows=order[deviations[order] > limit])
