"""Detections: the objects that a network finds on one image."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Detections"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Detections:
    """The objects that a network finds on one image, in the units of `Annotation`.

    Attributes:
        scores: of each object, 0 to 1, float64 `(k,)`.
        classes: of each object, int64 `(k,)`.
        boxes: left, top, right, bottom of each object, float64 `(k, 4)`.
        points: x, y and score of each object's key points, float64 `(k, j, 3)`.
    """

    scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    classes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0, 3)))

    def __len__(self) -> int:
        return len(self.scores)

    def part(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Detections:
        """Return some of the objects, in this order."""
        points = self.points[rows] if len(self.points) else self.points
        return Detections(scores=self.scores[rows], classes=self.classes[rows], boxes=self.boxes[rows], points=points)
