"""Gates for continuous integration: an evaluation passes them, or the command fails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubel.core.errors import OptionError, UnknownNameError
from hubel.metrics.classification import ClassMetrics
from hubel.metrics.intervals import Interval, PairedDifference, compare_paired, wilson
from hubel.metrics.tables import percent, percent_range, value_range
from hubel.tasks.task import Evaluation, Task

__all__ = ["Gates", "ModelComparison", "compare_evaluations", "failed_gates", "parse_min_recall"]


@dataclass(frozen=True, kw_only=True)
class Gates:
    """Limits that an evaluation has to keep.

    Attributes:
        min_accuracy: lowest accuracy, 0 to 1; for several labels an image, the share with exactly the right ones.
        min_recall: lowest recall of classes by their names, 0 to 1.
        no_worse_than: another model, which must not be significantly better on the same images: a lower accuracy fails
            if the 95 % interval of the difference, image by image, excludes 0 and McNemar's p is below 0.05. For tasks
            without an accuracy, a higher error whose interval excludes 0.

    Raises:
        OptionError: a limit is not from 0 to 1.
    """

    min_accuracy: float | None = None
    min_recall: Mapping[str, float] = field(default_factory=dict)
    no_worse_than: str | Path | None = None

    def __post_init__(self) -> None:
        limits = {"--min-accuracy": self.min_accuracy} | {
            f"--min-recall {name}": limit for name, limit in self.min_recall.items()
        }
        for name, limit in limits.items():
            if limit is not None and not 0 <= limit <= 1:
                meant = f"; for {limit:g}% write {limit / 100:g}" if 1 < limit <= 100 else ""
                raise OptionError(f"{name} is a share from 0 to 1, not {limit:g}{meant}")

    def check(self, task: Task, classes: Sequence[str]) -> None:
        """Refuse gates that a model cannot be measured by, before it is.

        Args:
            task: of the model.
            classes: names of its classes.

        Raises:
            OptionError: the task has no classes.
            UnknownNameError: there is no such class.
        """
        if not (task.exclusive or task.multi_label) and (self.min_accuracy is not None or self.min_recall):
            flag = "--min-accuracy" if self.min_accuracy is not None else "--min-recall"
            raise OptionError(f"{flag}: the task {task.name} has no classes; --no-worse-than RUN compares its errors")
        for name in self.min_recall:
            if name not in classes:
                raise UnknownNameError("class", name, classes)


def parse_min_recall(texts: Sequence[str]) -> dict[str, float]:
    """Read limits of the recall as the command line has them.

    Raises:
        OptionError: a text is not CLASS=NUMBER, or a class has two limits.

    >>> parse_min_recall(["shirt=0.9", "a=b=0.5"])
    {'shirt': 0.9, 'a=b': 0.5}
    """
    found: dict[str, float] = {}
    for text in texts:
        name, equals, limit = text.rpartition("=")
        if name in found:
            raise OptionError(f"--min-recall: {name} has two limits, {found[name]:g} and {limit}")
        try:
            found[name] = float(limit)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise OptionError(f"--min-recall is CLASS=NUMBER, such as shirt=0.9, not {text!r}")
    return found


@dataclass(frozen=True, kw_only=True)
class ModelComparison:
    """A model compared with another one on the same images.

    Attributes:
        other: the other model, as it was named.
        name: of the number that is compared.
        here: its mean for the model.
        there: its mean for the other model.
        paired: the difference, image by image.
        higher_is_better: of the number.
    """

    other: str
    name: str
    here: float
    there: float
    paired: PairedDifference
    higher_is_better: bool

    @property
    def worse(self) -> bool:
        """The model is worse, and that is hardly chance; see `PairedDifference.may_be_chance`."""
        difference = self.paired.difference if self.higher_is_better else -self.paired.difference
        return difference < 0 and not self.paired.may_be_chance

    def sentence(self) -> str:
        """Return the comparison in one sentence."""
        pair, shares = self.paired, self.higher_is_better
        here, there = (f"{percent(x)}%" if shares else f"{x:.4g}" for x in (self.here, self.there))
        scale, form, unit = (100, "{:+.1f}", " points") if shares else (1, "{:+.4g}", "")
        interval = value_range(Interval(scale * pair.interval.low, scale * pair.interval.high), form.format)
        p = "" if pair.p_value is None else f", McNemar's p {pair.p_value:.2g}"
        images = "image" if pair.n == 1 else f"{pair.n:,} images"
        verdict = "; it may be chance" if pair.may_be_chance else ""
        return (
            f"{self.name} {here}; that of {self.other} on the same {images} is {there}: a difference of "
            f"{form.format(scale * pair.difference)}{unit} (95% interval {interval}{p}){verdict}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values; the difference is that of shares, or of errors."""
        return {
            "model": self.other,
            "number": self.name,
            "here": self.here,
            "there": self.there,
            "difference": self.paired.difference,
            "interval": list(self.paired.interval) if math.isfinite(self.paired.interval.low) else None,
            "p_value": self.paired.p_value,
            "may_be_chance": self.paired.may_be_chance,
            "worse": self.worse,
        }


def compare_evaluations(here: Evaluation, there: Evaluation, other: str) -> ModelComparison:
    """Compare two evaluations of the same images.

    Args:
        here: of the model.
        there: of the other model.
        other: its name.
    """
    one, two = here.quality(), there.quality()
    return ModelComparison(
        other=other,
        name=one.name,
        here=float(one.values.mean()),
        there=float(two.values.mean()),
        paired=compare_paired(one.values, two.values),
        higher_is_better=one.values.dtype == bool,
    )


def failed_gates(gates: Gates, evaluation: Evaluation, comparison: ModelComparison | None) -> tuple[str, ...]:
    """Return a sentence for each gate that is not passed, with the number, its interval and the limit.

    A number fails if it is below the limit, however wide its interval.
    """
    found = []
    accuracy, limit, n = evaluation.accuracy, gates.min_accuracy, len(evaluation.images)
    if accuracy is not None and limit is not None and accuracy < limit:
        interval = wilson(round(accuracy * n), n)
        found.append(_below("the accuracy", accuracy, interval, n, limit))
    classes = {one.name: one for one in evaluation.per_class}
    found += [line for name, limit in gates.min_recall.items() if (line := _recall_failure(classes[name], limit))]
    if comparison is not None and comparison.worse:
        found.append(f"significantly worse than {comparison.other}: {comparison.sentence()}")
    return tuple(found)


def _recall_failure(one: ClassMetrics, limit: float) -> str:
    if not one.support:
        return f"the recall of {one.name} is unknown, because none of the images has it; the limit is {percent(limit)}%"
    if one.recall >= limit:
        return ""
    interval = Interval(one.recall_low, one.recall_high)
    return _below(f"the recall of {one.name}", one.recall, interval, one.support, limit)


def _below(what: str, value: float, interval: Interval, n: int, limit: float) -> str:
    return (
        f"{what} is {percent(value, 2)}% of {n:,} images (95% interval {percent_range(interval, 2)}), below the limit "
        f"of {percent(limit, 2)}%"
    )
