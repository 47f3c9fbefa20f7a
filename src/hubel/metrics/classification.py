"""Metrics of classifiers. Each is a sum over images, divided once at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import DataError, OptionError
from hubel.metrics.calibration import reliability_bins
from hubel.metrics.checks import checked_pair, checked_probabilities
from hubel.metrics.intervals import wilson

__all__ = [
    "ClassMetrics",
    "LabelMetrics",
    "Metrics",
    "MultiLabelMetrics",
    "measure_classification",
    "measure_multilabel",
    "ranks",
    "sample_losses",
]

# Softmax in float32 rounds to 0 below this. A loss of at most 87.3 nats keeps one image from dominating the mean.
SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """Metrics of one class against all others.

    Attributes:
        name: name of the class.
        precision: fraction of the images predicted as this class that have it; 0 if there are none.
        recall: fraction of the images of this class that are predicted as it; 0 if there are none.
        f1: harmonic mean of precision and recall, 0 to 1.
        support: number of images of this class.
        recall_low: lower end of the 95 % interval of the recall; 0 without images.
        recall_high: its upper end; 1 without images.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    recall_low: float
    recall_high: float


@dataclass(frozen=True, kw_only=True)
class LabelMetrics(ClassMetrics):
    """Metrics of one label of a multi-label classifier.

    Attributes:
        average_precision: mean of the precision at each score, weighted by the increase of the recall, 0 to 1; None if
            no image has the label.
    """

    average_precision: float | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Metrics:
    """Metrics of a classifier with one class per image.

    Attributes:
        classes: class names, in the order of the columns.
        n: number of images.
        top1: fraction of the images whose most probable class is the true one.
        top5: fraction of the images whose true class is among the five most probable; None with fewer than six classes.
        nll: mean negative log-likelihood of the true class, in nats.
        ece: expected calibration error over 15 bins of confidence, 0 to 1 (Guo et al. 2017, arXiv:1706.04599, Eq. 3).
        per_class: metrics of each class, in the order of `classes`.
        macro_precision: mean precision of the classes that have images, as all macro numbers: a class that is predicted
            but has no image counts in none of them (in scikit-learn, it does with 0, unless `labels` leaves it out).
        macro_recall: mean recall of the classes that have images; also known as balanced accuracy.
        macro_f1: mean F1 of the classes that have images.
        confusion: number of images by true class (row) and predicted class (column), shape (c, c).
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

    @property
    def predicted_without_images(self) -> int:
        """Return the number of classes that are predicted for some image, although none of the images has them."""
        return int(((self.confusion.sum(0) > 0) & (self.confusion.sum(1) == 0)).sum())

    def to_json(self) -> dict[str, Any]:
        """Return every field as finite JSON values.

        Of the confusion matrix, whose size is the square of the classes, only the counts above 0 are listed, with their
        rows and columns.
        """
        rows, columns = np.nonzero(self.confusion)
        counts = self.confusion[rows, columns]
        sparse = {"true": rows.tolist(), "predicted": columns.tolist(), "images": counts.tolist()}
        return _plain(asdict(self)) | {"confusion": sparse}

    def most_confused(self, k: int = 10) -> list[tuple[str, str, int]]:
        """Return the `k` most frequent confusions as (true class, predicted class, images), largest first."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:k]
        pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [(self.classes[t], self.classes[p], int(wrong[t, p])) for t, p in pairs if wrong[t, p]]


