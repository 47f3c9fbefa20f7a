"""Metrics of segmentation: counts of pixels by true and predicted class, added up image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.data.annotation import IGNORED
from hubel.data.augment.opencv import opencv
from hubel.metrics.intervals import Interval, share_intervals

__all__ = [
    "SegmentationMetrics",
    "boundary_f1",
    "measure_segmentation",
    "pixel_confusion",
    "segmentation_intervals",
]

_TOLERANCE = 0.0075  # of the image's diagonal, within which boundaries agree (Csurka 2013, Section 3.2)

Mask = NDArray[np.uint8]


def pixel_confusion(found: Mask, truth: Mask, classes: int) -> NDArray[np.int64]:
    """Return the number of pixels by true class (row) and predicted class (column), `(classes, classes)`.

    Args:
        found: predicted class of each pixel, `(h, w)`.
        truth: true class of each pixel, `(h, w)`; pixels that are `IGNORED` do not count.
        classes: number of classes.

    Raises:
        DataError: the masks differ in size, or a value is no class.

    >>> pixel_confusion(np.uint8([[0, 1, 1]]), np.uint8([[0, 0, 255]]), 2).tolist()
    [[1, 1], [0, 0]]
    """
    if found.shape != truth.shape:
        raise DataError(f"a predicted mask of {found.shape} pixels does not match the true one of {truth.shape}")
    counted = truth != IGNORED
    mine, theirs = found[counted].astype(np.int64), truth[counted].astype(np.int64)
    for name, values in (("predicted", mine), ("true", theirs)):
        if values.size and values.max() >= classes:
            raise DataError(f"a {name} mask has the value {values.max()}, but there are {classes} classes")
    return np.bincount(theirs * classes + mine, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentationMetrics:
    """Metrics of segmentation. What has no pixel is NaN; means leave it out.

    Attributes:
        n: number of images.
        classes: their names.
        confusion: number of pixels by true class (row) and predicted class (column), int64 `(c, c)`.
        boundary_f1: mean over images; see the function of that name. NaN where it was not measured.
    """

    n: int
    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    boundary_f1: float = float("nan")

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class over the pixels of all images, 0 to 1, `(c,)`."""
        return _iou(self.confusion)

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that have pixels, true or predicted."""
        return _mean(self.iou)

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels whose class is predicted, 0 to 1."""
        return float(_share(np.trace(self.confusion), self.confusion.sum()))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of the pixels of each class that are predicted, `(c,)`."""
        return _share(np.diag(self.confusion), self.confusion.sum(1))

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of the pixels predicted as each class that are of it, `(c,)`."""
        return _share(np.diag(self.confusion), self.confusion.sum(0))

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values; None for what has no pixel."""
        columns = zip(self.classes, self.iou, self.recall, self.precision, self.confusion.sum(1), strict=True)
        return {
            "n": self.n,
            "mean_iou": _finite(self.mean_iou),
            "pixel_accuracy": _finite(self.pixel_accuracy),
            "boundary_f1": _finite(self.boundary_f1),
            "per_class": [
                {
                    "class": name,
                    "pixels": int(pixels),
                    "iou": _finite(iou),
                    "recall": _finite(recall),
                    "precision": _finite(precision),
                }
                for name, iou, recall, precision, pixels in columns
            ],
        }


def measure_segmentation(
    confusions: NDArray[np.int64], classes: Sequence[str], boundaries: Sequence[float] = ()
) -> SegmentationMetrics:
    """Compute the metrics of images.

    Args:
        confusions: that of each image, as `pixel_confusion` returns it, `(n, c, c)`.
        classes: names of the classes, by their number.
        boundaries: boundary F1 of each image.
    """
    return SegmentationMetrics(
        n=len(confusions),
        classes=tuple(classes),
        confusion=confusions.sum(0),
        boundary_f1=_mean(np.asarray(boundaries, np.float64)),
    )


def segmentation_intervals(confusions: NDArray[np.int64]) -> dict[str, Interval]:
    """Return the 95 % intervals of mean IoU and pixel accuracy: images are drawn again and again.

    Args:
        confusions: that of each image, `(n, c, c)`.
    """
    n, c, _ = confusions.shape
    flat = confusions.reshape(n, -1).astype(np.float64)

    def measure(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        totals = (weights @ flat).reshape(-1, c, c)
        each = _iou(totals)
        known = ~np.isnan(each)
        right, all_pixels = np.trace(totals, axis1=1, axis2=2), totals.sum((1, 2))
        return np.stack([_share(np.where(known, each, 0).sum(1), known.sum(1)), _share(right, all_pixels)], axis=1)

    return share_intervals(("mean_iou", "pixel_accuracy"), measure, n)


def boundary_f1(found: Mask, truth: Mask, classes: int, *, tolerance: float | None = None) -> float:
    """Return F1 of the boundaries of an image, 0 to 1; NaN for an image without pixels that count.

    Csurka et al. 2013, "What is a good evaluation measure for semantic segmentation?", Section 3.2: precision is the
    share of the predicted boundary that is within a tolerance of the true one, recall that of the true boundary within
    the same distance of the predicted one; the mean of F1 over the classes that are on the image, true or predicted.
    A pixel belongs to a class's boundary if one of its four neighbours is not of the class. Pixels that are `IGNORED`
    have no class and make no boundary.

    Args:
        found: predicted class of each pixel, `(h, w)`.
        truth: true class of each pixel, `(h, w)`, or `IGNORED`.
        classes: number of classes.
        tolerance: greatest distance in pixels; 0.75 % of the diagonal if None.
    """
    counted = truth != IGNORED
    reach = _TOLERANCE * float(np.hypot(*truth.shape)) if tolerance is None else tolerance
    scores = []
    for number in range(classes):
        mine, theirs = (found == number) & counted, truth == number
        if not mine.any() and not theirs.any():
            continue
        edges, true_edges = _boundary(mine, counted), _boundary(theirs, counted)
        if (
            not edges.any() and not true_edges.any()
        ):  # the class fills the image in both, or in one and is not on the other
            scores.append(float(mine.any() and theirs.any()))
            continue
        precision = (edges & _within(true_edges, reach)).sum() / max(int(edges.sum()), 1)
        recall = (true_edges & _within(edges, reach)).sum() / max(int(true_edges.sum()), 1)
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return float(np.mean(scores)) if scores else float("nan")


def _boundary(inside: NDArray[np.bool_], counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a region that have a neighbour outside of it which counts."""
    outside = np.pad(counted & ~inside, 1)
    near = outside[:-2, 1:-1] | outside[2:, 1:-1] | outside[1:-1, :-2] | outside[1:-1, 2:]
    return inside & near


def _within(edges: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    """Return the pixels within a distance of a boundary: it is dilated by a disc."""
    steps = np.arange(-int(reach), int(reach) + 1)
    disc = (steps**2 + steps[:, None] ** 2 <= reach**2).astype(np.uint8)
    return np.asarray(opencv().dilate(edges.view(np.uint8), disc) > 0)


def _iou(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return intersection over union of each class from confusions `(..., c, c)`."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return _share(hits, counts.sum(-1) + counts.sum(-2) - hits)


def _share(part: Any, whole: Any) -> NDArray[np.float64]:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
