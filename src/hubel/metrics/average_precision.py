"""Average precision of detections, as COCO defines it. Lin et al. 2014, arXiv:1405.0312; `pycocotools.cocoeval`.

A detection is right at a threshold if it overlaps an object of its class by at least that much and no surer detection
has taken the object. Sorted by score, the first k detections have a precision (the share that is right) and a recall
(the share of the objects that is found); average precision is the mean of precision at 101 recalls, each the highest
at this recall or beyond. AP is its mean over the overlaps 0.50, 0.55, ..., 0.95 and over the classes with objects.

Objects that hold a crowd, and those outside a range of sizes, are ignored: neither they nor the detections that match
them count, and a crowd may be matched again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import Annotation
from hubel.inference.box_overlap import box_areas, box_iou
from hubel.inference.detections import Detections
from hubel.metrics.intervals import Interval, share_intervals

__all__ = [
    "RECALLS",
    "SIZES",
    "THRESHOLDS",
    "DetectionMetrics",
    "Matches",
    "Rules",
    "average_precision_intervals",
    "class_matches",
    "measure_detections",
    "metrics_of",
    "precisions",
]

#: The overlaps at which a detection is right.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
#: The recalls at which precision is averaged.
RECALLS = np.linspace(0, 1, 101)
#: The least and the largest area of an object, in square pixels, by the name of the range.
SIZES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}


def box_overlap(found: Detections, truth: Annotation) -> NDArray[np.float64]:
    """Return the intersection over union of detections and objects, `(k, m)`."""
    return box_iou(found.boxes, truth.boxes, truth.crowd)


def is_crowd(truth: Annotation) -> NDArray[np.bool_]:
    """Return which objects hold a crowd, `(m,)`."""
    return truth.crowd


@dataclass(frozen=True)
class Rules:
    """The comparison of detections with objects.

    Attributes:
        overlap: returns the similarity of detections and objects, 0 to 1, `(k, m)`.
        ignored: returns which objects do not count whatever their size, `(m,)`.
        most: the surest detections of a class on an image that count.
    """

    overlap: Callable[[Detections, Annotation], NDArray[np.float64]] = box_overlap
    ignored: Callable[[Annotation], NDArray[np.bool_]] = is_crowd
    most: int = 100


#: The rules for boxes.
BOX_RULES = Rules()


@dataclass(frozen=True, eq=False, kw_only=True)
class Matches:
    """The detections of one class on all images, for each of s ranges of size and t thresholds.

    Attributes:
        scores: of n detections, image by image, float64 `(n,)`.
        images: on which image each is, int64 `(n,)`.
        right: matched with an object that counts, bool `(s, t, n)`.
        wrong: matched with no object, bool `(s, t, n)`; what is neither is ignored.
        objects: number of objects that count, by range of size and image, int64 `(s, images)`.
    """

    scores: NDArray[np.float64]
    images: NDArray[np.int64]
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    objects: NDArray[np.int64]


def class_matches(
    found: Sequence[Detections], truth: Sequence[Annotation], number: int, rules: Rules = BOX_RULES
) -> Matches:
    """Match the detections of a class with its objects, image by image.

    Args:
        found: detections of each image.
        truth: objects of the same images.
        number: of the class.
        rules: how they are compared.
    """
    parts = []
    for image, (detections, objects) in enumerate(zip(found, truth, strict=True)):
        mine, theirs = np.flatnonzero(detections.classes == number), np.flatnonzero(objects.classes == number)
        mine = mine[np.argsort(-detections.scores[mine], kind="stable")[: rules.most]]
        chosen, these = detections.part(mine), _objects(objects, theirs)
        ignored = _outside(box_areas(these.boxes)) | rules.ignored(these)
        outside = _outside(box_areas(chosen.boxes))
        right, wrong = _match(rules.overlap(chosen, these), outside, ignored, these.crowd)
        parts.append((chosen.scores, np.full(len(mine), image), right, wrong, (~ignored).sum(1)))
    if not parts:
        nothing = np.zeros((len(SIZES), len(THRESHOLDS), 0), bool)
        parts = [(np.zeros(0), np.zeros(0, np.int64), nothing, nothing, np.zeros(len(SIZES), np.int64))]
    scores, images, rights, wrongs, counts = zip(*parts, strict=True)
    return Matches(
        scores=np.concatenate(scores),
        images=np.concatenate(images),
        right=np.concatenate(rights, axis=-1),
        wrong=np.concatenate(wrongs, axis=-1),
        objects=np.stack(counts, axis=1),
    )


def _objects(annotation: Annotation, rows: NDArray[np.int64]) -> Annotation:
    points = annotation.points[rows] if len(annotation.points) else annotation.points
    return Annotation(
        classes=annotation.classes[rows], boxes=annotation.boxes[rows], crowd=annotation.crowd[rows], points=points
    )


def _outside(areas: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which areas `(m,)` are outside each range of sizes, `(s, m)`."""
    low, high = np.array(list(SIZES.values())).T[..., None]
    return np.asarray((areas < low) | (areas > high))


