"""Detection: the box and the class of each object."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.csv_text import csv_text
from hubel.core.language import counted_images, sentence
from hubel.data.annotation import BOXES, Annotation
from hubel.data.loading import Images
from hubel.data.samples import Batch, Labelled, Samples
from hubel.inference.box_decoding import SHOWN_SCORE, decode_boxes, network_boxes
from hubel.inference.dense import DenseModel
from hubel.inference.detections import Detections
from hubel.metrics.average_precision import (
    DetectionMetrics,
    Matches,
    average_precision_intervals,
    class_matches,
    metrics_of,
    precisions,
)
from hubel.metrics.detection_confusion import detection_confusion, image_f1
from hubel.metrics.detection_figures import precision_recall
from hubel.metrics.figures import MOST_COUNTS, confusion_matrix
from hubel.metrics.intervals import Interval
from hubel.metrics.report_items import Drawing, PredictionTable, ReportTable, Tile
from hubel.metrics.shown_score import choose_shown_score
from hubel.metrics.tables import percent, percent_range
from hubel.tasks.annotated import SCRATCH_BACKBONE, AnnotatedTask, outputs_on
from hubel.tasks.annotation_sheets import box_sheets
from hubel.tasks.task import Evaluation, FromScratch, Metric, Model, Objective, Quality, Task
from hubel.weights.card import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hubel.tasks.losses import LossSettings

__all__ = ["Detection", "DetectionEvaluation", "DetectionObjective", "box_targets", "evaluate_boxes", "found_boxes"]


def box_targets(batch: Batch) -> Tensor:
    """Return the boxes of a batch in pixels of the input, their classes, and which are crowds, `(n, most, 6)`.

    Class -1 pads: left, top, right, bottom, class, crowd.
    """
    import torch  # what only evaluates exported files does without

    most = max((len(one.boxes) for one in batch.annotations), default=0)
    targets = np.zeros((len(batch.annotations), max(1, most), 6), np.float32)
    targets[..., 4] = -1
    for row, one in zip(targets, batch.annotations, strict=True):
        row[: len(one.boxes)] = np.column_stack([one.boxes, one.classes, one.crowd])
    return torch.from_numpy(targets)


_COLUMNS = ("class", "objects", "ap50", "ap", "recall_share", "precision_share")  # of the table of classes


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectionObjective:
    """Boxes and logits `(n, points, 5 + classes)` against the objects `(n, most, 6)`.

    Attributes:
        points: x, y in pixels of the input, `(p, 2)`.
        strides: of each point, `(p,)`.
        size: width, height, width, height of the input in pixels, `(4,)`.
    """

    sampled: ClassVar[bool] = True
    points: Tensor
    strides: Tensor
    size: Tensor

    def targets(self, data: Labelled[Samples], batch: Batch) -> Tensor:
        """Return the augmented boxes; see `box_targets`."""
        return box_targets(batch)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return losses `(n,)`; see `detection_losses`."""
        from hubel.tasks.detection_losses import detection_losses  # what only evaluates exported files does without

        return detection_losses(outputs.float(), targets, self.points, self.strides, self.size)

    validation_losses = losses

    def validation_weights(self, targets: NDArray[Any]) -> None:
        """Return None: all images count alike."""

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the average precision of each image by itself, `(n,)`; see `image_precision`."""
        import torch  # what only evaluates exported files does without

        size = self.size.cpu().double().numpy()
        pairs = zip(outputs.float().cpu().numpy(), targets.cpu().double().numpy(), strict=True)
        return torch.tensor([image_precision(network_boxes(output), _objects(rows, size)) for output, rows in pairs])

    def row(self, split: str, loss: float, correct: float) -> dict[str, float]:
        """Return the loss, and the average precision of an image."""
        return {f"{split}_loss": loss, f"{split}_ap": correct}


def _objects(rows: NDArray[np.float64], size: NDArray[np.float64]) -> Annotation:
    """Return what stands in a row of targets, in shares of the input."""
    real = rows[rows[:, 4] >= 0]
    return Annotation(classes=real[:, 4].astype(np.int64), boxes=real[:, :4] / size, crowd=real[:, 5] > 0)


def image_precision(found: Detections, truth: Annotation) -> float:
    """Return average precision on one image, 0 to 1: the mean over the classes that are on it or shown.

    That of a class that is shown, and of which there is no object, is 0. An image without objects on which nothing is
    shown has 1.
    """
    true = np.unique(truth.classes[~truth.crowd])
    made_up = np.setdiff1d(found.classes[found.scores >= SHOWN_SCORE], truth.classes)
    if not len(true) + len(made_up):
        return 1.0
    of_true = [precisions(class_matches([found], [truth], number))[0].mean() for number in true.tolist()]
    return float(np.sum(of_true)) / (len(true) + len(made_up))


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectionEvaluation(Evaluation):
    """A detector measured on images with boxes.

    Attributes:
        metrics: average precision.
        matches: of the detections and the objects of each class.
        confusions: shown objects of each image by true and found class, int64 `(n, c + 1, c + 1)`; see
            `detection_confusion`.
        found: what is shown on each image.
        shown_score: from which on it is shown.
    """

    metrics: DetectionMetrics
    matches: tuple[Matches, ...]
    confusions: NDArray[np.int64]
    found: tuple[Detections, ...]
    shown_score: float = SHOWN_SCORE

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        right, shown, objects = self._counts
        kept = {"score": self.shown_score, "precision": _plain(right / shown), "recall": _plain(right / objects)}
        return self.metrics.to_json() | {"shown": kept}

    @cached_property
    def _counts(self) -> tuple[np.float64, np.float64, np.float64]:
        """Return how many shown objects are right, how many are shown, and how many there are; NaN for none."""
        total = self.confusions.sum(0)
        counts = np.float64(np.trace(total[:-1, :-1])), np.float64(total[:, :-1].sum()), np.float64(total[:-1].sum())
        return counts[0], counts[1] or np.float64("nan"), counts[2] or np.float64("nan")

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The 95 % intervals of AP and AP50, over images."""
        return average_precision_intervals(self.matches)

    @cached_property
    def f1(self) -> NDArray[np.float64]:
        """F1 of what is shown on each image, at an overlap of one half, `(n,)`."""
        return image_f1(self.confusions)

    def quality(self) -> Quality:
        """Return what each image lacks of an F1 of 1."""
        return Quality(name="1 - F1 of an image", values=1 - self.f1)

    def _range(self, name: str) -> str:
        return percent_range(self.intervals[name]) if name in self.intervals else ""

    def headline(self, split: str) -> str:
        """Return average precision in one sentence."""
        m, sure = self.metrics, self._range("ap50")
        return sentence(
            "detect.headline_sure" if sure else "detect.headline",
            ap50=_share(m.ap50),
            interval=sure,
            ap=_share(m.ap),
            images=counted_images(m.n, split),
            objects=int(m.objects.sum()),
        )

    def rows(self, split: str) -> list[tuple[str, ...]]:
        """Return the numbers for a terminal: name, value, and 95 % interval."""
        m = self.metrics
        right, shown, objects = self._counts
        return [
            (f"AP50 ({split})", _share(m.ap50), self._range("ap50")),
            ("AP", _share(m.ap), self._range("ap")),
            *((f"AP of {name} objects", _share(value)) for name, value in m.by_size.items() if not math.isnan(value)),
            (f"recall at a score of {self.shown_score:.2f}", _share(float(right / objects))),
            (f"precision at a score of {self.shown_score:.2f}", _share(float(right / shown))),
            ("objects", f"{m.objects.sum():,}"),
            ("images", f"{m.n:,}"),
        ]

    def tiles(self) -> list[Tile]:
        """Return the headline numbers of the report."""
        m = self.metrics
        right, shown, objects = self._counts
        return [
            _tile("ap50", m.ap50, self._range("ap50")),
            _tile("ap", m.ap, self._range("ap")),
            _tile("found", float(right / objects)),
            _tile("right", float(right / shown)),
        ]

    def report_tables(self) -> list[ReportTable]:
        """Return AP of each class, the most frequent first, and by size."""
        m, total = self.metrics, self.confusions.sum(0)
        right, objects, shown = np.diag(total)[:-1], total[:-1].sum(1), total[:, :-1].sum(0)
        order = np.argsort(-m.objects, kind="stable").tolist()
        values = list(m.by_class.values())
        rows = [
            (
                m.classes[i],
                f"{m.objects[i]:,}",
                _share(values[i][1]),
                _share(values[i][0]),
                _share(right[i] / objects[i] if objects[i] else math.nan),
                _share(right[i] / shown[i] if shown[i] else math.nan),
            )
            for i in order
        ]
        classes = ReportTable(
            heading=sentence("table.class_rows"),
            columns=[sentence(f"column.{name}") for name in _COLUMNS],
            rows=rows,
            bars=[None if math.isnan(values[i][1]) else values[i][1] for i in order],
            above_figures=True,
        )
        sizes = ReportTable(
            heading=sentence("table.sizes"),
            columns=(sentence("column.objects"), sentence("column.ap")),
            rows=[(sentence(f"size.{name}"), _share(m.by_size[name])) for name in ("small", "medium", "large")],
        )
        return [classes, sizes]

    def footnote(self) -> str:
        """Return the definition of the metrics."""
        return sentence("footnote.detect", score=self.shown_score)

    def files(self) -> dict[str, str]:
        """Return the confusion matrix of objects as CSV."""
        names = [*self.metrics.classes, "nothing"]
        rows = zip(names, self.confusions.sum(0).tolist(), strict=True)
        return {"confusion.csv": csv_text([["true \\ found", *names], *([name, *counts] for name, counts in rows)])}

    def prediction_table(self) -> PredictionTable:
        """Return how many objects each image has, how many are shown, and how many of these are right."""
        right = np.trace(self.confusions[:, :-1, :-1], axis1=1, axis2=2)
        return PredictionTable(
            facts={
                "objects": self.confusions[:, :-1].sum((1, 2)).tolist(),
                "found": self.confusions[:, :, :-1].sum((1, 2)).tolist(),
                "right": right.tolist(),
                "f1": [float(f"{value:.6g}") for value in self.f1],
            }
        )

    def drawings(self) -> list[Drawing]:
        """Return precision over recall, the confusion of classes, and the best, median and worst images."""
        m = self.metrics
        drawings = []
        if m.objects.any():
            drawings.append(
                Drawing(
                    name="precision_recall",
                    heading=sentence("figure.precision_recall"),
                    caption=sentence("figure.precision_recall.text"),
                    figure=precision_recall(m),
                )
            )
        if 1 < len(m.classes) < MOST_COUNTS:
            drawings.append(
                Drawing(
                    name="confusion_matrix",
                    heading=sentence("figure.class_confusion"),
                    caption=sentence("figure.class_confusion.text"),
                    figure=confusion_matrix(self.confusions.sum(0), [*m.classes, "nothing"]),
                )
            )
        return [*drawings, *box_sheets(self.images, self.found, self.f1, "F1", m.classes)]


