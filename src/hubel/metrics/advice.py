"""Advise on more training data from the errors of a classifier."""

from __future__ import annotations

from collections.abc import Mapping

from hubel.core.language import plural, sentence
from hubel.metrics.classification import Metrics
from hubel.metrics.tables import percent

__all__ = ["advice"]

_LEAST_MISSED = 2  # misclassified images of a class, or of a pair of classes, that are worth a sentence
_BELOW = 0.05  # difference of recall below the macro recall that makes a class weak
_GOOD_FIT = 0.8  # accuracy from which a wrong label is a likely cause of an error
_SENTENCES = 2  # most sentences of each kind


def advice(metrics: Metrics, training_images: Mapping[str, int]) -> list[str]:
    """Write sentences on the weakest classes and the most frequent confusions; none if there are no such.

    Args:
        metrics: metrics on held-out images.
        training_images: number of training images of each class.
    """
    weak = [
        (one.recall, one)
        for one in metrics.per_class
        if one.recall < metrics.macro_recall - _BELOW and round(one.support * (1 - one.recall)) >= _LEAST_MISSED
    ]
    lines: list[str] = []
    for recall, one in sorted(weak, key=lambda pair: pair[0])[:_SENTENCES]:
        trained = plural("note.training_images", training_images.get(one.name, 0))
        lines.append(sentence("advice.weak", name=one.name, recall=percent(recall), trained=trained))
    for true_class, predicted, count in metrics.most_confused(_SENTENCES):
        if count >= _LEAST_MISSED:
            key = "advice.confused_labels" if metrics.top1 >= _GOOD_FIT else "advice.confused"
            lines.append(sentence(key, true=true_class, predicted=predicted, n=count))
    return lines
