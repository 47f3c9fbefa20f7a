"""The evaluation of classifiers of one class an image: numbers, tables, figures, and the images behind them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.language import joined, plural, sentence, split_name
from hubel.inference.costs import cheapest
from hubel.metrics import figures
from hubel.metrics.advice import advice
from hubel.metrics.classification import (
    ClassMetrics,
    LabelMetrics,
    Metrics,
    MultiLabelMetrics,
    ranks,
    sample_losses,
)
from hubel.metrics.classification_intervals import classification_intervals, few_images
from hubel.metrics.costs import CostMetrics, measure_costs
from hubel.metrics.hierarchy import HierarchyMetrics, hierarchy_rows, level_table, measure_hierarchy
from hubel.metrics.imbalance import inequality
from hubel.metrics.intervals import Interval
from hubel.metrics.novelty import NoveltyMetrics
from hubel.metrics.report_items import Drawing, FileGroup, PredictionTable, ReportTable, Tile
from hubel.metrics.single_images import group_mistakes, rounded, score_columns
from hubel.metrics.tables import confusion_csv, per_class_csv, percent, percent_range, value_range
from hubel.plots.contact_sheet import contact_sheet
from hubel.tasks.task import Evaluation, Quality
from hubel.weights.card import ModelCard

__all__ = ["ClassificationEvaluation", "ScoresEvaluation", "measure_sure", "per_class_table", "share_tile"]

_UNEQUAL = 2.0  # times as many images as the rarest class has
_HARDEST = 24  # images on the contact sheet of the highest losses


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoresEvaluation(Evaluation):
    """Scores of classes measured against labels.

    Attributes:
        metrics: the numbers.
        probabilities: scores `(n, classes)`, calibrated.
        targets: class numbers `(n,)`, or 0 and 1 `(n, classes)`.
        tta: text that names the views of an image over which scores are averaged; "" for the image alone.
    """

    metrics: Metrics | MultiLabelMetrics
    probabilities: NDArray[np.float64]
    targets: NDArray[Any]
    tta: str = ""

    @property
    def per_class(self) -> tuple[ClassMetrics, ...]:
        """The metrics of each class."""
        return self.metrics.per_class

    def remarks(self, split: str) -> list[str]:
        """Return a remark on classes with few images."""
        return few_images(self.metrics.per_class, split)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        return self.metrics.to_json() | ({"tta": self.tta} if self.tta else {})

    def footnote(self) -> str:
        """Return the definitions of the numbers."""
        return joined(PER_CLASS_FOOTNOTE, INTERVAL_FOOTNOTE)


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassificationEvaluation(ScoresEvaluation):
    """A classifier of one class an image, measured on labelled images.

    Attributes:
        costs: by which the class is chosen, `(classes, classes)`; None where it is the most probable one.
        novelty: of each image, `(n,)`; None of a model without a rule for unknown images, as is the next one.
        novelty_metrics: numbers on the novelty.
        unknown: novelty of images of none of the classes, `(m,)`; None where there are none.
        hierarchy: numbers at each level above the classes; None of a model whose classes have none.
    """

    metrics: Metrics
    costs: NDArray[np.float64] | None = None
    novelty: NDArray[np.float64] | None = None
    novelty_metrics: NoveltyMetrics | None = None
    unknown: NDArray[np.float64] | None = None
    hierarchy: HierarchyMetrics | None = None

    @cached_property
    def cost_metrics(self) -> CostMetrics | None:
        """Costs of the decisions; None for a model without costs."""
        if self.costs is None:
            return None
        return measure_costs(self.probabilities, self.targets, self.costs, self.metrics.classes)

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, 0 to 1."""
        return self.metrics.top1

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        found = {"novelty": self.novelty_metrics, "costs": self.cost_metrics, "hierarchy": self.hierarchy}
        return super().to_json() | {name: one.to_json() for name, one in found.items() if one is not None}

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The 95 % intervals of top-1, top-5 and the macro metrics."""
        return classification_intervals(self.metrics, self.targets, self.predicted)

    def quality(self) -> Quality:
        """Return which images are classified correctly."""
        return Quality(name="accuracy", values=self.predicted == self.targets)

    def headline(self, split: str) -> str:
        """Return the accuracy in one sentence, with the mean recall of the classes where these are unequal."""
        m = self.metrics
        values = {"share": percent(m.top1), "interval": percent_range(self.intervals["top1"])}
        if not self._unequal:
            return plural("classify.headline", m.n, split=split_name(split), **values)
        recall = percent(m.macro_recall)
        return sentence("classify.headline_unequal", n=m.n, split=split_name(split), recall=recall, **values)

    def rows(self, split: str) -> list[tuple[str, ...]]:
        """Return the numbers for a terminal: name, value, and 95 % interval."""
        m, intervals = self.metrics, self.intervals
        top5: list[tuple[str, ...]] = []
        if m.top5 is not None:
            top5 = [("top-5 accuracy", f"{percent(m.top5, 2)}%", percent_range(intervals["top5"]))]
        return [
            (f"top-1 accuracy ({split})", f"{percent(m.top1, 2)}%", percent_range(intervals["top1"])),
            *([] if self.hierarchy is None else hierarchy_rows(self.hierarchy)),
            *((sentence(f"row.{key}", **values), value) for key, value, values in self._cost_rows()),
            *top5,
            ("macro precision", f"{m.macro_precision:.4f}", value_range(intervals["macro_precision"])),
            ("macro recall", f"{m.macro_recall:.4f}", value_range(intervals["macro_recall"])),
            (f"macro F1{self._left_out()}", f"{m.macro_f1:.4f}", value_range(intervals["macro_f1"])),
            ("expected calibration error", f"{m.ece:.4f}"),
            ("images", f"{m.n:,}"),
            *((sentence(f"row.{key}", n=n), value) for key, value, n in self._novelty_rows()),
        ]

    def _novelty_rows(self) -> list[tuple[str, str, int]]:
        """Return key and value of the numbers on novelty, and the number of images that they are about."""
        found = self.novelty_metrics
        if found is None:
            return []
        rows = [("called_unknown", f"{percent(found.rejected, 2)}%", found.images)]
        if found.found is None or found.auroc is None or found.fpr95 is None:
            return rows
        n = found.unknown_images
        return [
            *rows,
            ("unknown_found", f"{percent(found.found, 2)}%", n),
            ("unknown_auroc", f"{found.auroc:.4f}", n),
            ("unknown_fpr95", f"{percent(found.fpr95, 2)}%", n),
        ]

    def _cost_rows(self) -> list[tuple[str, str, dict[str, str]]]:
        """Return key, value, and the values of the sentence, of each mean cost."""
        found = self.cost_metrics
        if found is None:
            return []
        return [
            ("cost", f"{found.mean:.4g}", {}),
            ("cost_most_probable", f"{found.of_most_probable:.4g}", {}),
            ("cost_constant", f"{found.of_constant:.4g}", {"name": found.constant}),
        ]

    def tiles(self) -> list[Tile]:
        """Return the headline numbers of the report."""
        m, intervals = self.metrics, self.intervals
        top5 = []
        if m.top5 is not None:
            top5 = [_tile("top5", m.top5, intervals["top5"])]
        return [
            _tile("top1", m.top1, intervals["top1"]),
            *(
                Tile(name=sentence(f"tile.{key}", **values), value=value, meaning=sentence("tile.cost.means"))
                for key, value, values in self._cost_rows()
            ),
            *top5,
            *([_tile("macro_recall", m.macro_recall, intervals["macro_recall"])] if self._unequal else []),
            share_tile(sentence("tile.macro_f1"), m.macro_f1, self._macro_meaning(), intervals["macro_f1"]),
            Tile(name=sentence("tile.loss"), value=f"{m.nll:.3f}", meaning=sentence("tile.loss.means")),
            _tile("ece", m.ece),
            *(
                Tile(name=sentence(f"tile.{key}"), value=value, meaning=sentence(f"tile.{key}.means", n=n))
                for key, value, n in self._novelty_rows()
            ),
        ]

    @property
    def _unequal(self) -> bool:
        """Some class has so many more images than another that accuracy says little of the rare ones."""
        return inequality(self.metrics.confusion.sum(1)) >= _UNEQUAL

    def _macro_meaning(self) -> str:
        """Return what the macro F1 is a mean over."""
        n = self.metrics.predicted_without_images
        return plural("tile.macro_f1.means_without", n) if n else sentence("tile.macro_recall.means")

    def _left_out(self) -> str:
        """Return how many classes macro numbers leave out although they are predicted; "" for none."""
        n = self.metrics.predicted_without_images
        return f", without {n} predicted {'class' if n == 1 else 'classes'} that no image has" if n else ""

    def report_tables(self) -> list[ReportTable]:
        """Return the confused classes, the levels of a hierarchy, and the classes."""
        levels = [] if self.hierarchy is None else [level_table(self.hierarchy.levels)]
        tables = [*levels, per_class_table(self.metrics.per_class)]
        confused = [(true, predicted, f"{n:,}") for true, predicted, n in self.metrics.most_confused()]
        if not confused:
            return tables
        columns = [sentence(f"column.{name}") for name in ("label", "predicted", "images")]
        heading = sentence("table.confused")
        table = ReportTable(heading=heading, columns=columns, rows=confused, text_columns=2, above_figures=True)
        return [table, *tables]

    def footnote(self) -> str:
        """Return the definitions of the numbers."""
        return joined(super().footnote(), sentence("footnote.calibration"))

    def files(self) -> dict[str, str]:
        """Return the confusion matrix and the classes as CSV."""
        return {"confusion.csv": confusion_csv(self.metrics), "per_class.csv": per_class_csv(self.metrics)}

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The number of the predicted class of each image, `(n,)`."""
        return self.probabilities.argmax(1) if self.costs is None else cheapest(self.probabilities, self.costs)

    def prediction_table(self) -> PredictionTable:
        """Return label, prediction, its score, the rank of the label, and scores of classes."""
        p, classes, predicted = self.probabilities, self.metrics.classes, self.predicted
        return PredictionTable(
            facts={
                "label": [classes[i] for i in self.targets],
                "prediction": [classes[i] for i in predicted],
                "score": rounded(p[np.arange(len(p)), predicted]),
                "rank": ranks(p, self.targets).tolist(),
                **self._novelty_columns(),
                **self._sure_columns(),
            },
            scores=score_columns(p, classes),
        )

    def _novelty_columns(self) -> dict[str, list[Any]]:
        if self.novelty is None or self.novelty_metrics is None:
            return {}
        unknown = self.novelty > self.novelty_metrics.threshold
        return {"novelty": rounded(self.novelty), "unknown": ["true" if one else "false" for one in unknown]}

    def _sure_columns(self) -> dict[str, list[Any]]:
        sure = None if self.hierarchy is None else self.hierarchy.sure
        return {} if sure is None else {"ancestor": list(sure.answers), "ancestor_score": rounded(sure.scores)}

    def mistakes(self) -> list[FileGroup]:
        """Return the wrongly classified images by label and prediction, of each pair the most confident first."""
        classes, predicted = self.metrics.classes, self.predicted
        wrong = np.flatnonzero(predicted != self.targets)
        scores = self.probabilities[wrong, predicted[wrong]]
        wrong = wrong[np.argsort(-scores, kind="stable")]
        return group_mistakes(
            [self.images.path(at) for at in wrong.tolist()],
            [classes[i] for i in self.targets[wrong]],
            [classes[i] for i in predicted[wrong]],
            [f"{percent(self.probabilities[at, predicted[at]])}%" for at in wrong.tolist()],
        )

    def drawings(self) -> list[Drawing]:
        """Return confusions, classes, confidence and the highest losses."""
        m, classes = self.metrics, self.metrics.classes
        losses = sample_losses(self.probabilities, self.targets)
        hardest = np.argsort(-losses, kind="stable")[:_HARDEST]
        predicted = self.predicted[hardest]
        captions = [
            sentence(
                "figure.guess",
                guess=f"{classes[guess]} {self.probabilities[row, guess]:.0%}",
                label=classes[self.targets[row]],
            )
            for row, guess in zip(hardest.tolist(), predicted.tolist(), strict=True)
        ]
        histogram = []
        if self.novelty is not None and self.unknown is not None and self.novelty_metrics is not None:
            histogram.append(
                Drawing(
                    name="novelty",
                    heading=sentence("figure.unknown"),
                    caption=sentence("figure.unknown.text"),
                    figure=figures.novelty_histogram(self.novelty, self.unknown, self.novelty_metrics.threshold),
                )
            )
        return [
            Drawing(
                name="confusion",
                heading=sentence("figure.confusion"),
                caption=sentence("figure.confusion.text"),
                figure=figures.confusion_matrix(m.confusion, classes),
            ),
            Drawing(
                name="classes",
                heading=sentence("figure.classes"),
                caption=sentence("figure.classes.text"),
                figure=figures.class_bars(m),
            ),
            Drawing(
                name="reliability",
                heading=sentence("figure.confidence"),
                caption=sentence("figure.confidence.text"),
                figure=figures.reliability(self.probabilities, self.targets),
            ),
            *histogram,
            Drawing(
                name="worst",
                heading=sentence("figure.losses"),
                caption=sentence("figure.losses.text"),
                figure=contact_sheet(list(self.images.pixels(hardest)), captions, sentence("figure.losses")),
            ),
        ]

    def advice(self, training_images: Mapping[str, int]) -> list[str]:
        """Return sentences on the weakest classes and the commonest confusions."""
        return advice(self.metrics, training_images)


