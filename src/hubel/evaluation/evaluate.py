"""Measuring a model on images, and writing down what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.core.files import write_atomic, write_json
from hubel.core.window import in_order
from hubel.data.loading import Images
from hubel.data.sources.listing import natural_key
from hubel.evaluation.report import AnyMetrics, Report, write_report
from hubel.inference.classifier import Classifier
from hubel.inference.forward import forward, output_batches
from hubel.inference.scores import sigmoid
from hubel.inference.stream import batch_size
from hubel.inference.tta import VIEWS
from hubel.metrics import figures
from hubel.metrics.classification import Metrics, MultiLabelMetrics, measure, measure_multilabel, sample_losses
from hubel.metrics.reconstruction import ReconstructionMetrics, draw_reconstructions, measure_reconstruction
from hubel.metrics.tables import confusion_csv, per_class_csv, percent
from hubel.plots.contact_sheet import contact_sheet
from hubel.plots.files import to_png
from hubel.weights.card import ModelCard

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawing", "Evaluation", "Reconstructed", "evaluate", "headline", "judge", "reconstruct", "write_evaluation"]

_WORST = 24  # images on the contact sheet of the highest losses
_MADE = 10  # images that are shown above what a network makes of them


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


@dataclass(frozen=True)
class Evaluation:
    """What a model says of labelled images, and how often it is right.

    Attributes:
        metrics: the numbers.
        probabilities: scores `(n, classes)`, calibrated.
        targets: class numbers `(n,)`, or 0 and 1 `(n, classes)`.
        images: what was looked at.
        tta: the views of an image that the scores are the mean of, in words; "" for the image alone.
    """

    metrics: Metrics | MultiLabelMetrics
    probabilities: NDArray[np.float64]
    targets: NDArray[Any]
    images: Images
    tta: str = ""

    def to_json(self) -> dict[str, Any]:
        """The numbers as plain JSON values, and the views if there were several."""
        return self.metrics.to_json() | ({"tta": self.tta} if self.tta else {})

    def tables(self) -> dict[str, str]:
        """CSV, by the name of its file."""
        confusion = {"confusion.csv": confusion_csv(self.metrics)} if isinstance(self.metrics, Metrics) else {}
        return confusion | {"per_class.csv": per_class_csv(self.metrics)}

    def drawings(self) -> list[Drawing]:
        """Confusions, classes, confidence and the worst mistakes; none where an image may have several classes."""
        return _drawings(self, self.metrics) if isinstance(self.metrics, Metrics) else []


@dataclass(frozen=True)
class Reconstructed:
    """What a model makes of images, and how near it comes to them.

    Attributes:
        metrics: the numbers.
        images: what was looked at.
        shown: positions of some images, one of each class first.
        made: what the model makes of these, uint8 `(k, h, w, c)`.
    """

    metrics: ReconstructionMetrics
    images: Images
    shown: NDArray[np.int64]
    made: NDArray[np.uint8]

    def to_json(self) -> dict[str, Any]:
        """The numbers as plain JSON values."""
        return self.metrics.to_json()

    def tables(self) -> dict[str, str]:
        """None: the metrics say it all."""
        return {}

    def drawings(self) -> list[Drawing]:
        """Originals over reconstructions."""
        index = self.images.index
        names = [index.labels[code] for code in index.label[self.images.rows[self.shown]]]
        figure = draw_reconstructions(list(self.images.pixels(self.shown)), list(self.made), names)
        return [Drawing("reconstructions", "Reconstructions", "Above: images. Below: what is made of them.", figure)]


def evaluate(model: Classifier, images: Images, targets: NDArray[Any]) -> Evaluation:
    """What a model says of labelled images, each looked at once.

    Args:
        model: whose preprocessing the images have.
        images: what to look at.
        targets: class numbers `(n,)`, or 0 and 1 `(n, classes)`.
    """
    compute, lanes = model.for_many(len(images))
    batches = images.in_sequence(batch_size(images.preprocess))
    with ThreadPoolExecutor(lanes) as pool:
        parts = list(in_order(pool, lambda batch: compute(batch.pixels), batches, ahead=lanes + 1))
    return judge(np.concatenate(parts), model.card, images, targets, tta=model.tta)


def judge(
    probabilities: NDArray[np.float64], card: ModelCard, images: Images, targets: NDArray[Any], *, tta: bool = False
) -> Evaluation:
    """Scores `(n, classes)` of labelled images beside what these are; `tta` if they are means over views."""
    metrics: Metrics | MultiLabelMetrics
    if targets.ndim == 2:
        metrics = measure_multilabel(probabilities, targets, card.classes)
    else:
        # Scores of independent outputs do not sum to 1; among exclusive classes their shares are compared.
        if card.scores == "sigmoid":
            probabilities = probabilities / probabilities.sum(1, keepdims=True)
        metrics = measure(probabilities, targets, card.classes)
    return Evaluation(metrics, probabilities, targets, images, VIEWS[images.preprocess.channels] if tta else "")


def reconstruct(network: nn.Module, images: Images) -> Reconstructed:
    """What a network that makes images makes of these, each compared with itself."""
    preprocess = images.preprocess
    metrics = measure_reconstruction(
        (preprocess.normalise(batch.pixels), logits) for batch, logits in output_batches(network, images)
    )
    codes, first = np.unique(images.index.label[images.rows], return_index=True)
    first = first[sorted(range(len(codes)), key=lambda i: natural_key(images.index.labels[codes[i]]))]
    shown = np.concatenate([first, np.setdiff1d(np.arange(len(images)), first)])[:_MADE]
    made = sigmoid(forward(network, images.pixels(shown), preprocess)).transpose(0, 2, 3, 1)
    return Reconstructed(metrics, images, shown, np.rint(255 * made).astype(np.uint8))


def headline(metrics: AnyMetrics, which: str) -> str:
    """One sentence with the number that matters most."""
    if isinstance(metrics, ReconstructionMetrics):
        return f"{metrics.n:,} {which} images are made again with a mean squared error of {metrics.mse:.4f} a pixel."
    if isinstance(metrics, MultiLabelMetrics):
        return f"{percent(metrics.subset_accuracy)}% of {metrics.n:,} {which} images have exactly the right classes."
    return f"{percent(metrics.top1)}% of {metrics.n:,} {which} images are right."


def write_evaluation(
    folder: Path,
    evaluation: Evaluation | Reconstructed,
    *,
    title: str,
    which: str,
    facts: Mapping[str, str],
    notes: Sequence[str],
    drawings: Sequence[Drawing] = (),
) -> Path:
    """Write metrics, tables, figures and a self-contained `report.html` into `folder`; the path of the report."""
    metrics = evaluation.metrics
    for name, table in evaluation.tables().items():
        write_atomic(folder / name, table)
    shown = []
    for drawing in [*drawings, *evaluation.drawings()]:
        png = to_png(drawing.figure)
        write_atomic(folder / "figures" / f"{drawing.name}.png", png)
        shown.append((drawing.heading, drawing.caption, png))
    report = Report(title, headline(metrics, which), list(facts.items()), notes, metrics, shown)
    write_report(folder / "report.html", report)
    # Last: a folder with metrics.json is a finished one.
    write_json(folder / "metrics.json", evaluation.to_json())
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
            contact_sheet(list(evaluation.images.pixels(worst)), captions, "Highest losses"),
        ),
    ]