def _tile(name: str, share: float, interval: str = "") -> Tile:
    meaning = sentence(f"tile.{name}.means")
    return Tile(name=sentence(f"tile.{name}"), value=_share(share), meaning=meaning, interval=interval)


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{percent(value)}%"


def _plain(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None


def found_boxes(model: DenseModel, images: Images) -> list[Detections]:
    """Return what a model finds on each image, in pixels of the upright image, sure or not."""
    return [decode_boxes(output, model.card.preprocess, images.shape(at)) for at, output in outputs_on(model, images)]


def evaluate_boxes(model: DenseModel, images: Images) -> DetectionEvaluation:
    """Compare the boxes that a model finds with the true ones, in pixels of the images."""
    found, truth = found_boxes(model, images), [images.annotation(at) for at in range(len(images))]
    classes, shown_score = model.classes, model.card.shown_score or SHOWN_SCORE
    shown = tuple(one.part(one.scores >= shown_score) for one in found)
    matches = tuple(class_matches(found, truth, number) for number in range(len(classes)))
    confusions = [detection_confusion(one, two, len(classes)) for one, two in zip(shown, truth, strict=True)]
    return DetectionEvaluation(
        images=images,
        metrics=metrics_of(matches, classes),
        matches=matches,
        confusions=np.stack(confusions),
        found=shown,
        shown_score=shown_score,
    )


class Detection(AnnotatedTask):
    """The box and the class of each object: FCOS, average precision."""

    name: ClassVar[str] = "detect"
    summary: ClassVar[str] = "find objects: a box and a class for each; labels are boxes"
    pipeline_tag: ClassVar[str] = "object-detection"
    output: ClassVar[str] = "boxes"
    annotations: ClassVar[str] = BOXES
    losses: ClassVar[tuple[str, ...]] = ("focal_giou",)
    metrics: ClassVar[Mapping[str, Metric]] = {"ap": Metric("ap"), "ap50": Metric("ap50")}
    unused: ClassVar[tuple[str, ...]] = ("loss", "label_smoothing", "balance", "reject")
    default_model: ClassVar[str | None] = "fcos"
    from_scratch: ClassVar[FromScratch | None] = FromScratch(
        options={**SCRATCH_BACKBONE, "width": "64"}, lr=3, longer=3
    )
    # Of pedestrians, 384x448 pixels find an AP of 0.617, 320x384 of 0.59, where 36 epochs are no better than 30.
    most_pixels: ClassVar[int] = 448 * 384
    most_epochs: ClassVar[int] = 32
    mosaics: ClassVar[bool] = True
    lr: ClassVar[Mapping[str, float]] = {**Task.lr, "adamw": 0.001}

    def scores(self, loss: str) -> str:
        """Return the outputs themselves: boxes and logits; decoding makes scores of them."""
        return "identity"

    def objective(
        self, settings: LossSettings, card: ModelCard, targets: NDArray[Any], device: torch.device
    ) -> Objective:
        """Return the loss of points."""
        import torch  # what only evaluates exported files does without

        from hubel.nn.points import pyramid_points

        height, width = card.preprocess.height, card.preprocess.width
        points, strides = (torch.from_numpy(values).to(device) for values in pyramid_points(height, width))
        size = torch.tensor([width, height, width, height], dtype=torch.float32, device=device)
        return DetectionObjective(points=points, strides=strides, size=size)

    def choose_shown(self, network: nn.Module, card: ModelCard, held_out: Images) -> ModelCard:
        """Return the card with the score of the best F1; see `choose_shown_score`."""
        model = self.model(network, card)
        assert isinstance(model, DenseModel)
        found, truth = found_boxes(model, held_out), [held_out.annotation(at) for at in range(len(held_out))]
        score = choose_shown_score([class_matches(found, truth, number) for number in range(len(card.classes))])
        return card if score is None else replace(card, shown_score=score)

    def evaluate(self, model: Model, images: Images, targets: NDArray[Any]) -> Evaluation:
        """Compare the boxes that are found with the true ones."""
        assert isinstance(model, DenseModel)
        return evaluate_boxes(model, images)
