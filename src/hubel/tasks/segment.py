"""Semantic segmentation: a class for each pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.csv_text import csv_text
from hubel.core.language import counted_images, sentence
from hubel.data.annotation import IGNORED, MASKS, AnnotatedSource, Annotation
from hubel.data.annotation_counts import count_pixels
from hubel.data.loading import Images
from hubel.data.samples import Batch, Labelled, Samples
from hubel.inference.dense import DenseModel
from hubel.metrics.imbalance import method_weights
from hubel.metrics.intervals import Interval
from hubel.metrics.report_items import Drawing, PredictionTable, ReportTable, Tile
from hubel.metrics.segmentation import (
    SegmentationMetrics,
    boundary_f1,
    measure_segmentation,
    pixel_confusion,
    segmentation_intervals,
)
from hubel.metrics.tables import percent, percent_range
from hubel.tasks.annotated import SCRATCH_BACKBONE, AnnotatedTask, outputs_on
from hubel.tasks.annotation_sheets import annotation_sheets, shown_positions
from hubel.tasks.task import Evaluation, FromScratch, Metric, Model, Quality, Task
from hubel.weights.card import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hubel.tasks.losses import LossSettings
    from hubel.tasks.segmentation_losses import PixelLoss

__all__ = ["Segmentation", "SegmentationEvaluation", "SegmentationObjective"]


_COLUMNS = ("class", "pixels", "iou", "recall_share", "precision_share")  # of the table of classes


@dataclass(frozen=True, kw_only=True)
class SegmentationObjective:
    """Logits `(n, classes, h, w)` against the class of each pixel `(n, h, w)`.

    Attributes:
        loss: of training and of validation.
    """

    sampled: ClassVar[bool] = False
    loss: PixelLoss

    def targets(self, data: Labelled[Samples], batch: Batch) -> Tensor:
        """Return the augmented masks, int64 `(n, h, w)`, in which `IGNORED` is no class."""
        import torch  # what only evaluates exported files does without

        masks = [annotation.mask for annotation in batch.annotations]
        assert all(mask is not None for mask in masks)
        return torch.from_numpy(np.stack(masks).astype(np.int64))  # type: ignore[arg-type]

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return losses `(n,)`, each a mean over the pixels that count."""
        return self.loss(outputs.float(), targets)

    validation_losses = losses

    def validation_weights(self, targets: NDArray[Any]) -> None:
        """Return None: all images count alike."""

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean IoU of each image over the classes that are on it, true or predicted, `(n,)`."""
        import torch  # what only evaluates exported files does without

        classes, counted = outputs.shape[1], targets != IGNORED
        pairs = targets.where(counted, 0) * classes + outputs.argmax(1)
        image = torch.arange(len(targets), device=targets.device).view(-1, 1, 1)
        flat = (image * classes**2 + pairs)[counted]
        counts = torch.bincount(flat, minlength=len(targets) * classes**2).view(-1, classes, classes).double()
        hits, either = counts.diagonal(dim1=1, dim2=2), counts.sum(1) + counts.sum(2)
        present = either > 0
        iou = hits / (either - hits).clamp(min=1)
        return (iou * present).sum(1) / present.sum(1).clamp(min=1)

    def row(self, split: str, loss: float, correct: float) -> dict[str, float]:
        """Return the loss, and the mean IoU of an image."""
        return {f"{split}_loss": loss, f"{split}_iou": correct}


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentationEvaluation(Evaluation):
    """A model measured on images with masks.

    Attributes:
        metrics: over the pixels of all images.
        confusions: pixels by true and predicted class of each image, int64 `(n, c, c)`.
        boundaries: boundary F1 of each image, `(n,)`.
        masks: predicted ones of the images that are drawn, by position; see `shown_positions`.
    """

    metrics: SegmentationMetrics
    confusions: NDArray[np.int64]
    boundaries: NDArray[np.float64]
    masks: Mapping[int, NDArray[np.uint8]]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        return self.metrics.to_json()

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The 95 % intervals of mean IoU and pixel accuracy, over images."""
        return segmentation_intervals(self.confusions)

    @cached_property
    def image_iou(self) -> NDArray[np.float64]:
        """Mean IoU of each image over the classes that are on it, true or predicted, `(n,)`."""
        return image_ious(self.confusions)

    def quality(self) -> Quality:
        """Return what each image lacks of a mean IoU of 1."""
        return Quality(name="1 - mean IoU", values=1 - self.image_iou)

    def _range(self, name: str) -> str:
        return percent_range(self.intervals[name]) if name in self.intervals else ""

    def headline(self, split: str) -> str:
        """Return the mean IoU in one sentence."""
        m, sure = self.metrics, self._range("mean_iou")
        return sentence(
            "segment.headline_sure" if sure else "segment.headline",
            classes=len(m.classes),
            iou=percent(m.mean_iou),
            interval=sure,
            images=counted_images(m.n, split),
            pixels=percent(m.pixel_accuracy),
        )

    def rows(self, split: str) -> list[tuple[str, ...]]:
        """Return the numbers for a terminal: name, value, and 95 % interval."""
        m = self.metrics
        return [
            (f"mean IoU ({split})", f"{percent(m.mean_iou)}%", self._range("mean_iou")),
            ("pixel accuracy", f"{percent(m.pixel_accuracy)}%", self._range("pixel_accuracy")),
            ("boundary F1", f"{percent(m.boundary_f1)}%"),
            ("images", f"{m.n:,}"),
        ]

    def tiles(self) -> list[Tile]:
        """Return the headline numbers of the report."""
        m = self.metrics
        return [
            Tile(
                name=sentence("tile.iou"),
                value=f"{percent(m.mean_iou)}%",
                meaning=sentence("tile.iou.means"),
                interval=self._range("mean_iou"),
            ),
            Tile(
                name=sentence("tile.pixels"),
                value=f"{percent(m.pixel_accuracy)}%",
                meaning=sentence("tile.pixels.means"),
                interval=self._range("pixel_accuracy"),
            ),
            Tile(
                name=sentence("tile.boundary"),
                value=f"{percent(m.boundary_f1)}%",
                meaning=sentence("tile.boundary.means"),
            ),
        ]

    def report_tables(self) -> list[ReportTable]:
        """Return IoU, recall and precision of each class, the most frequent first."""
        m = self.metrics
        pixels = m.confusion.sum(1)
        order = np.argsort(-pixels, kind="stable").tolist()
        shares = pixels / max(1, pixels.sum())
        rows = [
            (m.classes[i], f"{100 * shares[i]:.1f}%", _share(m.iou[i]), _share(m.recall[i]), _share(m.precision[i]))
            for i in order
        ]
        return [
            ReportTable(
                heading=sentence("table.class_rows"),
                columns=[sentence(f"column.{name}") for name in _COLUMNS],
                rows=rows,
                bars=[None if math.isnan(m.iou[i]) else float(m.iou[i]) for i in order],
                above_figures=True,
            )
        ]

    def footnote(self) -> str:
        """Return the definition of the metrics."""
        return sentence("footnote.iou")

    def files(self) -> dict[str, str]:
        """Return the confusion matrix of pixels as CSV."""
        m = self.metrics
        rows = zip(m.classes, m.confusion.tolist(), strict=True)
        header = ["true \\ predicted", *m.classes]
        return {"confusion.csv": csv_text([header, *([name, *counts] for name, counts in rows)])}

    def prediction_table(self) -> PredictionTable:
        """Return mean IoU, pixel accuracy and boundary F1 of each image."""
        right, counted = np.trace(self.confusions, axis1=1, axis2=2), self.confusions.sum((1, 2))
        columns = {
            "mean_iou": self.image_iou,
            "pixel_accuracy": right / np.maximum(counted, 1),
            "boundary_f1": self.boundaries,
        }
        return PredictionTable(facts={name: [float(f"{x:.6g}") for x in c] for name, c in columns.items()})

    def drawings(self) -> list[Drawing]:
        """Return the best, the median and the worst images, each with its mask and the predicted one."""
        return annotation_sheets(
            self.images,
            lambda at: (Annotation(mask=self.images.annotation(at).mask), Annotation(mask=self.masks[at])),
            self.image_iou,
            "mean IoU",
            self.metrics.classes,
        )


