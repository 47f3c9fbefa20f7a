"""Overlaps of boxes: left, top, right, bottom in continuous pixels, so that a box has the area `(r - l) (b - t)`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["box_areas", "box_iou", "intersections"]


def box_areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the areas of boxes `(k, 4)`, `(k,)`; a box with swapped corners has none."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def intersections(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the areas that boxes `(k, 4)` and `(m, 4)` have in common, `(k, m)`."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    sides = np.maximum(np.minimum(first[:, None, 2:], second[None, :, 2:]) - low, 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def box_iou(
    first: NDArray[np.float64], second: NDArray[np.float64], crowd: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return intersection over union of boxes `(k, 4)` and `(m, 4)`, 0 to 1, `(k, m)`; 0 for boxes of no area.

    Args:
        first: boxes.
        second: boxes.
        crowd: which of the second hold groups, `(m,)`: there, the union is the area of the first box alone, as COCO
            does it, so that a box inside the group overlaps it wholly.

    >>> box_iou(np.array([[0.0, 0, 2, 2]]), np.array([[0.0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6]])).round(3).tolist()
    [[1.0, 0.143, 0.0]]
    """
    common, own, other = intersections(first, second), box_areas(first)[:, None], box_areas(second)[None]
    union = own + other - common
    if crowd is not None:
        union = np.where(crowd, own, union)
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))
