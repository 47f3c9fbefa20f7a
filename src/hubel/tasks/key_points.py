"""Key points: where the joints of a person, or the named points of another object, are. One object an image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.core.language import counted_images, joined, sentence
from hubel.core.progress import counted
from hubel.data.annotation import POINTS, AnnotatedSource, Annotation
from hubel.data.dataset import Dataset
from hubel.data.loading import Images
from hubel.data.samples import Batch, Labelled, Samples
from hubel.data.sources.objects import mirrored_points
from hubel.inference.box_overlap import box_areas
from hubel.inference.dense import DenseModel
from hubel.inference.detections import Detections
from hubel.inference.point_decoding import network_points, with_visibility
from hubel.metrics.intervals import Interval
from hubel.metrics.keypoints import point_sigmas
from hubel.metrics.pose import PoseMetrics, measure_pose, point_scale
from hubel.metrics.report_items import Drawing, PredictionTable, ReportTable, Tile
from hubel.metrics.tables import percent, percent_range
from hubel.tasks.annotated import AnnotatedTask, outputs_on
from hubel.tasks.annotation_sheets import annotation_sheets
from hubel.tasks.task import Evaluation, Metric, Model, Quality, Task
from hubel.weights.card import ModelCard
from hubel.weights.skeleton import Skeleton

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hubel.tasks.losses import LossSettings

__all__ = ["KeyPoints", "KeyPointsEvaluation", "KeyPointsObjective", "main_points"]


def with_points(annotation: Annotation) -> NDArray[np.int64]:
    """Return the numbers of the objects that have a key point and are no crowds, the largest first."""
    if not annotation.points.size:
        return np.zeros(0, np.int64)
    found = np.flatnonzero(~annotation.crowd & (annotation.points[..., 2] > 0).any(1))
    return found[np.argsort(-box_areas(annotation.boxes[found]), kind="stable")]


def main_points(annotation: Annotation) -> int | None:
    """Return the number of the largest object that has a key point and is no crowd; None where there is none."""
    found = with_points(annotation)
    return int(found[0]) if len(found) else None


@dataclass(frozen=True, eq=False, kw_only=True)
class KeyPointsObjective:
    """Heat maps `(n, j, rows, columns)` against the points of one object of each image `(n, j, 3)`.

    Attributes:
        points: their number.
        size: height and width of the input.
        sigmas: of each point, see `hubel.metrics.keypoints.point_sigmas`, `(j,)`.
    """

    sampled: ClassVar[bool] = False
    points: int
    size: tuple[int, int]
    sigmas: NDArray[np.float64]

    def targets(self, data: Labelled[Samples], batch: Batch) -> Tensor:
        """Return x and y in pixels of the input, and visibility, `(n, j, 3)`; all 0 for an image without an object."""
        import torch  # what only evaluates exported files does without

        found = np.zeros((len(batch.annotations), self.points, 3), np.float32)
        for row, annotation in zip(found, batch.annotations, strict=True):
            if (number := main_points(annotation)) is not None:
                row[:] = annotation.points[number]
        return torch.from_numpy(found)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return losses `(n,)`; see `point_losses`."""
        from hubel.tasks.point_losses import point_losses  # what only evaluates exported files does without

        return point_losses(outputs.float(), targets, self.size)

    validation_losses = losses

    def validation_weights(self, targets: NDArray[Any]) -> None:
        """Return None: all images count alike."""

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the object key point similarity of each image, 0 to 1, in the input's pixels, `(n,)`.

        It takes the box around the given points for that of the object.
        """
        import torch  # what only evaluates exported files does without

        maps, truth = outputs.float().cpu().numpy(), targets.cpu().double().numpy()
        found = np.stack([network_points(one, *self.size) for one in maps])
        given = truth[..., 2] > 0
        scale = point_scale(truth, (), ())
        squared = ((found[..., :2] - truth[..., :2]) ** 2).sum(-1)
        spread = 2 * (2 * self.sigmas * np.nan_to_num(scale.lengths, nan=1.0)[:, None]) ** 2
        likeness = np.where(given, np.exp(-squared / spread), 0).sum(1) / np.maximum(given.sum(1), 1)
        return torch.from_numpy(likeness)

    def row(self, split: str, loss: float, correct: float) -> dict[str, float]:
        """Return the loss, and the mean object key point similarity."""
        return {f"{split}_loss": loss, f"{split}_oks": correct}


@dataclass(frozen=True, eq=False, kw_only=True)
class KeyPointsEvaluation(Evaluation):
    """A model of key points measured on images, each with an object.

    Attributes:
        metrics: over all key points.
        found: the points of each image, with their scores.
        truth: the labelled ones.
        objects: name of what the points are on.
        limbs: pairs of points that a line joins.
        left_out: objects with key points that were not measured, since their length is not known.
    """

    metrics: PoseMetrics
    found: tuple[Annotation, ...]
    truth: tuple[Annotation, ...]
    objects: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    left_out: int

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        return self.metrics.to_json() | {"left_out": self.left_out}

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The 95 % interval of PCK, over images."""
        return self.metrics.intervals

    def quality(self) -> Quality:
        """Return the share of key points of each image that are wrong."""
        return Quality(name="wrong key points", values=1 - self.metrics.by_object)

    def remarks(self, split: str) -> list[str]:
        """Return how many objects could not be measured."""
        remarks = []
        if self.left_out:
            kept = "both shoulders and hips" if self.metrics.scale == "torso" else "two points apart"
            remarks.append(f"{counted(self.left_out, 'image')} of {split} without {kept} cannot be measured")
        if self.images.objects is not None:
            remarks.append(
                f"each {self.objects[0]} was cut out by its labelled box; hubel predict takes an image for one of them"
            )
        return remarks

    @property
    def _range(self) -> str:
        return percent_range(self.intervals["pck"]) if "pck" in self.intervals else ""

    def headline(self, split: str) -> str:
        """Return PCK in one sentence, beside that of the mean pose."""
        m = self.metrics
        sure, beside = "_sure" if self._range else "", "" if m.mean_pose is None else "_beside"
        return sentence(
            f"points.headline{sure}{beside}",
            metric=m.name,
            pck=percent(m.pck),
            interval=self._range,
            images=counted_images(len(m.correct), split),
            mean=percent(m.mean_pose or 0.0),
        )

    def rows(self, split: str) -> list[tuple[str, ...]]:
        """Return the numbers for a terminal: name, value, and 95 % interval."""
        m = self.metrics
        mean = [] if m.mean_pose is None else [(f"{m.name} of the mean pose", f"{percent(m.mean_pose)}%")]
        return [
            (f"{m.name} of the {m.scale} ({split})", f"{percent(m.pck)}%", self._range),
            *mean,
            ("AP of OKS", f"{percent(m.ap)}%"),
            ("AP50 of OKS", f"{percent(m.ap50)}%"),
            ("images", f"{len(m.correct):,}"),
        ]

    def tiles(self) -> list[Tile]:
        """Return the headline numbers of the report."""
        m = self.metrics
        within = sentence("tile.pck.means", alpha=m.alpha, scale=sentence(f"length.{m.scale}"))
        tiles = [Tile(name=m.name, value=f"{percent(m.pck)}%", meaning=within, interval=self._range)]
        if m.mean_pose is not None:
            meaning = sentence("tile.mean_pose.means", metric=m.name)
            tiles.append(Tile(name=sentence("tile.mean_pose"), value=f"{percent(m.mean_pose)}%", meaning=meaning))
        oks = Tile(name=sentence("tile.oks"), value=f"{percent(m.ap)}%", meaning=sentence("tile.oks.means"))
        return [*tiles, oks]

    def report_tables(self) -> list[ReportTable]:
        """Return how often each key point is given, and how often it is right."""
        m = self.metrics
        given, values = (~np.isnan(m.correct)).sum(0).tolist(), list(m.by_point.values())
        shown = ["" if math.isnan(value) else f"{percent(value)}%" for value in values]
        return [
            ReportTable(
                heading=sentence("table.points"),
                columns=(sentence("column.point"), sentence("column.given"), m.name),
                rows=[(name, f"{n:,}", value) for name, n, value in zip(m.names, given, shown, strict=True)],
                bars=[None if math.isnan(value) else value for value in values],
                above_figures=True,
            )
        ]

    def footnote(self) -> str:
        """Return the definition of the metrics."""
        m = self.metrics
        key = "footnote.points_torso" if m.scale == "torso" else "footnote.points_box"
        return joined(sentence(key, metric=m.name, alpha=m.alpha), sentence("footnote.points"))

    def prediction_table(self) -> PredictionTable:
        """Return PCK and OKS of each image."""
        columns = {"pck": self.metrics.by_object, "oks": self.metrics.similarity}
        return PredictionTable(facts={name: [float(f"{x:.6g}") for x in c] for name, c in columns.items()})

    def drawings(self) -> list[Drawing]:
        """Return the best, the median and the worst images, each with its points and those that are found."""

        def marks(at: int) -> tuple[Annotation, Annotation]:
            return _without_box(self.truth[at]), _without_box(with_visibility(self.found[at]))

        return annotation_sheets(self.images, marks, self.metrics.similarity, "OKS", self.objects, limbs=self.limbs)


