"""Fréchet distance between two sets of features, as if both were normally distributed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError

__all__ = ["frechet_distance", "normal_distance", "spread"]

Array = NDArray[np.floating[Any]]


def frechet_distance(first: Array, second: Array) -> float:
    """Return the squared Fréchet distance between the normal distributions of two sets of features.

    It is 0 for the same set twice; a finite sample of the same distribution has a distance above 0, which only sets of
    the same size share. On the features of an Inception network it is known as FID (Heusel et al. 2017,
    arXiv:1706.08500, Eq. 6); on those of another network its values mean something else, and compare sets all the same.

    Args:
        first: features `(n, d)`, at least two rows.
        second: likewise `(m, d)`.

    Raises:
        DataError: a set has fewer than two rows, or they have other numbers of features.

    >>> points = np.array([[0.0, 0.0], [2.0, 0.0]])
    >>> frechet_distance(points, points + [3.0, 4.0])
    25.0
    """
    for features in (first, second):
        if features.ndim != 2 or len(features) < 2 or features.shape[1] != first.shape[1]:
            raise DataError(f"two sets of features (n, d) are compared, of two rows at least, not {features.shape}")
    (m1, c1), (m2, c2) = _moments(first), _moments(second)
    return normal_distance(m1, c1, m2, c2)


def normal_distance(mean_1: Array, covariance_1: Array, mean_2: Array, covariance_2: Array) -> float:
    """Return the squared Fréchet distance of two normal distributions (Heusel et al. 2017, Eq. 6).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2): Dowson & Landau 1982. The trace of the root is the sum of the roots of
    the eigenvalues of C1 C2, which are those of the symmetric R C2 R with R = C1^1/2: no root of an asymmetric matrix.

    Args:
        mean_1: `(d,)`.
        covariance_1: `(d, d)`, symmetric, no eigenvalue below 0.
        mean_2: `(d,)`.
        covariance_2: `(d, d)`.
    """
    root = _root(covariance_1)
    values = np.linalg.eigvalsh(root @ covariance_2 @ root)
    shared = np.sqrt(np.maximum(values, 0)).sum()  # rounding may leave an eigenvalue of 0 below it
    distance = np.square(mean_1 - mean_2).sum() + np.trace(covariance_1) + np.trace(covariance_2) - 2 * shared
    return max(0.0, float(distance))


def spread(features: Array) -> float:
    """Return the root mean square distance of features `(n, d)` from their mean: 0 where all are the same."""
    x = np.asarray(features, np.float64)
    return float(np.sqrt(np.square(x - x.mean(0)).sum(1).mean()))


def _moments(features: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = np.asarray(features, np.float64)
    mean = x.mean(0)
    centred = x - mean
    return mean, centred.T @ centred / (len(x) - 1)


def _root(covariance: Array) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T)
