"""Intervals of the metrics of classifiers. A macro metric is computed again with weights of images, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.language import plural, split_name
from hubel.metrics.classification import ClassMetrics, Metrics, MultiLabelMetrics
from hubel.metrics.intervals import Interval, bootstrap, score_interval, wilson
from hubel.metrics.tables import percent

__all__ = [
    "classification_intervals",
    "few_images",
    "multi_label_intervals",
    "weighted_label_metrics",
    "weighted_macro_metrics",
]

FEW = 10  # images of a class, below which a remark says how little its recall tells
_NAMED = 5  # classes in that remark
_MANY_SCORES = 50_000  # from which on average precision, which goes through all of them, has fewer replicates
_MOST_SCORES = 20_000_000  # in all these replicates
_FEWEST = 100  # replicates nevertheless


def classification_intervals(
    metrics: Metrics, labels: NDArray[np.int64], predicted: NDArray[np.int64]
) -> dict[str, Interval]:
    """Return the 95 % intervals of top-1, top-5 and the macro metrics, by the names of their fields.

    Macro metrics are bootstrapped within classes. Of a class with a single image, the bootstrap sees no variance; it is
    given the largest that there can be, that of an image which is right with the probability of the macro metric.

    Args:
        metrics: as measured.
        labels: true classes, shape (n,).
        predicted: predicted classes, shape (n,).
    """
    n, support = metrics.n, np.bincount(labels, minlength=len(metrics.classes))
    found = {"top1": wilson(round(metrics.top1 * n), n)}
    if metrics.top5 is not None:
        found["top5"] = wilson(round(metrics.top5 * n), n)
    names = ("macro_precision", "macro_recall", "macro_f1")
    cells, images = np.unique(labels * len(metrics.classes) + predicted, return_counts=True)  # of the confusion matrix
    rows, columns = np.divmod(cells, len(metrics.classes))
    errors = bootstrap(lambda weights: weighted_macro_metrics(weights, rows, columns), images, strata=rows).std(0)
    seen = support[support > 0]
    classes, single = len(seen), int((seen == 1).sum())
    effective = classes**2 / float((1 / seen).sum())  # of the mean of equal recalls
    for name, error in zip(names, errors.tolist(), strict=True):
        value = getattr(metrics, name)
        whole = (error**2 + single * value * (1 - value) / classes**2) ** 0.5
        found[name] = score_interval(value, whole, effective)
    return found


def weighted_macro_metrics(
    weights: NDArray[np.float64], labels: NDArray[np.int64], predicted: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return macro precision, recall and F1 of weighted images, (b, 3), over the classes that have images.

    Args:
        weights: of the images in each of b cases, shape (b, n), such that no class weighs nothing.
        labels: true classes, shape (n,).
        predicted: predicted classes, shape (n,).
    """
    classes, truth = np.unique(labels, return_inverse=True)
    right = labels == predicted
    support = _sums(weights, truth, len(classes))
    hits = _sums(weights[:, right], truth[right], len(classes))
    place = np.minimum(np.searchsorted(classes, predicted), len(classes) - 1)
    wrong = ~right & (classes[place] == predicted)  # classes without images have no metric
    positives = hits + _sums(weights[:, wrong], place[wrong], len(classes))
    tiny = np.finfo(np.float64).tiny  # 0 / 0 is 0
    parts = (hits / np.maximum(positives, tiny), hits / support, 2 * hits / (positives + support))
    return np.stack([part.mean(1) for part in parts], axis=1)


def _sums(weights: NDArray[np.float64], group: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
    """Return the sum of the weights (b, n) of each group, (b, groups)."""
    found = np.zeros((len(weights), groups))
    if len(group):
        order = np.argsort(group, kind="stable")
        present, first = np.unique(group[order], return_index=True)
        found[:, present] = np.add.reduceat(weights[:, order], first, axis=1)
    return found


def multi_label_intervals(
    metrics: MultiLabelMetrics, probabilities: NDArray[Any], targets: NDArray[Any]
) -> dict[str, Interval]:
    """Return the 95 % intervals of the metrics of a multi-label classifier, by the names of their fields.

    Args:
        metrics: as measured.
        probabilities: label probabilities, shape (n, c).
        targets: 1 where the image has the label and 0 where not, shape (n, c).
    """
    n, truth = metrics.n, targets > 0
    replicates = None if truth.size < _MANY_SCORES else max(_FEWEST, _MOST_SCORES // truth.size)
    values = bootstrap(
        lambda weights: weighted_label_metrics(weights, probabilities, truth, metrics.threshold),
        np.ones(n, np.int64),
        replicates=replicates,
    )
    names = ("micro_f1", "macro_f1", "mean_average_precision")
    return {
        "subset_accuracy": wilson(round(metrics.subset_accuracy * n), n),
        **{
            name: score_interval(getattr(metrics, name), float(error), n)
            for name, error in zip(names, values.std(0), strict=True)
        },
    }


def weighted_label_metrics(
    weights: NDArray[np.float64], probabilities: NDArray[Any], truth: NDArray[np.bool_], threshold: float
) -> NDArray[np.float64]:
    """Return micro F1, macro F1 and mean average precision of weighted images, shape (b, 3).

    Macro metrics are means over the labels that have an image of a weight above 0.

    Args:
        weights: of the images in each of b cases, shape (b, n).
        probabilities: label probabilities, shape (n, c).
        truth: whether the image has the label, shape (n, c).
        threshold: probability from which a label is predicted.
    """
    predicted = probabilities >= threshold
    hits, positives, support = (
        weights @ part.astype(np.float64) for part in (truth & predicted, predicted, truth)
    )  # (b, c) each
    tiny, seen = np.finfo(np.float64).tiny, support > 0
    micro = 2 * hits.sum(1) / np.maximum(positives.sum(1) + support.sum(1), tiny)
    f1 = 2 * hits / np.maximum(positives + support, tiny)
    columns = zip(probabilities.T, truth.T, strict=True)
    average = np.stack([_average_precision(weights, score, has) for score, has in columns], axis=1)
    labels = np.maximum(seen.sum(1), 1)
    return np.stack([micro, (f1 * seen).sum(1) / labels, (average * seen).sum(1) / labels], axis=1)


def _average_precision(
    weights: NDArray[np.float64], score: NDArray[Any], truth: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the average precision of one label in each case, (b,); 0 without positives."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # of equal scores
    sorted_weights = weights[:, order]
    hits = (sorted_weights * truth[order]).cumsum(1)[:, last]
    tiny = np.finfo(np.float64).tiny
    precision = hits / np.maximum(sorted_weights.cumsum(1)[:, last], tiny)
    return np.asarray((np.diff(hits, prepend=0.0, axis=1) * precision).sum(1) / np.maximum(hits[:, -1], tiny))


def few_images(per_class: Sequence[ClassMetrics], split: str) -> list[str]:
    """Return a remark on classes with 1 to 9 images, whose recall says little; none if there are no such classes.

    Args:
        per_class: metrics of the classes.
        split: name of the images, such as "test".
    """
    few = sorted((one for one in per_class if 0 < one.support < FEW), key=lambda one: one.support)
    if not few:
        return []
    named = ", ".join(f"{one.name} {one.support}" for one in few[:_NAMED])
    more = ", ..." if len(few) > _NAMED else ""
    worst = few[0]
    return [
        plural(
            "remark.few",
            len(few),
            few=FEW,
            split=split_name(split),
            named=f"{named}{more}",
            worst=worst.name,
            low=percent(worst.recall_low, 0),
            high=percent(worst.recall_high, 0),
        )
    ]
