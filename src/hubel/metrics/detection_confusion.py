"""The confusion of classes by a detector, and what it misses or makes up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import Annotation
from hubel.inference.box_overlap import box_iou
from hubel.inference.detections import Detections

__all__ = ["detection_confusion", "image_f1"]

_OVERLAP = 0.5


def detection_confusion(found: Detections, truth: Annotation, classes: int) -> NDArray[np.int64]:
    """Return the number of objects by true class (row) and found class (column), `(classes + 1, classes + 1)`.

    The last row has what is found where no object is, the last column the objects that are not found. The surest
    detection takes the free object that it overlaps most, and by at least one half, of whatever class, one of its own
    first; what lies in a crowd does not count.

    >>> box, far = [0.0, 0, 9, 9], [20.0, 0, 29, 9]
    >>> found = Detections(scores=np.ones(2), classes=np.array([1, 1]), boxes=np.array([box, far]))
    >>> truth = Annotation(classes=np.array([0]), boxes=np.array([box]), crowd=np.array([False]))
    >>> detection_confusion(found, truth, 2).tolist()
    [[0, 1, 0], [0, 0, 0], [0, 1, 0]]
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    overlaps = box_iou(found.boxes, truth.boxes, truth.crowd)
    same = found.classes[:, None] == truth.classes[None]
    free = ~truth.crowd
    left = np.ones(len(found), bool)
    for of_own in (True, False):
        for row in np.argsort(-found.scores, kind="stable"):
            fits = np.where(free & (overlaps[row] >= _OVERLAP) & (same[row] | (not of_own)), overlaps[row], -1.0)
            if left[row] and fits.size and fits.max() >= 0:
                best = int(fits.argmax())
                free[best], left[row] = False, False
                counts[truth.classes[best], found.classes[row]] += 1
    in_crowd = (overlaps * truth.crowd >= _OVERLAP).any(1)
    counts[classes] += np.bincount(found.classes[left & ~in_crowd], minlength=classes + 1)
    counts[:, classes] += np.bincount(truth.classes[free], minlength=classes + 1)
    return counts


def image_f1(confusions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return F1 of each image, 0 to 1, from confusions `(n, c + 1, c + 1)`; 1 where nothing is, and nothing found."""
    right = np.trace(confusions[:, :-1, :-1], axis1=1, axis2=2)
    found, objects = confusions[:, :, :-1].sum((1, 2)), confusions[:, :-1].sum((1, 2))
    total = found + objects
    return np.where(total > 0, 2 * right / np.maximum(total, 1), 1.0)
