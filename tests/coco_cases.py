"""Random detections and objects for the tests of average precision, with all that is special in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import Annotation
from hubel.inference.detections import Detections

__all__ = ["random_case"]

SIDE = 200.0
JOINTS = 17


def random_case(seed: int, *, points: bool = False) -> tuple[list[Detections], list[Annotation], int]:
    """Return detections and objects of some images and the number of classes.

    There are images without detections, without objects and without both, objects of all sizes, crowds, objects that
    are the same, equal scores, boxes of no area, classes that occur on one side only, and detections near objects.
    """
    rng = np.random.default_rng(seed)
    classes, images = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    found, truth = [], []
    for _ in range(images):
        m = int(rng.integers(0, 7)) * int(rng.random() < 0.8)
        boxes = _boxes(rng, m)
        if m > 1 and rng.random() < 0.3:
            boxes[1] = boxes[0]
        crowd = rng.random(m) < 0.2
        marked = _points(rng, boxes, crowd) if points else np.zeros((0, 0, 3))
        numbers = rng.integers(0, classes, m)
        truth.append(Annotation(classes=numbers, boxes=boxes, crowd=crowd & (not points), points=marked))
        k = int(rng.integers(0, 12)) * int(rng.random() < 0.8)
        near = rng.integers(0, m, k) if m else np.zeros(k, np.int64)
        mine = _boxes(rng, k)
        close = (rng.random(k) < 0.7) & (m > 0)
        if m:
            moved = boxes[near] + rng.normal(0, 1, (k, 4)) * rng.choice([0, 1, 5, 20], (k, 1))
            moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2])
            mine = np.where(close[:, None], moved, mine)
        guessed = np.where(close & (rng.random(k) < 0.8), numbers[near] if m else 0, rng.integers(0, classes, k))
        scores = rng.random(k).round(int(rng.integers(1, 4)))
        if points:
            theirs = marked[near] if m else np.zeros((k, JOINTS, 3))
            placed = rng.uniform(0, SIDE, (k, JOINTS, 3))
            spread = rng.choice([0.5, 3, 10], (k, 1, 1))
            placed = np.where(close[:, None, None], theirs + rng.normal(0, 1, placed.shape) * spread, placed)
            corners = placed[..., :2]
            mine = np.concatenate([corners.min(1), corners.max(1)], axis=1) if k else mine
            found.append(Detections(scores=scores, classes=guessed, boxes=mine, points=placed))
        else:
            found.append(Detections(scores=scores, classes=guessed, boxes=mine))
    return found, truth, classes


def _boxes(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Return boxes of all sizes; every tenth has no area, some have the area of the border between two sizes."""
    sides = rng.choice([4, 20, 32, 60, 96, 150], (n, 1)) * rng.choice([1.0, 0.7, 1.3], (n, 2)) ** rng.integers(0, 2)
    sides *= rng.random((n, 1)) > 0.1 * (rng.random() < 0.3)
    corner = rng.integers(0, int(SIDE) - 40, (n, 2)).astype(np.float64)
    return np.concatenate([corner, corner + sides], axis=1)


def _points(rng: np.random.Generator, boxes: NDArray[np.float64], hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
    places = boxes[:, None, :2] + rng.random((len(boxes), JOINTS, 2)) * (boxes[:, None, 2:] - boxes[:, None, :2])
    seen = rng.integers(0, 3, (len(boxes), JOINTS, 1)) * ~hidden[:, None, None]
    return np.concatenate([places, seen], axis=2)
