"""The key points of one object from a network's heat maps. Imports no torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import Annotation
from hubel.data.augment.geometry import resize_matrix
from hubel.data.preprocess import Preprocess
from hubel.inference.scores import softmax

__all__ = [
    "NEAR_CELLS",
    "SURE_POINT",
    "annotate_points",
    "around_points",
    "heat_map_stride",
    "network_points",
    "with_visibility",
]

#: The score below which a point is drawn hollow, as one that is hidden.
SURE_POINT = 0.5

#: Cells around the highest one of a heat map, in each direction, whose probabilities are the score.
NEAR_CELLS = 2


def heat_map_stride(side: int, cells: int) -> int:
    """Return the pixels of the input in a cell of a heat map: the least power of two with which the map covers it.

    >>> heat_map_stride(256, 64), heat_map_stride(100, 32)
    (4, 4)
    """
    stride = 1
    while stride * cells < side:
        stride *= 2
    return stride


def network_points(logits: NDArray[np.float32], height: int, width: int) -> NDArray[np.float64]:
    """Return x and y of each point in pixels of the input, and its score, `(j, 3)`.

    The softmax of a heat map is the probability of each of its cells. The point lies in the most probable one, where
    a parabola through the logarithms of this cell and its two neighbours has its top, in x and in y: exact for a
    Gaussian (Zhang et al. 2020, "Distribution-aware coordinate representation for human pose estimation",
    arXiv:1910.06278, Equations 5 to 7, without mixed derivatives). The score is the probability of the 5x5 cells
    around it.

    Args:
        logits: heat maps `(j, rows, columns)`.
        height: of the input, in pixels.
        width: likewise.
    """
    points, rows, columns = logits.shape
    chances = softmax(logits.reshape(points, -1)).reshape(logits.shape)
    best = chances.reshape(points, -1).argmax(1)
    found = np.empty((points, 3))
    for point, (row, column) in enumerate(zip(*np.unravel_index(best, (rows, columns)), strict=True)):
        across = column + 0.5 + _top(logits[point, row, max(0, column - 1) : column + 2])
        down = row + 0.5 + _top(logits[point, max(0, row - 1) : row + 2, column])
        top, left = max(0, row - NEAR_CELLS), max(0, column - NEAR_CELLS)
        near = chances[point, top : row + NEAR_CELLS + 1, left : column + NEAR_CELLS + 1].sum()
        found[point] = across * heat_map_stride(width, columns), down * heat_map_stride(height, rows), near
    return np.minimum(found, (width, height, 1.0))


def _top(values: NDArray[np.float32]) -> float:
    """Return how far the top of a parabola lies from the middle one of three values, -0.5 to 0.5; 0 at an edge."""
    if len(values) < 3:
        return 0.0
    left, middle, right = values.astype(np.float64).tolist()
    bend = 2 * middle - left - right
    return (right - left) / (2 * bend) if bend > 0 else 0.0


def annotate_points(
    output: NDArray[np.float32], preprocess: Preprocess, size: tuple[int, int]
) -> tuple[Annotation, NDArray[np.float64]]:
    """Return the one object of an image with its key points, and its score: the mean of those of its points.

    The third number of a point is its score, 0 to 1. The box is that around the points.

    Args:
        output: heat maps, see `network_points`.
        preprocess: how the image became the input.
        size: height and width of the upright image.
    """
    height, width = size
    points = network_points(output, preprocess.height, preprocess.width)
    to_image = resize_matrix(preprocess, 0, 0, width, height)
    points[:, :2] = np.clip(points[:, :2] * np.diagonal(to_image)[:2] + to_image[:2, 2], 0, (width, height))
    annotation = Annotation(
        classes=np.zeros(1, np.int64), boxes=around_points(points)[None], crowd=np.zeros(1, bool), points=points[None]
    )
    return annotation, points[:, 2].mean(keepdims=True)


def around_points(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return left, top, right and bottom of the points `(j, 2 or more)` of an object, `(4,)`."""
    return np.concatenate([points[:, :2].min(0), points[:, :2].max(0)])


def with_visibility(annotation: Annotation) -> Annotation:
    """Return an annotation whose points have a visibility instead of their score: 2 where they are sure, 1 elsewhere.

    It is drawn, and written as labels, like one that a person has made.
    """
    if not annotation.points.size:
        return annotation
    points = annotation.points.copy()
    points[..., 2] = np.where(points[..., 2] >= SURE_POINT, 2.0, 1.0)
    return replace(annotation, points=points)
