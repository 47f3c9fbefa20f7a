"""Classification with prediction sets: the evaluation of a classifier, and of the sets of a stated coverage."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from hubel.core.errors import OptionError
from hubel.core.language import joined
from hubel.metrics.prediction_sets import SetMetrics, measure_sets
from hubel.metrics.report_items import PredictionTable, ReportTable, Tile
from hubel.metrics.set_report import SETS_FOOTNOTE, set_column, set_rows, set_table, set_tiles
from hubel.tasks.classify_evaluation import ClassificationEvaluation
from hubel.tasks.task import Evaluation
from hubel.weights.card import ModelCard

__all__ = ["SetsEvaluation", "measure_coverage"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SetsEvaluation(ClassificationEvaluation):
    """A classifier of one class an image and its prediction sets, measured on labelled images.

    Attributes:
        sets: the numbers of the sets.
    """

    sets: SetMetrics

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        return super().to_json() | {"prediction_sets": self.sets.to_json()}

    def rows(self, split: str) -> list[tuple[str, ...]]:
        """Return the numbers for a terminal, name and value."""
        return [*super().rows(split), *set_rows(self.sets)]

    def tiles(self) -> list[Tile]:
        """Return the headline numbers of the report."""
        return [*super().tiles(), *set_tiles(self.sets)]

    def report_tables(self) -> list[ReportTable]:
        """Return the confused classes, the classes, and the coverage of each."""
        return [*super().report_tables(), set_table(self.sets)]

    def footnote(self) -> str:
        """Return the definitions of the numbers."""
        return joined(super().footnote(), SETS_FOOTNOTE)

    def prediction_table(self) -> PredictionTable:
        """Return what each image is predicted to be, with its set."""
        table = super().prediction_table()
        names = set_column(self.sets.inside, self.probabilities, self.metrics.classes)
        return dataclasses.replace(table, facts={**table.facts, "set": names})


def measure_coverage(evaluation: Evaluation, card: ModelCard, coverage: float) -> SetsEvaluation:
    """Return an evaluation with the prediction sets of a coverage, 0.5 to 0.999.

    Raises:
        OptionError: the model has no such sets.
    """
    table = card.coverage_table()
    if not isinstance(evaluation, ClassificationEvaluation):
        raise OptionError(f"the task {card.task} has no prediction sets; leave out --coverage")
    p = evaluation.probabilities
    sets = measure_sets(table.sets(p, coverage), evaluation.targets, card.classes, coverage)
    known = {entry.name: getattr(evaluation, entry.name) for entry in dataclasses.fields(ClassificationEvaluation)}
    return SetsEvaluation(**known, sets=sets)
