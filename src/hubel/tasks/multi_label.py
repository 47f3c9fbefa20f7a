"""Multi-label classification: any number of classes an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.data.loading import Images
from hubel.features.probe import fit_probe, neighbours_accuracy
from hubel.inference.classifier import Classifier
from hubel.inference.predictor import Predictor
from hubel.inference.scores import scores
from hubel.inference.tta import VIEWS
from hubel.metrics.classification import MultiLabelMetrics, measure_multilabel
from hubel.metrics.report_items import Drawing, ReportTable, Tile
from hubel.metrics.tables import per_class_csv, percent
from hubel.tasks.classify import PER_CLASS_FOOTNOTE, ClassificationObjective, per_class_table, predict_scores
from hubel.tasks.losses import LossSettings
from hubel.tasks.task import FittedHead, Model, Task
from hubel.weights.card import ModelCard

__all__ = ["MultiLabel", "MultiLabelEvaluation"]


@dataclass(frozen=True, eq=False, kw_only=True)
class MultiLabelEvaluation:
    """A multi-label classifier measured on labelled images.

    Attributes:
        metrics: the numbers.
        probabilities: scores `(n, classes)`.
        targets: 0 and 1 `(n, classes)`.
        images: the images.
        tta: text that names the views of an image over which scores are averaged; "" for the image alone.
    """

    metrics: MultiLabelMetrics
    probabilities: NDArray[np.float64]
    targets: NDArray[Any]
    images: Images
    tta: str = ""

    @property
    def accuracy(self) -> float:
        """The share of images with exactly the right classes, 0 to 1."""
        return self.metrics.subset_accuracy

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        return self.metrics.to_json() | ({"tta": self.tta} if self.tta else {})

    def headline(self, split: str) -> str:
        """Return the subset accuracy in one sentence."""
        share = percent(self.metrics.subset_accuracy)
        return f"{share}% of {self.metrics.n:,} {split} images get exactly the right classes."

    def rows(self, split: str) -> list[tuple[str, str]]:
        """Return the numbers for a terminal, name and value."""
        m = self.metrics
        return [
            (f"subset accuracy ({split})", f"{percent(m.subset_accuracy, 2)}%"),
            ("micro F1", f"{m.micro_f1:.4f}"),
            ("macro F1", f"{m.macro_f1:.4f}"),
            ("mean average precision", f"{m.mean_average_precision:.4f}"),
        ]

    def tiles(self) -> list[Tile]:
        """Return the headline numbers of the report."""
        m = self.metrics
        shares = [
            ("Subset accuracy", m.subset_accuracy, "images with all labels correct"),
            ("Mean average precision", m.mean_average_precision, "independent of the threshold"),
            ("Macro F1", m.macro_f1, "mean over labels"),
            ("Micro F1", m.micro_f1, "over all pairs of image and label"),
        ]
        return [Tile(name=name, value=f"{percent(share)}%", meaning=meaning) for name, share, meaning in shares]

    def report_tables(self) -> list[ReportTable]:
        """Return the labels."""
        return [per_class_table(self.metrics.per_class)]

    def footnote(self) -> str:
        """Return the definitions of the numbers."""
        return PER_CLASS_FOOTNOTE

    def files(self) -> dict[str, str]:
        """Return the labels as CSV."""
        return {"per_class.csv": per_class_csv(self.metrics)}

    def drawings(self) -> list[Drawing]:
        """Return no figures."""
        return []

    def advice(self, training_images: Mapping[str, int]) -> list[str]:
        """Return no advice."""
        return []


class MultiLabel(Task):
    """Any number of classes an image: a sigmoid each and binary cross-entropy, subset accuracy."""

    name: ClassVar[str] = "multi_label"
    summary: ClassVar[str] = 'predict several classes for each image; labels of a table separate them by "|"'
    multi_label: ClassVar[bool] = True
    losses: ClassVar[tuple[str, ...]] = ("bce",)

    def objective(
        self, settings: LossSettings, card: ModelCard, targets: NDArray[Any], device: torch.device
    ) -> ClassificationObjective:
        """Return loss and subset accuracy."""
        return ClassificationObjective.of(settings, targets, device)

    def fit_head(self, features: NDArray[np.float32], targets: NDArray[Any], card: ModelCard, seed: int) -> FittedHead:
        """Fit a logistic regression for each class."""
        probe = fit_probe(features, targets, len(card.classes), seed=seed)
        return FittedHead(weight=probe.weight, bias=probe.bias, score=probe.accuracy)

    def neighbours_score(self, features: NDArray[np.float32], targets: NDArray[Any], card: ModelCard) -> float:
        """Return the leave-one-out accuracy of 5 nearest neighbours."""
        return neighbours_accuracy(features, targets, len(card.classes))

    def model(self, network: nn.Module, card: ModelCard, *, tta: bool = False) -> Model:
        """Return a predictor."""
        return Predictor(network, card, tta=tta)

    def evaluate(self, model: Model, images: Images, targets: NDArray[Any]) -> MultiLabelEvaluation:
        """Measure a classifier, exported or not."""
        assert isinstance(model, Classifier)
        tta = VIEWS[images.preprocess.channels] if model.tta else ""
        return _evaluate(predict_scores(model, images), model.card, images, targets, tta)

    def evaluate_outputs(
        self, outputs: NDArray[np.float32], card: ModelCard, images: Images, targets: NDArray[Any]
    ) -> MultiLabelEvaluation:
        """Measure logits `(n, classes)`."""
        return _evaluate(scores(outputs, card.scores, card.temperature), card, images, targets, "")


def _evaluate(
    found: NDArray[np.float64], card: ModelCard, images: Images, targets: NDArray[Any], tta: str
) -> MultiLabelEvaluation:
    metrics = measure_multilabel(found, targets, card.classes)
    return MultiLabelEvaluation(metrics=metrics, probabilities=found, targets=targets, images=images, tta=tta)