def _without_box(annotation: Annotation) -> Annotation:
    return Annotation(points=annotation.points)


class KeyPoints(AnnotatedTask):
    """The key points of one object by heat maps: of the only one of an image, or of each one in its box.

    Attributes:
        boxed: objects are cut out by their boxes, even if each image has one.
    """

    name: ClassVar[str] = "key_points"
    summary: ClassVar[str] = "find the key points of the one object of each image, such as joints; labels are points"
    pipeline_tag: ClassVar[str] = "keypoint-detection"
    output: ClassVar[str] = "points"
    annotations: ClassVar[str] = POINTS
    losses: ClassVar[tuple[str, ...]] = ("heat_map_cross_entropy",)
    metrics: ClassVar[Mapping[str, Metric]] = {"pck": Metric("pck"), "oks_ap": Metric("oks_ap"), "oks": Metric("oks")}
    unused: ClassVar[tuple[str, ...]] = ("loss", "label_smoothing", "balance", "reject")
    default_model: ClassVar[str | None] = "pose"
    boxed: ClassVar[bool] = False
    augment: ClassVar[str] = "pose"
    augment_small: ClassVar[str] = ""
    most_pixels: ClassVar[int] = 192 * 192  # of athletes, PCK 0.411 where 128 * 128 have 0.362
    resize: ClassVar[str] = "pad"
    backbone_lr: ClassVar[float] = 0.1
    longer: ClassVar[int] = 2
    ema: ClassVar[float] = 0.99
    largest_batch: ClassVar[int] = 16
    lr: ClassVar[Mapping[str, float]] = {**Task.lr, "adamw": 0.001}

    def samples(self, images: Images, card: ModelCard) -> Images:
        """Return the images; where some in the data show several objects with key points, a part of one for each."""
        if card.skeleton is not None and not card.skeleton.crops:
            return images
        source, index = images.source, images.index
        assert isinstance(source, AnnotatedSource)
        undecided = card.skeleton is None and not self.boxed
        if undecided and all(len(with_points(source.annotation(row))) < 2 for row in index.usable().tolist()):
            return images
        found = [with_points(images.annotation(at)) for at in range(len(images))]
        objects = np.concatenate([*found, np.zeros(0, np.int64)])
        return images.of_objects(np.repeat(np.arange(len(images)), [len(one) for one in found]), objects)

    def scores(self, loss: str) -> str:
        """Return the outputs themselves: heat maps, whose softmax over places decoding takes."""
        return "identity"

    def outputs(self, dataset: Dataset) -> tuple[str, ...]:
        """Return the names of the key points.

        Raises:
            DataError: the data has no key points.
        """
        super().outputs(dataset)
        assert isinstance(dataset.source, AnnotatedSource)
        return dataset.source.point_names

    def finish_card(self, card: ModelCard, train: Labelled[Images]) -> ModelCard:
        """Return the card with the limbs of the data, and the mean pose of the training images."""
        images, source = train.images, train.images.source
        assert isinstance(source, AnnotatedSource)
        places = []
        for at in range(len(images)):
            annotation = images.annotation(at)
            if (number := main_points(annotation)) is not None:
                points, (height, width) = annotation.points[number], images.shape(at)
                places.append(np.where(points[:, 2:] > 0, points[:, :2] / (width, height), np.nan))
        if not places:
            raise DataError(f"no training image of {card.provenance['data']} has a key point")
        known = np.array(places)
        given = ~np.isnan(known)
        mean = np.where(given.any(0), np.where(given, known, 0).sum(0) / np.maximum(given.sum(0), 1), 0.5)
        skeleton = Skeleton(
            object=source.names[0] if len(source.names) == 1 else "object",
            crops=images.objects is not None,
            limbs=tuple((int(one), int(other)) for one, other in source.limbs),
            mean=tuple((float(x), float(y)) for x, y in mean.round(4)),
        )
        return replace(card, skeleton=skeleton)

    def objective(
        self, settings: LossSettings, card: ModelCard, targets: NDArray[Any], device: torch.device
    ) -> KeyPointsObjective:
        """Return the loss of heat maps."""
        size = card.preprocess.height, card.preprocess.width
        return KeyPointsObjective(points=len(card.classes), size=size, sigmas=point_sigmas(card.classes))

    def evaluate(self, model: Model, images: Images, targets: NDArray[Any]) -> KeyPointsEvaluation:
        """Compare points with those of the object, the largest of several; images without one are left out.

        Raises:
            DataError: no image has an object that can be measured.
        """
        assert isinstance(model, DenseModel)
        names, mirror = model.card.classes, mirrored_points(model.card.classes)
        everything = [images.annotation(at) for at in range(len(images))]
        main = [main_points(one) for one in everything]
        rows = np.array([at for at, number in enumerate(main) if number is not None], np.int64)
        truth = [everything[at].object(number) for at, number in enumerate(main) if number is not None]
        lengths = point_scale(np.concatenate([one.points for one in truth]), names, mirror).lengths if truth else rows
        known = np.isfinite(lengths)
        if not known.any():
            raise DataError("no image has the key points that distances are measured by, such as shoulders and hips")
        seen, truth = images.subset(rows[known]), [one for one, is_known in zip(truth, known, strict=True) if is_known]
        found = [model.decode(output, seen.shape(at)) for at, output in outputs_on(model, seen)]
        detections = [
            Detections(scores=scores, classes=one.classes, boxes=one.boxes, points=one.points) for one, scores in found
        ]
        return KeyPointsEvaluation(
            images=seen,
            metrics=measure_pose(detections, truth, names, mirror, _mean_pose(model.card, seen)),
            found=tuple(one for one, _ in found),
            truth=tuple(truth),
            objects=model.classes,
            limbs=model.limbs,
            left_out=int((~known).sum()),
        )


def _mean_pose(card: ModelCard, images: Images) -> NDArray[np.float64] | None:
    """Return the mean pose of the training images in pixels of each image, `(n, j, 2)`; None where it is unknown."""
    if card.skeleton is None:
        return None
    sizes = np.array([images.shape(at)[::-1] for at in range(len(images))], np.float64)
    return np.asarray(np.array(card.skeleton.mean) * sizes[:, None])