def image_ious(confusions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean IoU of each image over the classes that are on it, from confusions `(n, c, c)`; 0 for none."""
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    either = confusions.sum(1) + confusions.sum(2) - hits
    return np.asarray((hits / np.maximum(either, 1)).sum(1) / np.maximum((either > 0).sum(1), 1))


def _mask_of(model: DenseModel, images: Images, position: int) -> NDArray[np.uint8]:
    annotation, _ = model.decode(model.outputs(images.pixels(np.array([position])))[0], images.shape(position))
    assert annotation.mask is not None
    return annotation.mask


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{percent(value)}%"


class Segmentation(AnnotatedTask):
    """A class for each pixel: cross-entropy, mean IoU."""

    name: ClassVar[str] = "segment"
    summary: ClassVar[str] = "predict the class of each pixel; labels are masks"
    pipeline_tag: ClassVar[str] = "image-segmentation"
    output: ClassVar[str] = "maps"
    annotations: ClassVar[str] = MASKS
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy", "cross_entropy_dice", "dice")
    metrics: ClassVar[Mapping[str, Metric]] = {
        "mean_iou": Metric("mean_iou"),
        "pixel_accuracy": Metric("pixel_accuracy"),
    }
    unused: ClassVar[tuple[str, ...]] = ("label_smoothing", "reject")
    balance: ClassVar[str] = "inverse_sqrt"
    default_model: ClassVar[str | None] = "unet"
    from_scratch: ClassVar[FromScratch | None] = FromScratch(
        options={**SCRATCH_BACKBONE, "widths": "128,64,48,32"},  # to half the size: it costs little with few maps
        lr=3,
        longer=2,
    )
    mosaics: ClassVar[bool] = True
    most_pixels: ClassVar[int] = 480 * 384
    largest_batch: ClassVar[int] = 4
    lr: ClassVar[Mapping[str, float]] = {**Task.lr, "adamw": 0.001}
    backbone_lr: ClassVar[float] = 0.1

    def label_counts(self, data: Labelled[Images], classes: int) -> NDArray[np.int64]:
        """Return the number of pixels of each class; see `count_pixels`."""
        source = data.images.source
        assert isinstance(source, AnnotatedSource), "the task refuses other data"
        return np.asarray(count_pixels(source, data.images.rows).sum(0)[:classes])

    def objective(
        self, settings: LossSettings, card: ModelCard, targets: NDArray[Any], device: torch.device
    ) -> SegmentationObjective:
        """Return the loss of pixels, those of each class weighted as the settings balance them."""
        import torch  # what only evaluates exported files does without

        from hubel.tasks.segmentation_losses import PixelLoss

        weights = None
        if settings.balance != "none":
            of_class = method_weights(np.array(settings.counts), settings.balance)
            weights = torch.from_numpy(of_class.astype(np.float32)).to(device)
        return SegmentationObjective(loss=PixelLoss(settings.name, weights))

    def evaluate(self, model: Model, images: Images, targets: NDArray[Any]) -> SegmentationEvaluation:
        """Compare predicted masks with the true ones, at the resolution of the images."""
        assert isinstance(model, DenseModel)
        classes = len(model.classes)
        confusions = np.zeros((len(images), classes, classes), np.int64)
        boundaries = np.zeros(len(images))
        for at, output in outputs_on(model, images):
            truth = images.annotation(at).mask
            found = model.decode(output, images.shape(at))[0].mask
            assert truth is not None
            assert found is not None
            truth = np.where(found == IGNORED, IGNORED, truth).astype(np.uint8)
            confusions[at] = pixel_confusion(np.minimum(found, classes - 1), truth, classes)
            boundaries[at] = boundary_f1(found, truth, classes)
        shown = {int(at) for part in shown_positions(image_ious(confusions)).values() for at in part}
        return SegmentationEvaluation(
            images=images,
            metrics=measure_segmentation(confusions, model.classes, boundaries.tolist()),
            confusions=confusions,
            boundaries=boundaries,
            masks={at: _mask_of(model, images, at) for at in shown},
        )