@dataclass(frozen=True, kw_only=True)
class MultiLabelMetrics:
    """Metrics of a multi-label classifier.

    Attributes:
        classes: label names, in the order of the columns.
        n: number of images.
        threshold: probability from which a label is predicted.
        subset_accuracy: fraction of the images whose labels are all predicted correctly.
        micro_f1: F1 over all pairs of image and label, 0 to 1.
        macro_f1: mean F1 of the labels that have images; a label that is predicted but has none is left out.
        mean_average_precision: mean average precision of the labels that have images; independent of the threshold.
        per_class: metrics of each label, in the order of `classes`.
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
        """Return every field as finite JSON values."""
        return _plain(asdict(self))


def measure_classification(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    *,
    predicted: NDArray[np.int64] | None = None,
) -> Metrics:
    """Compute the metrics of a classifier with one class per image.

    Of equally probable classes the first one is predicted, for top-1 and top-5 alike.

    Args:
        probabilities: class probabilities, shape (n, c); rows sum to 1.
        labels: true classes as integers in 0..c-1, shape (n,).
        classes: class names.
        predicted: the classes that are predicted, shape (n,), where these are not the most probable ones.

    Raises:
        DataError: the shapes do not match, or the values are not probabilities.

    >>> measure_classification([[0.9, 0.1], [0.6, 0.4]], [0, 1], ["cat", "dog"]).top1
    0.5
    """
    p, truth = checked_pair(probabilities, labels, "probabilities")
    checked_probabilities(p, exclusive=True)
    n, c = p.shape
    names = _checked_names(classes, c)

    most_probable = p.argmax(axis=1)
    predicted = most_probable if predicted is None else predicted
    correct = predicted == truth
    confusion = np.bincount(truth * c + predicted, minlength=c * c).reshape(c, c)
    support = confusion.sum(axis=1)
    hits, positives = confusion.diagonal(), confusion.sum(axis=0)
    precision, recall, f1 = _precision_recall_f1(hits, positives, support)
    seen = support > 0
    return Metrics(
        classes=names,
        n=n,
        top1=float(correct.sum() / n),
        top5=float((ranks(p, truth) <= 5).sum() / n) if c > 5 else None,
        nll=float(sample_losses(p, truth).sum() / n),
        ece=reliability_bins(p.max(axis=1), most_probable == truth).expected_error,
        per_class=tuple(ClassMetrics(**one) for one in _each_class(names, hits, positives, support)),
        macro_precision=float(precision[seen].mean()),
        macro_recall=float(recall[seen].mean()),
        macro_f1=float(f1[seen].mean()),
        confusion=confusion,
    )


def measure_multilabel(
    probabilities: ArrayLike, targets: ArrayLike, classes: Sequence[str], *, threshold: float = 0.5
) -> MultiLabelMetrics:
    """Compute the metrics of a multi-label classifier.

    Args:
        probabilities: label probabilities, shape (n, c), each 0 to 1.
        targets: 1 where the image has the label and 0 where not, shape (n, c).
        classes: label names.
        threshold: probability from which a label is predicted; above 0, at most 1.

    Raises:
        DataError: the shapes do not match, or no image has a label.
        OptionError: the threshold is not a probability above 0.
    """
    if not 0 < threshold <= 1:
        raise OptionError(f"the threshold must be above 0 and at most 1, not {threshold}")
    p, target = checked_probabilities(probabilities, exclusive=False), np.asarray(targets)
    if target.shape != p.shape:
        raise DataError(f"probabilities of the shape {p.shape} need targets of that shape, not {target.shape}")
    if not np.isin(target, (0, 1)).all():
        raise DataError("targets must be 0 or 1: 1 where the image has the label")
    truth, predicted = target.astype(bool), p >= threshold
    if not truth.any():
        raise DataError(f"none of the {len(p)} images has a label")
    names = _checked_names(classes, p.shape[1])

    hits, positives, support = (truth & predicted).sum(axis=0), predicted.sum(axis=0), truth.sum(axis=0)
    _, _, f1 = _precision_recall_f1(hits, positives, support)
    average = [_average_precision(p[:, i], truth[:, i]) for i in range(len(names))]
    known = [value for value in average if value is not None]
    return MultiLabelMetrics(
        classes=names,
        n=len(p),
        threshold=threshold,
        subset_accuracy=float((truth == predicted).all(axis=1).sum() / len(p)),
        micro_f1=float(2 * hits.sum() / (positives.sum() + support.sum())),
        macro_f1=float(f1[support > 0].mean()),
        mean_average_precision=sum(known) / len(known),
        per_class=tuple(
            LabelMetrics(**one, average_precision=precision)
            for one, precision in zip(_each_class(names, hits, positives, support), average, strict=True)
        ),
    )


def sample_losses(probabilities: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Return the loss of each image, `-log p[label]` in nats, shape (n,); at most 87.3.

    Args:
        probabilities: class probabilities, shape (n, c).
        labels: true classes, shape (n,).
    """
    p, truth = checked_pair(probabilities, labels, "probabilities")
    return np.asarray(-np.log(np.clip(p[np.arange(len(p)), truth].astype(np.float64), SMALLEST, 1.0)) + 0.0)


def ranks(probabilities: ArrayLike, labels: ArrayLike) -> NDArray[np.int64]:
    """Return the rank of the true class of each image, shape (n,): 1 where it is the most probable class.

    Of equally probable classes the one with the lower index ranks first.

    Args:
        probabilities: class probabilities, shape (n, c).
        labels: true classes, shape (n,).

    >>> ranks([[0.1, 0.5, 0.4], [0.3, 0.3, 0.4]], [2, 0])
    array([2, 2])
    """
    p, truth = checked_pair(probabilities, labels, "probabilities")
    of_true = p[np.arange(len(p)), truth][:, None]
    earlier = np.arange(p.shape[1]) < truth[:, None]
    return np.asarray(((p > of_true) | ((p == of_true) & earlier)).sum(axis=1)) + 1


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Replace tuples by lists, as in JSON."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _checked_names(classes: Sequence[str], c: int) -> tuple[str, ...]:
    if len(classes) != c:
        raise DataError(f"probabilities with {c} columns need {c} class names, not {len(classes)}")
    return tuple(classes)


def _precision_recall_f1(
    hits: NDArray[np.int64], positives: NDArray[np.int64], support: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compute precision, recall and F1 of each class; 0 / 0 is 0."""
    return (
        hits / np.maximum(positives, 1),
        hits / np.maximum(support, 1),
        2 * hits / np.maximum(positives + support, 1),
    )


def _each_class(
    names: Sequence[str], hits: NDArray[np.int64], positives: NDArray[np.int64], support: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Return the fields of `ClassMetrics` of each class."""
    shares = zip(*(part.tolist() for part in _precision_recall_f1(hits, positives, support)), strict=True)
    found = []
    for name, (precision, recall, f1), hit, images in zip(names, shares, hits.tolist(), support.tolist(), strict=True):
        low, high = wilson(hit, images)
        numbers = {"precision": precision, "recall": recall, "f1": f1, "support": images}
        found.append({"name": name, **numbers, "recall_low": low, "recall_high": high})
    return found


def _average_precision(score: NDArray[Any], truth: NDArray[np.bool_]) -> float | None:
    """Sum (R_k - R_{k-1}) P_k over the distinct scores, highest first; None without positives."""
    if not truth.any():
        return None
    order = np.argsort(-score, kind="stable")
    # Equal scores cannot be separated by a threshold, so that only the last of each group is one.
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = truth[order].cumsum()[last]
    return float((np.diff(hits, prepend=0) * hits / (last + 1)).sum() / truth.sum())
