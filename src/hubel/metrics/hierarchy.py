"""Measure a classifier at every level of the hierarchy of its classes, and the answers of which it is sure.

At each level, the predicted class counts as the node above it, and so does the true one. So the accuracy of the deepest
level is that of the classes, and no level above is less accurate: who is right about the cat is right about the animal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.language import sentence
from hubel.metrics.intervals import Interval, wilson
from hubel.metrics.report_items import ReportTable
from hubel.metrics.tables import percent, percent_range
from hubel.weights.class_tree import ClassTree

__all__ = ["HierarchyMetrics", "LevelMetrics", "SureMetrics", "hierarchy_rows", "level_table", "measure_hierarchy"]


@dataclass(frozen=True, kw_only=True)
class LevelMetrics:
    """The predictions at one level of the hierarchy.

    Attributes:
        level: 1 at the top.
        names: number of nodes at this level; a class that stands higher counts as its own.
        accuracy: share of the images whose predicted class is below the same node as the true one, 0 to 1.
        interval: 95 % interval of the accuracy.
    """

    level: int
    names: int
    accuracy: float
    interval: Interval


@dataclass(frozen=True, eq=False, kw_only=True)
class SureMetrics:
    """The answers of which the model is sure; see `hubel.inference.Classifier.ancestor`.

    Attributes:
        sure: the least score of an answer.
        answers: the name of each image's answer, `(n,)`; "" where there is none.
        scores: of these, `(n,)`.
        of_class: share of the images whose answer is a class.
        of_group: share whose answer is a group of classes.
        accuracy: share of the answers, whatever their level, that have the true class below them or are it; None where
            no image has one.
        interval: 95 % interval of the accuracy.
    """

    sure: float
    answers: tuple[str, ...]
    scores: NDArray[np.float64]
    of_class: float
    of_group: float
    accuracy: float | None
    interval: Interval

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        shares = {"of_class": self.of_class, "of_group": self.of_group}
        return {"sure": self.sure, **shares, "accuracy": self.accuracy, "interval": list(self.interval)}


@dataclass(frozen=True, eq=False, kw_only=True)
class HierarchyMetrics:
    """A classifier whose classes have a hierarchy, measured on labelled images.

    Attributes:
        levels: the numbers of each level, from the top to the classes.
        sure: the answers of which the model is sure; None where nobody asked.
    """

    levels: tuple[LevelMetrics, ...]
    sure: SureMetrics | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        levels = [
            {"level": one.level, "names": one.names, "accuracy": one.accuracy, "interval": list(one.interval)}
            for one in self.levels
        ]
        return {"levels": levels, **({} if self.sure is None else {"answers": self.sure.to_json()})}


def measure_hierarchy(
    tree: ClassTree,
    labels: NDArray[Any],
    predicted: NDArray[np.int64],
    shares: NDArray[np.float64],
    *,
    sure: float | None = None,
) -> HierarchyMetrics:
    """Measure predictions at each level.

    Args:
        tree: of the classes.
        labels: true classes, `(n,)`.
        predicted: predicted classes, `(n,)`.
        shares: probabilities of the classes, `(n, classes)`.
        sure: the least score of an answer, 0.5 to 0.999, to measure these answers, too.

    Raises:
        OptionError: `sure` is out of range.

    >>> tree = ClassTree(("cat", "dog", "car"), {"cat": "animal", "dog": "animal"})
    >>> shares = np.array([[0.5, 0.4, 0.1], [0.2, 0.1, 0.7]])
    >>> found = measure_hierarchy(tree, np.array([1, 2]), shares.argmax(1), shares, sure=0.8)
    >>> [one.accuracy for one in found.levels], found.sure.answers
    ([1.0, 0.5], ('animal', ''))
    """
    n, levels = len(labels), []
    for level in range(1, tree.levels + 1):
        above = tree.at_level(level)
        hits = int((above[labels] == above[predicted]).sum())
        names = len(np.unique(above))
        levels.append(LevelMetrics(level=level, names=names, accuracy=hits / max(n, 1), interval=wilson(hits, n)))
    answers = None if sure is None else _measure_sure(tree, labels, shares, sure)
    return HierarchyMetrics(levels=tuple(levels), sure=answers)


def _measure_sure(tree: ClassTree, labels: NDArray[Any], shares: NDArray[np.float64], sure: float) -> SureMetrics:
    places, scores = tree.answers(shares, sure)
    answered = np.flatnonzero(places >= 0)
    found = places[answered]
    hits, n = int(tree.members[found, labels[answered]].sum()), len(labels)
    classes = int(np.isin([tree.nodes[place] for place in found], tree.classes).sum())
    return SureMetrics(
        sure=sure,
        answers=tuple("" if place < 0 else tree.nodes[place] for place in places.tolist()),
        scores=scores,
        of_class=classes / max(n, 1),
        of_group=(len(found) - classes) / max(n, 1),
        accuracy=hits / len(found) if len(found) else None,
        interval=wilson(hits, len(found)),
    )


def hierarchy_rows(found: HierarchyMetrics) -> list[tuple[str, ...]]:
    """Return the numbers for a terminal, name, value and interval: the levels above the classes, and sure answers."""
    last = len(found.levels)
    rows: list[tuple[str, ...]] = [
        (f"accuracy at level {one.level} of {last}", f"{percent(one.accuracy, 2)}%", percent_range(one.interval))
        for one in found.levels[:-1]
    ]
    if (s := found.sure) is not None:
        name = f"{100 * s.sure:g}% sure"
        rows += [
            (f"{name} of a class", f"{percent(s.of_class)}%"),
            *([(f"{name} of a group of classes", f"{percent(s.of_group)}%")] if last > 1 else []),
            *(
                []
                if s.accuracy is None
                else [(f"{name}: right", f"{percent(s.accuracy, 2)}%", percent_range(s.interval))]
            ),
        ]
    return rows


def level_table(levels: Sequence[LevelMetrics]) -> ReportTable:
    """Return the accuracy of each level for the report, with a bar for it."""
    return ReportTable(
        heading=sentence("table.levels"),
        columns=[sentence(f"column.{name}") for name in ("level", "groups", "accuracy", "interval")],
        rows=[(str(one.level), f"{one.names:,}", percent(one.accuracy), percent_range(one.interval)) for one in levels],
        bars=[one.accuracy for one in levels],
    )
