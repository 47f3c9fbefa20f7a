"""The numbers that say how good a classifier is. Each is a sum over images, divided once at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import DataError, OptionError
from hubel.metrics.calibration import reliability_bins
from hubel.metrics.checks import checked_pair, checked_probabilities

__all__ = [
    "ClassMetrics",
    "LabelMetrics",
    "Metrics",
    "MultiLabelMetrics",
    "measure_classification",
    "measure_multilabel",
    "sample_losses",
]

# Softmax in float32 rounds to 0 below this. A loss of 87.3 nats keeps one image from swamping the mean.
SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class ClassMetrics:
    """One class against all others.

    Attributes:
        name: the class.
        precision: of the images that were given this class, the fraction that have it; 0 when there are none.
        recall: of the images that have this class, the fraction that were given it; 0 when there are none.
        f1: the harmonic mean of the two, 0 to 1.
        support: how many images have this class.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class LabelMetrics(ClassMetrics):
    """One label of a task where an image may have several.

    Attributes:
        average_precision: the precision at each score where recall grows, weighted by that growth, 0 to 1;
            None when no image has the label.
    """

    average_precision: float | None


@dataclass(frozen=True, eq=False)
class Metrics:
    """How good a classifier with one class per image is.

    Attributes:
        classes: the names, in the order of the columns.
        n: how many images.
        top1: fraction whose most probable class is the true one.
        top5: fraction whose true class is among the five most probable; None with fewer than six classes.
        nll: mean negative log-likelihood of the true class, in nats.
        ece: expected calibration error over 15 bins of confidence, 0 to 1 (Guo et al. 2017, arXiv:1706.04599,
            Eq. 3).
        per_class: one entry per class, in the order of `classes`.
        macro_precision: mean over the classes that have at least one image.
        macro_recall: likewise; also known as balanced accuracy.
        macro_f1: likewise.
        confusion: how many images of each true class (row) were given each class (column), shape (c, c).
    """

    classes: tuple[str, ...]
    n: int
    top1: float
    top5: float | None
    nll: float
    ece: float
    per_class: tuple[ClassMetrics, ...]
    macro_precision: float
    macro_recall: float
    macro_f1: float
    confusion: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """Every field as plain, finite JSON values."""
        return _plain(asdict(self)) | {"confusion": self.confusion.tolist()}

    def most_confused(self, k: int = 10) -> list[tuple[str, str, int]]:
        """The `k` commonest mistakes as (true class, predicted class, images), largest first."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:k]
        pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [(self.classes[t], self.classes[p], int(wrong[t, p])) for t, p in pairs if wrong[t, p]]


@dataclass(frozen=True)
class MultiLabelMetrics:
    """How good a classifier with any number of labels per image is.

    Attributes:
        classes: the names, in the order of the columns.
        n: how many images.
        threshold: a label is given when its probability is at least this.
        subset_accuracy: fraction of the images whose labels are all right.
        micro_f1: F1 over all decisions together, 0 to 1.
        macro_f1: mean F1 over the labels that at least one image has.
        mean_average_precision: mean over the labels that at least one image has; needs no threshold.
        per_class: one entry per label, in the order of `classes`.
    """

    classes: tuple[str, ...]
    n: int
    threshold: float
    subset_accuracy: float
    micro_f1: float
    macro_f1: float
    mean_average_precision: float
    per_class: tuple[LabelMetrics, ...]

    def to_json(self) -> dict[str, Any]:
        """Every field as plain, finite JSON values."""
        return _plain(asdict(self))


def measure_classification(probabilities: ArrayLike, labels: ArrayLike, classes: Sequence[str]) -> Metrics:
    """Measure a classifier that gives each image one class.

    Of equally probable classes the first one counts as preferred, for top-1 and top-5 alike.

    Args:
        probabilities: shape (n, c), rows that sum to 1.
        labels: the true classes as integers in 0..c-1, shape (n,).
        classes: c names.

    Raises:
        DataError: the arrays do not fit each other, or hold what is no probability.

    >>> measure_classification([[0.9, 0.1], [0.6, 0.4]], [0, 1], ["cat", "dog"]).top1
    0.5
    """
    p, truth = checked_pair(probabilities, labels, "probabilities")
    checked_probabilities(p, exclusive=True)
    n, c = p.shape
    names = _checked_names(classes, c)

    predicted = p.argmax(axis=1)
    correct = predicted == truth
    confusion = np.bincount(truth * c + predicted, minlength=c * c).reshape(c, c)
    support = confusion.sum(axis=1)
    precision, recall, f1 = _precision_recall_f1(confusion.diagonal(), confusion.sum(axis=0), support)
    seen = support > 0
    return Metrics(
        classes=names,
        n=n,
        top1=float(correct.sum() / n),
        top5=float((_rank(p, truth) < 5).sum() / n) if c > 5 else None,
        nll=float(sample_losses(p, truth).sum() / n),
        ece=reliability_bins(p.max(axis=1), correct).expected_error,
        per_class=tuple(
            ClassMetrics(name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
            for i, name in enumerate(names)
        ),
        macro_precision=float(precision[seen].mean()),
        macro_recall=float(recall[seen].mean()),
        macro_f1=float(f1[seen].mean()),
        confusion=confusion,
    )


def measure_multilabel(
    probabilities: ArrayLike, targets: ArrayLike, classes: Sequence[str], *, threshold: float = 0.5
) -> MultiLabelMetrics:
    """Measure a classifier that gives each image any number of labels.

    Args:
        probabilities: shape (n, c), each 0 to 1.
        targets: 1 where the image has the label and 0 where not, shape (n, c).
        classes: c names.
        threshold: a label is given when its probability is at least this; above 0, at most 1.

    Raises:
        DataError: the arrays do not fit each other, or no image has any label.
        OptionError: the threshold is not a probability above 0.
    """
    if not 0 < threshold <= 1:
        raise OptionError(f"the threshold must be above 0 and at most 1, not {threshold}")
    p, target = checked_probabilities(probabilities, exclusive=False), np.asarray(targets)
    if target.shape != p.shape:
        raise DataError(f"probabilities of the shape {p.shape} need targets of that shape, not {target.shape}")
    if not np.isin(target, (0, 1)).all():
        raise DataError("targets must be 0 or 1: whether the image has the label")
    truth, given = target.astype(bool), p >= threshold
    if not truth.any():
        raise DataError(f"none of the {len(p)} images has a label, so there is nothing to measure")
    names = _checked_names(classes, p.shape[1])

    hits, chosen, support = (truth & given).sum(axis=0), given.sum(axis=0), truth.sum(axis=0)
    precision, recall, f1 = _precision_recall_f1(hits, chosen, support)
    average = [_average_precision(p[:, i], truth[:, i]) for i in range(len(names))]
    known = [value for value in average if value is not None]
    return MultiLabelMetrics(
        classes=names,
        n=len(p),
        threshold=threshold,
        subset_accuracy=float((truth == given).all(axis=1).sum() / len(p)),
        micro_f1=float(2 * hits.sum() / (chosen.sum() + support.sum())),
        macro_f1=float(f1[support > 0].mean()),
        mean_average_precision=sum(known) / len(known),
        per_class=tuple(
            LabelMetrics(name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]), average[i])
            for i, name in enumerate(names)
        ),
    )


def sample_losses(probabilities: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """The loss of each image, `-log p[label]` in nats, shape (n,); at most 87.3.

    Args:
        probabilities: shape (n, c).
        labels: the true classes, shape (n,).
    """
    p, truth = checked_pair(probabilities, labels, "probabilities")
    return np.asarray(-np.log(np.clip(p[np.arange(len(p)), truth].astype(np.float64), SMALLEST, 1.0)) + 0.0)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists and no tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _checked_names(classes: Sequence[str], c: int) -> tuple[str, ...]:
    if len(classes) != c:
        raise DataError(f"probabilities with {c} columns need {c} class names, not {len(classes)}")
    return tuple(classes)


def _rank(p: NDArray[Any], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many classes come before the true one: more probable, or equally so with a lower number."""
    of_true = p[np.arange(len(p)), truth][:, None]
    earlier = np.arange(p.shape[1]) < truth[:, None]
    return np.asarray(((p > of_true) | ((p == of_true) & earlier)).sum(axis=1))


def _precision_recall_f1(
    hits: NDArray[np.int64], chosen: NDArray[np.int64], support: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Per class; a fraction of nothing is 0."""
    return (
        hits / np.maximum(chosen, 1),
        hits / np.maximum(support, 1),
        2 * hits / np.maximum(chosen + support, 1),
    )


def _average_precision(score: NDArray[Any], truth: NDArray[np.bool_]) -> float | None:
    """Sum of (R_k - R_{k-1}) P_k over the distinct scores, highest first; None without a positive."""
    if not truth.any():
        return None
    order = np.argsort(-score, kind="stable")
    # Equal scores cannot be told apart, so that only the last of each group is a place to cut.
    cut = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = truth[order].cumsum()[cut]
    return float((np.diff(hits, prepend=0) * hits / (cut + 1)).sum() / truth.sum())
