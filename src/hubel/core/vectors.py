"""Vectors of which only the direction counts."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["unit"]

Float = TypeVar("Float", bound=np.floating[Any])


def unit(vectors: NDArray[Float]) -> NDArray[Float]:
    """Return vectors `(..., d)` scaled to unit length; zeros stay zeros.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(vectors.dtype).tiny))