def _match(
    overlaps: NDArray[np.float64],
    outside: NDArray[np.bool_],
    ignored: NDArray[np.bool_],
    crowd: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which of the n detections of one image, the surest first, are right, and which are wrong, `(s, t, n)`.

    Each takes the object that it overlaps most of those that are free, rather one that counts than one that is ignored;
    of equal ones, the last.

    Args:
        overlaps: of detections and objects, `(n, m)`.
        outside: which detections are outside each range of sizes, `(s, n)`: they are not wrong.
        ignored: which objects do not count in each range of sizes, `(s, m)`.
        crowd: which objects may be matched again, `(m,)`.
    """
    n, m = overlaps.shape
    right = np.zeros((len(SIZES), len(THRESHOLDS), n), bool)
    wrong = np.repeat(~outside[:, None], len(THRESHOLDS), axis=1)
    free = np.ones((len(SIZES), len(THRESHOLDS), m), bool)
    least = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    for d in np.flatnonzero((overlaps >= least[0]).any(1)):
        fits = free & (overlaps[d] >= least)
        counts = fits & ~ignored[:, None]
        right[..., d] = counts.any(-1)
        fits = np.where(right[..., d, None], counts, fits)
        best = m - 1 - np.where(fits, overlaps[d], -1.0)[..., ::-1].argmax(-1)
        s, t = np.nonzero(fits.any(-1))
        wrong[s, t, d] = False
        free[s, t, best[s, t]] = crowd[best[s, t]]
    return right, wrong


def precisions(matches: Matches, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return the precision at each recall, `(s, t, 101)`; NaN in ranges of size without objects.

    Args:
        matches: of a class.
        weights: of the images, `(images,)`; all 1 if None.
    """
    weights = np.ones(matches.objects.shape[1]) if weights is None else weights
    order = np.argsort(-matches.scores, kind="stable")
    own = weights[matches.images[order]]
    right = np.cumsum(matches.right[..., order] * own, axis=-1)
    wrong = np.cumsum(matches.wrong[..., order] * own, axis=-1)
    highest = right / np.maximum(right + wrong, np.finfo(np.float64).tiny)
    highest = np.maximum.accumulate(highest[..., ::-1], axis=-1)[..., ::-1]  # at this recall or beyond
    objects = matches.objects @ weights
    found = np.full((*right.shape[:2], len(RECALLS)), np.nan)
    for s in np.flatnonzero(objects > 0):
        for t in range(len(THRESHOLDS)):
            place = np.searchsorted(right[s, t] / objects[s], RECALLS, side="left")
            found[s, t] = np.append(highest[s, t], 0.0)[place]  # 0 where the recall is never reached
    return found


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectionMetrics:
    """Metrics of detections. What has no object is NaN; means leave it out.

    Attributes:
        n: number of images.
        classes: their names.
        objects: number of objects of each class without crowds, `(c,)`.
        precision: by class, range of size, threshold and recall (`SIZES`, `THRESHOLDS`, `RECALLS`), `(c, s, t, 101)`.
        recall: highest recall by class, range of size and threshold, `(c, s, t)`.
    """

    n: int
    classes: tuple[str, ...]
    objects: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    @property
    def ap(self) -> float:
        """AP: the mean over classes and the overlaps 0.50 to 0.95."""
        return _mean(self.precision[:, 0])

    @property
    def ap50(self) -> float:
        """AP at an overlap of 0.50."""
        return _mean(self.precision[:, 0, 0])

    @property
    def ap75(self) -> float:
        """AP at an overlap of 0.75."""
        return _mean(self.precision[:, 0, 5])

    @property
    def ar(self) -> float:
        """Average recall: the mean over classes and overlaps of the highest recall."""
        return _mean(self.recall[:, 0])

    @property
    def by_size(self) -> dict[str, float]:
        """AP of small, medium and large objects."""
        return {name: _mean(self.precision[:, s]) for s, name in enumerate(SIZES) if s}

    @property
    def by_class(self) -> dict[str, tuple[float, float]]:
        """AP and AP50 of each class."""
        each = zip(self.classes, self.precision[:, 0], strict=True)
        return {name: (_mean(curve), _mean(curve[0])) for name, curve in each}

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values; None for what has no object."""
        numbers = {"ap": self.ap, "ap50": self.ap50, "ap75": self.ap75, "ar": self.ar}
        sizes = {f"ap_{name}": value for name, value in self.by_size.items()}
        each = [
            {"class": name, "objects": int(count), "ap": _finite(ap), "ap50": _finite(ap50)}
            for (name, (ap, ap50)), count in zip(self.by_class.items(), self.objects, strict=True)
        ]
        plain = {name: _finite(value) for name, value in (numbers | sizes).items()}
        return {"n": self.n, **plain, "per_class": each}


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def measure_detections(
    found: Sequence[Detections],
    truth: Sequence[Annotation],
    classes: Sequence[str],
    rules: Rules = BOX_RULES,
) -> DetectionMetrics:
    """Compute average precision and recall.

    Args:
        found: detections of each image.
        truth: objects of the same images.
        classes: names of the classes, by their number.
        rules: how they are compared; intersection over union of boxes by default.

    >>> box = np.array([[10.0, 10, 30, 30]])
    >>> truth = [Annotation(classes=np.array([0]), boxes=box, crowd=np.array([False]))]
    >>> found = [Detections(classes=np.array([0]), boxes=box + 2, scores=np.array([0.9]))]
    >>> metrics = measure_detections(found, truth, ["tree"])
    >>> round(metrics.ap, 3), metrics.ap50  # the overlap is 0.68: right at 0.50, 0.55, 0.60 and 0.65
    (0.4, 1.0)
    """
    return metrics_of([class_matches(found, truth, number, rules) for number in range(len(classes))], classes)


def metrics_of(each: Sequence[Matches], classes: Sequence[str]) -> DetectionMetrics:
    """Return the metrics of matches of each class."""
    totals = np.array([matches.objects.sum(1) for matches in each]).reshape(len(each), len(SIZES), 1)
    hits = np.array([matches.right.sum(-1) for matches in each]).reshape(len(each), len(SIZES), len(THRESHOLDS))
    shape = (len(each), len(SIZES), len(THRESHOLDS), len(RECALLS))
    return DetectionMetrics(
        n=each[0].objects.shape[1] if each else 0,
        classes=tuple(classes),
        objects=totals[:, 0, 0].astype(np.int64),
        precision=np.array([precisions(matches) for matches in each]).reshape(shape),
        recall=np.divide(hits, totals, out=np.full(hits.shape, np.nan), where=totals > 0),
    )


def average_precision_intervals(each: Sequence[Matches], *, replicates: int = 200) -> dict[str, Interval]:
    """Return the 95 % intervals of AP and AP50: the images are drawn again and again.

    Args:
        each: matches of each class.
        replicates: number of draws.
    """
    of_all = [
        replace(matches, right=matches.right[:1], wrong=matches.wrong[:1], objects=matches.objects[:1])
        for matches in each
    ]

    def measure(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        curves = [np.stack([precisions(matches, row)[0] for matches in of_all]) for row in weights]
        return np.array([(_mean(curve), _mean(curve[:, 0])) for curve in curves])

    images = each[0].objects.shape[1] if each else 0
    return share_intervals(("ap", "ap50"), measure, images, replicates=replicates)
