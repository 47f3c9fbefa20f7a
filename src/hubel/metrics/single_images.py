"""Account for single images: their scores as columns, and those that are predicted wrongly, by mistake."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.metrics.report_items import FileGroup

__all__ = ["group_mistakes", "rounded", "score_columns"]

_MOST_COLUMNS = 50  # classes that have a column each
_TOP = 5  # classes of each image where there are more
_DIGITS = 6  # as in the rows of `hubel predict`


def score_columns(probabilities: NDArray[np.float64], classes: Sequence[str]) -> dict[str, list[Any]]:
    """Return the scores of images as columns, rounded to 6 digits.

    Up to 50 classes have a column each, called "score:" and the class; of more, the five most probable classes of each
    image have two columns each, "class1" and "score1" to "class5" and "score5". Of equally probable classes the first
    one ranks first.

    Args:
        probabilities: scores, shape (n, c).
        classes: names of the c classes.

    >>> score_columns(np.array([[0.9, 0.1], [0.25, 0.75]]), ["cat", "dog"])
    {'score:cat': [0.9, 0.25], 'score:dog': [0.1, 0.75]}
    """
    if len(classes) <= _MOST_COLUMNS:
        return {f"score:{name}": rounded(probabilities[:, i]) for i, name in enumerate(classes)}
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :_TOP]
    columns: dict[str, list[Any]] = {}
    for place, chosen in enumerate(best.T, start=1):
        columns[f"class{place}"] = [classes[i] for i in chosen]
        columns[f"score{place}"] = rounded(probabilities[np.arange(len(chosen)), chosen])
    return columns


def rounded(scores: NDArray[np.float64]) -> list[float]:
    """Return scores rounded to 6 digits."""
    return [round(score, _DIGITS) for score in scores.tolist()]


def group_mistakes(
    names: Sequence[str], labels: Sequence[str], predictions: Sequence[str], remarks: Sequence[str]
) -> list[FileGroup]:
    """Group images by label and prediction: the most frequent mistake first, the images in their order.

    Args:
        names: of the images that are predicted wrongly.
        labels: text of the label of each.
        predictions: text of the prediction of each.
        remarks: a remark on each.

    >>> [group.files for group in group_mistakes("xyz", "aba", "bab", ["", "60%", ""])]
    [[('x', ''), ('z', '')], [('y', '60%')]]
    """
    groups: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for name, label, prediction, remark in zip(names, labels, predictions, remarks, strict=True):
        groups[label, prediction].append((name, remark))
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))  # of equally frequent ones the first stays first
    return [FileGroup(label=label, prediction=prediction, files=files) for (label, prediction), files in ordered]
