"""Measuring a model on labelled images, and writing down what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.core.files import write_atomic, write_json
from hubel.data.loading import Images
from hubel.evaluation import figures
from hubel.evaluation.metrics import Metrics, MultiLabelMetrics, measure, measure_multilabel, sample_losses
from hubel.evaluation.report import Report, write_report
from hubel.evaluation.tables import confusion_csv, per_class_csv, percent
from hubel.runtime.forward import outputs
from hubel.runtime.scores import scores
from hubel.weights.model_file import ModelCard

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawing", "Evaluation", "evaluate", "headline", "write_evaluation"]

_WORST = 24  # images on the contact sheet of the highest losses


@dataclass(frozen=True)
class Evaluation:
    """What a model says of labelled images, and how often it is right.

    Attributes:
        metrics: the numbers.
        probabilities: scores `(n, classes)`, calibrated.
        targets: class numbers `(n,)`, or 0 and 1 `(n, classes)`.
        images: what was looked at.
    """

    metrics: Metrics | MultiLabelMetrics
    probabilities: NDArray[np.float64]
    targets: NDArray[Any]
    images: Images


def evaluate(network: nn.Module, card: ModelCard, images: Images, targets: NDArray[Any]) -> Evaluation:
    """Every image once through the network, in float32."""
    probabilities = scores(outputs(network, images), card.scores, card.temperature)
    metrics: Metrics | MultiLabelMetrics
    if targets.ndim == 2:
        metrics = measure_multilabel(probabilities, targets, card.classes)
    else:
        # Scores of independent outputs do not sum to 1; among exclusive classes their shares are compared.
        if card.scores == "sigmoid":
            probabilities = probabilities / probabilities.sum(1, keepdims=True)
        metrics = measure(probabilities, targets, card.classes)
    return Evaluation(metrics, probabilities, targets, images)


def headline(metrics: Metrics | MultiLabelMetrics, which: str) -> str:
    """One sentence with the number that matters most."""
    if isinstance(metrics, MultiLabelMetrics):
        return f"{percent(metrics.subset_accuracy)}% of {metrics.n:,} {which} images have exactly the right classes."
    return f"{percent(metrics.top1)}% of {metrics.n:,} {which} images are right."


@dataclass(frozen=True)
class Drawing:
    """A figure with the words that stand beside it.

    Attributes:
        name: of its file, without ".png".
        heading: in the report.
        caption: one sentence.
        figure: what is drawn.
    """

    name: str
    heading: str
    caption: str
    figure: Figure


def write_evaluation(
    folder: Path,
    evaluation: Evaluation,
    *,
    title: str,
    which: str,
    facts: Mapping[str, str],
    notes: Sequence[str],
    drawings: Sequence[Drawing] = (),
) -> Path:
    """Write metrics, tables, figures and a self-contained `report.html` into `folder`; the path of the report."""
    metrics = evaluation.metrics
    drawn = list(drawings)
    if isinstance(metrics, Metrics):
        write_atomic(folder / "confusion.csv", confusion_csv(metrics))
        drawn += _drawings(evaluation, metrics)
    write_atomic(folder / "per_class.csv", per_class_csv(metrics))
    shown = []
    for drawing in drawn:
        png = figures.to_png(drawing.figure)
        write_atomic(folder / "figures" / f"{drawing.name}.png", png)
        shown.append((drawing.heading, drawing.caption, png))
    report = Report(title, headline(metrics, which), list(facts.items()), notes, metrics, shown)
    write_report(folder / "report.html", report)
    # Last: a folder with metrics.json is a finished one.
    write_json(folder / "metrics.json", metrics.to_json())
    return folder / "report.html"


def _drawings(evaluation: Evaluation, metrics: Metrics) -> list[Drawing]:
    losses = sample_losses(evaluation.probabilities, evaluation.targets)
    worst = np.argsort(-losses, kind="stable")[:_WORST]
    guesses = evaluation.probabilities[worst].argmax(1)
    captions = [
        f"{metrics.classes[guess]} {evaluation.probabilities[row, guess]:.0%}\n"
        f"is {metrics.classes[evaluation.targets[row]]}"
        for row, guess in zip(worst.tolist(), guesses.tolist(), strict=True)
    ]
    return [
        Drawing(
            "confusion",
            "Confusion matrix",
            "Rows: what it is. Columns: what the model says.",
            figures.confusion_matrix(metrics.confusion, metrics.classes),
        ),
        Drawing("classes", "Classes", "F1 of each class, with precision and recall.", figures.class_bars(metrics)),
        Drawing(
            "reliability",
            "Confidence",
            "How often the model is right when it says how sure it is.",
            figures.reliability(evaluation.probabilities, evaluation.targets),
        ),
        Drawing(
            "worst",
            "Highest losses",
            "What the model says, how sure it is, and what the label says.",
            figures.contact_sheet(list(evaluation.images.pixels(worst)), captions, "Highest losses"),
        ),
    ]
