"""Multi-label classification: any number of classes an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.language import counted_images, sentence
from hubel.data.loading import Images
from hubel.metrics.classification import MultiLabelMetrics, measure_multilabel
from hubel.metrics.classification_intervals import multi_label_intervals
from hubel.metrics.intervals import Interval
from hubel.metrics.report_items import FileGroup, PredictionTable, ReportTable, Tile
from hubel.metrics.single_images import group_mistakes, score_columns
from hubel.metrics.tables import per_class_csv, percent, percent_range, value_range
from hubel.tasks.classify import Classification
from hubel.tasks.classify_evaluation import ScoresEvaluation, per_class_table, share_tile
from hubel.tasks.task import Metric, Quality
from hubel.weights.card import ModelCard

__all__ = ["MultiLabel", "MultiLabelEvaluation"]


@dataclass(frozen=True, eq=False, kw_only=True)
class MultiLabelEvaluation(ScoresEvaluation):
    """A classifier of any number of classes an image, measured on labelled images."""

    metrics: MultiLabelMetrics

    @property
    def accuracy(self) -> float:
        """The share of images with exactly the right classes, 0 to 1."""
        return self.metrics.subset_accuracy

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The 95 % intervals of subset accuracy, F1 and mean average precision."""
        return multi_label_intervals(self.metrics, self.probabilities, self.targets)

    def quality(self) -> Quality:
        """Return which images get exactly the right classes."""
        return Quality(name="subset accuracy", values=(self._predicted == (self.targets > 0)).all(1))

    def headline(self, split: str) -> str:
        """Return the subset accuracy in one sentence."""
        share, interval = percent(self.metrics.subset_accuracy), percent_range(self.intervals["subset_accuracy"])
        images = counted_images(self.metrics.n, split)
        return sentence("multi_label.headline", share=share, images=images, interval=interval)

    def rows(self, split: str) -> list[tuple[str, ...]]:
        """Return the numbers for a terminal: name, value, and 95 % interval."""
        m, intervals = self.metrics, self.intervals
        accuracy = percent(m.subset_accuracy, 2)
        return [
            (f"subset accuracy ({split})", f"{accuracy}%", percent_range(intervals["subset_accuracy"])),
            ("micro F1", f"{m.micro_f1:.4f}", value_range(intervals["micro_f1"])),
            ("macro F1", f"{m.macro_f1:.4f}", value_range(intervals["macro_f1"])),
            (
                "mean average precision",
                f"{m.mean_average_precision:.4f}",
                value_range(intervals["mean_average_precision"]),
            ),
        ]

    def tiles(self) -> list[Tile]:
        """Return the headline numbers of the report."""
        keys = {"macro_f1": "label_macro_f1"}
        return [
            share_tile(
                sentence(f"tile.{keys.get(name, name)}"),
                getattr(self.metrics, name),
                sentence(f"tile.{keys.get(name, name)}.means"),
                self.intervals[name],
            )
            for name in ("subset_accuracy", "mean_average_precision", "macro_f1", "micro_f1")
        ]

    def report_tables(self) -> list[ReportTable]:
        """Return the labels."""
        return [per_class_table(self.metrics.per_class)]

    def files(self) -> dict[str, str]:
        """Return the labels as CSV."""
        return {"per_class.csv": per_class_csv(self.metrics)}

    def prediction_table(self) -> PredictionTable:
        """Return the classes of each image, the predicted ones, and scores of classes."""
        texts = {"label": self._texts(self.targets > 0), "prediction": self._texts(self._predicted)}
        return PredictionTable(facts=texts, scores=score_columns(self.probabilities, self.metrics.classes))

    def mistakes(self) -> list[FileGroup]:
        """Return the images that do not get exactly the right classes, by both sets of classes."""
        labels, predictions = self._texts(self.targets > 0), self._texts(self._predicted)
        wrong = [at for at, (label, found) in enumerate(zip(labels, predictions, strict=True)) if label != found]
        return group_mistakes(
            [self.images.path(at) for at in wrong],
            [labels[at] or sentence("text.no_class") for at in wrong],
            [predictions[at] or sentence("text.no_class") for at in wrong],
            ["" for _ in wrong],
        )

    @property
    def _predicted(self) -> NDArray[np.bool_]:
        return self.probabilities >= self.metrics.threshold

    def _texts(self, has: NDArray[np.bool_]) -> list[str]:
        """Return the names of the classes that each image has, bool `(n, classes)`, as a label text."""
        names = self.metrics.classes
        return ["|".join(names[i] for i in np.flatnonzero(row)) for row in has]


class MultiLabel(Classification):
    """Any number of classes an image: a sigmoid each and binary cross-entropy, subset accuracy."""

    name: ClassVar[str] = "multi_label"
    summary: ClassVar[str] = 'predict several classes for each image; labels of a table separate them by "|"'
    multi_label: ClassVar[bool] = True
    exclusive: ClassVar[bool] = False
    knows_novelty: ClassVar[bool] = False  # an image may well have none of the classes
    unused: ClassVar[tuple[str, ...]] = ("reject",)
    balance: ClassVar[str] = "none"
    losses: ClassVar[tuple[str, ...]] = ("bce",)
    metrics: ClassVar[Mapping[str, Metric]] = {
        "accuracy": Metric("subset_accuracy"),
        "macro_f1": Metric("macro_f1"),
        "mean_average_precision": Metric("mean_average_precision"),
    }

    def evaluate_scores(
        self, found: NDArray[np.float64], card: ModelCard, images: Images, targets: NDArray[Any], tta: str = ""
    ) -> MultiLabelEvaluation:
        """Measure scores `(n, classes)` at the threshold 0.5."""
        metrics = measure_multilabel(found, targets, card.classes)
        return MultiLabelEvaluation(metrics=metrics, probabilities=found, targets=targets, images=images, tta=tta)
