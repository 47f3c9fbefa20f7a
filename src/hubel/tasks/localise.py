"""Localisation: the class of the one object of each image, and its box, by regression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.core.language import counted_images, sentence
from hubel.data.annotation import Annotation
from hubel.data.loading import Images
from hubel.data.samples import Batch, Labelled, Samples
from hubel.inference.box_overlap import box_areas, box_iou
from hubel.inference.dense import DenseModel
from hubel.inference.detections import Detections
from hubel.metrics.intervals import Interval, wilson
from hubel.metrics.report_items import Drawing, PredictionTable, Tile
from hubel.metrics.tables import percent, percent_range
from hubel.tasks.annotation_sheets import box_sheets
from hubel.tasks.detect import Detection, box_targets, found_boxes
from hubel.tasks.task import Evaluation, Metric, Model, Quality, Task
from hubel.weights.card import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hubel.tasks.losses import LossSettings

__all__ = ["Localisation", "LocalisationEvaluation", "LocalisationObjective", "main_object"]

_RIGHT = 0.5  # the overlap from which on a box is right


def main_object(annotation: Annotation) -> int | None:
    """Return the number of the largest object that is no crowd; None where there is none."""
    areas = np.where(annotation.crowd, -1.0, box_areas(annotation.boxes))
    return int(areas.argmax()) if len(areas) and areas.max() >= 0 else None


@dataclass(frozen=True, eq=False, kw_only=True)
class LocalisationObjective:
    """A box and logits `(n, 1, 5 + classes)` against the largest object of each image `(n, 6)`.

    Attributes:
        size: width, height, width, height of the input in pixels, `(4,)`.
    """

    sampled: ClassVar[bool] = False
    size: Tensor

    def targets(self, data: Labelled[Samples], batch: Batch) -> Tensor:
        """Return left, top, right, bottom in pixels, class and 0 of an object each, `(n, 6)`; class -1 for none."""
        import torch  # what only evaluates exported files does without

        boxes = box_targets(batch)
        rows = [main_object(annotation) for annotation in batch.annotations]
        nothing = torch.tensor([0.0, 0, 0, 0, -1, 0])
        return torch.stack([nothing if row is None else boxes[at, row] for at, row in enumerate(rows)])

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return cross-entropy of the class + 1 - GIoU + smooth L1 of the box in shares, `(n,)`; 0 without an object.

        Smooth L1: Girshick 2015, "Fast R-CNN", arXiv:1504.08083, Equation 3, with its bend at a tenth of the side.
        """
        from torch.nn import functional as F  # what only evaluates exported files does without

        from hubel.tasks.detection_losses import generalised_iou

        box, logits, goal = outputs[:, 0, :4].float(), outputs[:, 0, 5:].float(), targets[:, :4] / self.size
        classes = F.cross_entropy(logits, targets[:, 4].long().clamp(min=0), reduction="none")
        sides = F.smooth_l1_loss(box, goal, reduction="none", beta=0.1).sum(1)
        return (classes + 1 - generalised_iou(box, goal) + sides) * (targets[:, 4] >= 0)

    validation_losses = losses

    def validation_weights(self, targets: NDArray[Any]) -> None:
        """Return None: all images count alike."""

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the overlap of each box with the true one, 0 to 1, `(n,)`; 0 where the class is wrong."""
        import torch  # what only evaluates exported files does without

        box, goal = outputs[:, 0, :4].float(), targets[:, :4] / self.size
        low, high = torch.maximum(box[:, :2], goal[:, :2]), torch.minimum(box[:, 2:], goal[:, 2:])
        common = (high - low).clamp(min=0).prod(1)
        areas = [(one[:, 2:] - one[:, :2]).clamp(min=0).prod(1) for one in (box, goal)]
        overlap = common / (areas[0] + areas[1] - common).clamp(min=1e-9)
        return overlap * (outputs[:, 0, 5:].argmax(1) == targets[:, 4])

    def row(self, split: str, loss: float, correct: float) -> dict[str, float]:
        """Return the loss, and the overlap of the boxes of the right class."""
        return {f"{split}_loss": loss, f"{split}_overlap": correct}


@dataclass(frozen=True, eq=False, kw_only=True)
class LocalisationEvaluation(Evaluation):
    """A localiser measured on images, each with an object.

    Attributes:
        classes: their names.
        found: class and box that the model gives each image.
        targets: true class of each image, `(n,)`.
        overlaps: intersection over union of the found and the true box of each image, `(n,)`.
    """

    classes: tuple[str, ...]
    found: tuple[Detections, ...]
    targets: NDArray[np.int64]
    overlaps: NDArray[np.float64]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Predicted class of each image, `(n,)`."""
        return np.concatenate([one.classes for one in self.found])

    @cached_property
    def localised(self) -> NDArray[np.bool_]:
        """The images whose class and box are right (Russakovsky et al. 2015, arXiv:1409.0575, Section 4.2)."""
        return np.asarray((self.predicted == self.targets) & (self.overlaps >= _RIGHT))

    @property
    def accuracy(self) -> float:
        """The share of images whose class is right, 0 to 1."""
        return float((self.predicted == self.targets).mean())

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        numbers = {"localised": float(self.localised.mean()), "mean_iou": float(self.overlaps.mean())}
        return {"n": len(self.targets), **numbers, "accuracy": self.accuracy}

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The 95 % intervals of the shares."""
        n = len(self.targets)
        hits = {"localised": self.localised.sum(), "accuracy": (self.predicted == self.targets).sum()}
        return {name: wilson(int(count), n) for name, count in hits.items()}

    def quality(self) -> Quality:
        """Return whether class and box are right."""
        return Quality(name="localised", values=self.localised)

    def headline(self, split: str) -> str:
        """Return the share of localised objects in one sentence."""
        share, sure = percent(float(self.localised.mean())), percent_range(self.intervals["localised"])
        return sentence(
            "localise.headline",
            share=share,
            interval=sure,
            images=counted_images(len(self.targets), split),
            overlap=percent(float(self.overlaps.mean())),
        )

    def rows(self, split: str) -> list[tuple[str, ...]]:
        """Return the numbers for a terminal: name, value, and 95 % interval."""
        sure = {name: percent_range(interval) for name, interval in self.intervals.items()}
        return [
            (f"class and box right ({split})", f"{percent(float(self.localised.mean()))}%", sure["localised"]),
            ("class right", f"{percent(self.accuracy)}%", sure["accuracy"]),
            ("mean overlap of the boxes", f"{percent(float(self.overlaps.mean()))}%"),
            ("images", f"{len(self.targets):,}"),
        ]

    def tiles(self) -> list[Tile]:
        """Return the headline numbers of the report."""
        (_, *first), (_, *second), (_, *third), _ = self.rows("")
        return [
            _tile("localised", *first),
            _tile("class_right", *second),
            _tile("overlap", third[0]),
        ]

    def footnote(self) -> str:
        """Return the definition of the metrics."""
        return sentence("footnote.localise")

    def prediction_table(self) -> PredictionTable:
        """Return label, prediction and overlap of each image."""
        names = np.array(self.classes, object)
        return PredictionTable(
            facts={
                "label": names[self.targets].tolist(),
                "prediction": names[self.predicted].tolist(),
                "overlap": [float(f"{value:.6g}") for value in self.overlaps],
            }
        )

    def drawings(self) -> list[Drawing]:
        """Return the best, the median and the worst images."""
        overlaps = self.overlaps * (self.predicted == self.targets)
        return box_sheets(self.images, self.found, overlaps, "overlap", self.classes)


def _tile(name: str, value: str, interval: str = "") -> Tile:
    meaning = sentence(f"tile.{name}.means")
    return Tile(name=sentence(f"tile.{name}"), value=value, meaning=meaning, interval=interval)


class Localisation(Detection):
    """The class and the box of the one object of an image, by regression; of several, the largest counts."""

    name: ClassVar[str] = "localise"
    summary: ClassVar[str] = "find the one object of each image: its class and its box; labels are boxes"
    pipeline_tag: ClassVar[str] = ""
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy_giou",)
    metrics: ClassVar[Mapping[str, Metric]] = {"localised": Metric("localised"), "mean_iou": Metric("mean_iou")}
    default_model: ClassVar[str | None] = "localiser"
    mosaics: ClassVar[bool] = False
    most_pixels: ClassVar[int] = 224 * 224
    most_epochs: ClassVar[int] = Task.most_epochs
    largest_batch: ClassVar[int] = 16
    lr: ClassVar[Mapping[str, float]] = {**Task.lr, "adamw": 0.001}

    def objective(
        self, settings: LossSettings, card: ModelCard, targets: NDArray[Any], device: torch.device
    ) -> LocalisationObjective:
        """Return the loss of class and box."""
        import torch  # what only evaluates exported files does without

        height, width = card.preprocess.height, card.preprocess.width
        return LocalisationObjective(size=torch.tensor([width, height] * 2, dtype=torch.float32, device=device))

    def choose_shown(self, network: nn.Module, card: ModelCard, held_out: Images) -> ModelCard:
        """Return the card: the one object is always shown."""
        return card

    def evaluate(self, model: Model, images: Images, targets: NDArray[Any]) -> LocalisationEvaluation:
        """Compare class and box with those of the largest object; images without an object are left out.

        Raises:
            DataError: no image has an object.
        """
        assert isinstance(model, DenseModel)
        truth = [images.annotation(at) for at in range(len(images))]
        main = [main_object(one) for one in truth]
        rows = np.array([at for at, row in enumerate(main) if row is not None], np.int64)
        if not len(rows):
            raise DataError("no image has an object, so there is nothing to localise")
        seen = images.subset(rows)
        found = found_boxes(model, seen)
        goals = [(truth[at], main[at]) for at in rows.tolist()]
        return LocalisationEvaluation(
            images=seen,
            classes=model.classes,
            found=tuple(found),
            targets=np.array([one.classes[row] for one, row in goals], np.int64),
            overlaps=np.array(
                [
                    float(box_iou(mine.boxes, one.boxes[[row]])[0, 0])
                    for mine, (one, row) in zip(found, goals, strict=True)
                ]
            ),
        )
