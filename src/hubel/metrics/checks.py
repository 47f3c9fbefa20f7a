"""Validate the arrays that metrics are computed from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import DataError

__all__ = ["checked_pair", "checked_probabilities", "checked_scores"]

ROUNDING = 1e-2  # probabilities of half precision and int8 networks sum to 1 approximately; logits do not


def checked_scores(scores: ArrayLike, name: str) -> NDArray[Any]:
    """Return `scores` as a finite array of shape (n, c), n and c at least 1; messages call it `name`.

    Raises:
        DataError: the shape is wrong, or a score is NaN or infinite.
    """
    array = np.asarray(scores)
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"{name} must have the shape (images, classes), at least (1, 1), not {array.shape}")
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        raise DataError(
            f"{name} are NaN or infinite in {bad.sum()} of {len(array)} rows; the first is row {bad.argmax()}"
        )
    return array


def checked_pair(scores: ArrayLike, labels: ArrayLike, name: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return `scores` (n, c) and the true classes `labels` (n,), each in 0..c-1, as arrays.

    Raises:
        DataError: the scores are not finite, or the labels do not match them.
    """
    array, truth = checked_scores(scores, name), np.asarray(labels)
    n, c = array.shape
    if truth.shape != (n,):
        raise DataError(f"{n} rows of {name} need labels of the shape ({n},), not {truth.shape}")
    if not np.issubdtype(truth.dtype, np.integer):
        raise DataError(f"labels must be class indices of an integer type, not {truth.dtype}")
    outside = (truth < 0) | (truth >= c)
    if outside.any():
        raise DataError(f"label {truth[outside.argmax()]} is outside 0..{c - 1}: {name} have {c} columns")
    return array, truth.astype(np.int64, copy=False)


def checked_probabilities(probabilities: ArrayLike, *, exclusive: bool) -> NDArray[Any]:
    """Return `probabilities` (n, c), each 0 to 1; each row sums to 1 if `exclusive`. Logits are refused.

    Raises:
        DataError: the values are not probabilities.
    """
    array = checked_scores(probabilities, "probabilities")
    if array.min() < -ROUNDING or array.max() > 1 + ROUNDING:
        raise DataError(f"probabilities must be 0 to 1, not {array.min():.4g} to {array.max():.4g}")
    if exclusive:
        off = np.abs(array.sum(axis=1, dtype=np.float64) - 1)
        if off.max() > ROUNDING:
            worst = int(off.argmax())
            raise DataError(f"the probabilities of row {worst} sum to {array[worst].sum():.4g} instead of 1")
    return array