def measure_sure(evaluation: Evaluation, card: ModelCard, sure: float) -> Evaluation:
    """Return an evaluation with the answers of which the model is sure; see `Classifier.ancestor`.

    Raises:
        OptionError: `sure` is out of range, or an image has not exactly one of the classes.
    """
    tree = card.class_tree()
    assert isinstance(evaluation, ClassificationEvaluation)
    probabilities, predicted = evaluation.probabilities, evaluation.predicted
    found = measure_hierarchy(tree, evaluation.targets, predicted, probabilities, sure=sure)
    return dataclasses.replace(evaluation, hierarchy=found)


PER_CLASS_FOOTNOTE, INTERVAL_FOOTNOTE = sentence("footnote.per_class"), sentence("footnote.interval")


def per_class_table(per_class: Sequence[ClassMetrics]) -> ReportTable:
    """Return the table of the classes for the report, with a bar for F1; classes without images are greyed out."""
    shares = ["precision", "recall", *(["average_precision"] if isinstance(per_class[0], LabelMetrics) else []), "f1"]
    rows = [
        (
            one.name,
            f"{one.support:,}",
            *(percent(getattr(one, share)) if one.support else "\N{EN DASH}" for share in shares),
            percent_range(Interval(one.recall_low, one.recall_high)) if one.support else "\N{EN DASH}",
        )
        for one in per_class
    ]
    columns = ("class", "images", *shares, "recall_interval")
    return ReportTable(
        heading=sentence("table.classes"),
        columns=[sentence(f"column.{name}") for name in columns],
        rows=rows,
        bars=[one.f1 if one.support else None for one in per_class],
    )


def _tile(name: str, share: float, interval: Interval | None = None) -> Tile:
    """Return the tile of a share whose name and meaning the table of sentences has."""
    return share_tile(sentence(f"tile.{name}"), share, sentence(f"tile.{name}.means"), interval)


def share_tile(name: str, share: float, meaning: str, interval: Interval | None = None) -> Tile:
    """Return a headline number that is a share from 0 to 1."""
    text = "" if interval is None else percent_range(interval)
    return Tile(name=name, value=f"{percent(share)}%", meaning=meaning, interval=text)
