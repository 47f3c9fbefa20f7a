"""Define what a task is: everything that training, evaluation and export must know of it, in one class.

A task is one file in this room and one line in `hubel.tasks.catalogue`. Nothing else in hubel knows a task by name.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.data.dataset import Dataset
from hubel.data.loading import Images
from hubel.data.samples import Batch, Labelled, Samples
from hubel.metrics.classification import ClassMetrics
from hubel.metrics.imbalance import class_counts
from hubel.metrics.intervals import Interval
from hubel.metrics.report_items import Drawing, FileGroup, PredictionTable, ReportTable, Tile
from hubel.weights.card import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hubel.features.probe import LeftOut
    from hubel.tasks.losses import LossSettings

__all__ = [
    "Evaluation",
    "FittedHead",
    "FromScratch",
    "LabelledOutputs",
    "Metric",
    "Model",
    "Objective",
    "Quality",
    "Task",
    "validation_mean",
    "weighted_outputs",
    "weighted_targets",
]


class Objective(Protocol):
    """Loss and score of one training run.

    Attributes:
        sampled: scoring an image takes about as long as learning from it, so that in training the first image of each
            batch stands for all.
    """

    sampled: ClassVar[bool]

    def targets(self, data: Labelled[Samples], batch: Batch) -> Tensor:
        """Return the targets of a batch."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the training losses `(n,)`."""

    def validation_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the validation losses `(n,)`: without label smoothing, weights and adjustment."""

    def validation_weights(self, targets: NDArray[Any]) -> NDArray[np.float64] | None:
        """Return weights `(n,)` of the validation images, 1 in the mean; None where all count alike."""

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return whether each sample is predicted correctly, bool `(n,)`; or how well, from 0 to 1, `(n,)`.

        The best epoch has the highest mean of these; of equal ones, the lowest loss.
        """

    def row(self, split: str, loss: float, correct: float) -> dict[str, float]:
        """Return columns of `metrics.csv` for "train" or "val" from the mean loss and the share that is correct."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Quality:
    """The number by which two models are compared on the same images.

    Attributes:
        name: of its mean, such as "accuracy".
        values: of each image: right or wrong, bool `(n,)`; or an error, float64 `(n,)`, the lower the better.
    """

    name: str
    values: NDArray[np.bool_] | NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation(abc.ABC):
    """A model measured on images.

    Attributes:
        images: the images that were measured.
    """

    images: Images

    @property
    def accuracy(self) -> float | None:
        """The share of images that are predicted correctly, 0 to 1; None for tasks without one."""
        return None

    @property
    def per_class(self) -> tuple[ClassMetrics, ...]:
        """The metrics of each class; empty for tasks without classes."""
        return ()

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The 95 % intervals of numbers, by the names that these have in `to_json`."""
        return {}

    @abc.abstractmethod
    def quality(self) -> Quality:
        """Return the number by which two models are compared on the same images."""

    def remarks(self, split: str) -> list[str]:
        """Return sentences on numbers that tell little."""
        return []

    @abc.abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""

    @abc.abstractmethod
    def headline(self, split: str) -> str:
        """Return the most important number in one sentence."""

    @abc.abstractmethod
    def rows(self, split: str) -> list[tuple[str, ...]]:
        """Return the numbers for a terminal: name, value and, where there is one, the 95 % interval."""

    @abc.abstractmethod
    def tiles(self) -> list[Tile]:
        """Return the headline numbers of the report."""

    def report_tables(self) -> list[ReportTable]:
        """Return the tables of the report."""
        return []

    def footnote(self) -> str:
        """Return the explanation of the numbers below the report; "" for none."""
        return ""

    def files(self) -> dict[str, str]:
        """Return tables as CSV, by the name of the file."""
        return {}

    def prediction_table(self) -> PredictionTable | None:
        """Return what `predictions.csv` says of each image, in their order; None for no such file."""
        return None

    def mistakes(self) -> list[FileGroup]:
        """Return the images that are predicted wrongly, by label and prediction, the most frequent mistake first."""
        return []

    def drawings(self) -> list[Drawing]:
        """Return the figures of the report."""
        return []

    def advice(self, training_images: Mapping[str, int]) -> list[str]:
        """Return sentences on how to improve, given the number of training images of each class."""
        return []


@dataclass(frozen=True)
class Metric:
    """A number of an evaluation that can choose between models.

    Attributes:
        key: its name in `Evaluation.to_json`.
        lower: lower is better.
    """

    key: str
    lower: bool = False

    @property
    def best(self) -> float:
        """The score of a perfect model."""
        return 0.0 if self.lower else 1.0

    def score(self, evaluation: Evaluation) -> float:
        """Return the number, negative if lower is better: higher is better in any case."""
        value = float(evaluation.to_json()[self.key])
        return -value if self.lower else value


class Model(Protocol):
    """A trained model as `Task.evaluate` takes it."""

    @property
    def card(self) -> ModelCard:
        """Network, classes, preprocessing."""


@dataclass(frozen=True, kw_only=True)
class FittedHead:
    """A last linear layer, fitted to features in closed form or by a convex problem.

    Attributes:
        weight: `(outputs, d)`.
        bias: `(outputs,)`.
        score: of cross-validation, at most 1: accuracy, or R² for numbers; None for too few images.
        left_out: the outputs of cross-validation for the images that each of its heads has not seen, if they are kept.
        strength: the inverse strength of the penalty that cross-validation has chosen, if it is to be chosen so.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    score: float | None
    left_out: LeftOut | None = None
    strength: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledOutputs:
    """Outputs of a model for images that have not taught it, and what they should be.

    Attributes:
        outputs: `(n, outputs)`.
        targets: `(n,)`, or `(n, outputs)`.
    """

    outputs: NDArray[np.float32]
    targets: NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class FromScratch:
    """The settings that suit a task's default network where its backbone has no weights to start from.

    Attributes:
        options: of the network: a backbone that learns fast from nothing.
        lr: times the learning rate of one that has, with the task's own optimizer.
        longer: times as many epochs.
    """

    options: Mapping[str, str]
    lr: float = 1.0
    longer: int = 1


class Task(abc.ABC):
    """A task: its targets, loss, metric, decoding of outputs, drawing and export signature.

    Attributes:
        name: as the user gives it to `--task`, and as model files keep it.
        summary: one line for the help.
        pipeline_tag: the name of such models on the Hugging Face Hub; "" where it has none.
        output: the kind of network it needs, see `Variant.output`.
        annotations: the kind of annotations that are its labels, see `hubel.data.annotation`; "" for label texts.
        compared: outputs are compared with targets: validation images select the best epoch. Otherwise the last one is
            kept.
        labelled: every image needs a label.
        multi_label: a label may name several classes, separated by "|".
        exclusive: each image has exactly one of the classes.
        knows_novelty: models may answer that an image is of none of the classes.
        stratify: labels are classes, of each of which a share is held out.
        losses: names of losses; the first one is the default.
        metrics: what settings can be chosen by, by name; the first one is the default. Empty where nothing can.
        unused: settings of a recipe that have no meaning.
        balance: how unequal classes are treated by default, one of `hubel.metrics.imbalance.METHODS`.
        default_model: the network where nobody names one; None where it depends on the images.
        from_scratch: what is different where the backbone of that network has no weights to start from; None for
            nothing.
        augment: the default augmentation policy; "" for that of the network.
        augment_small: likewise where small images are looked at as they are; "" for the same.
        most_pixels: of the network's input, where it has the shape of the images rather than that of the pretraining;
            0 where it has the latter.
        mosaics: several images may share an input, as each may have any number of objects.
        resize: how images are brought into that shape where nobody says it, see `Preprocess.resize`.
        longer: times as many epochs as others need to learn from scratch.
        most_epochs: where the backbone is pretrained.
        largest_batch: the most images a step where nobody says how many.
        optimizer: the default for training from scratch.
        lr: the default highest learning rate of each optimizer, for training from scratch.
        ema: the default decay of the moving average of the weights, likewise; 0 for none.
        weight_decay: of weights where nobody says how much.
        backbone_lr: that of a pretrained backbone as a share of the head's, which is higher by as much.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    pipeline_tag: ClassVar[str] = ""
    output: ClassVar[str] = "vector"
    annotations: ClassVar[str] = ""
    compared: ClassVar[bool] = True
    labelled: ClassVar[bool] = True
    multi_label: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    knows_novelty: ClassVar[bool] = False
    stratify: ClassVar[bool] = True
    losses: ClassVar[tuple[str, ...]]
    metrics: ClassVar[Mapping[str, Metric]] = {}
    unused: ClassVar[tuple[str, ...]] = ()
    balance: ClassVar[str] = "none"
    default_model: ClassVar[str | None] = None
    from_scratch: ClassVar[FromScratch | None] = None
    augment: ClassVar[str] = ""
    augment_small: ClassVar[str] = ""
    most_pixels: ClassVar[int] = 0
    mosaics: ClassVar[bool] = False
    resize: ClassVar[str] = "squash"
    longer: ClassVar[int] = 1
    most_epochs: ClassVar[int] = 60
    largest_batch: ClassVar[int] = 128
    optimizer: ClassVar[str] = "sgd"
    lr: ClassVar[Mapping[str, float]] = {"sgd": 0.1, "adam": 0.002, "adamw": 0.002, "adadelta": 1.0}
    ema: ClassVar[float] = 0.0
    weight_decay: ClassVar[float] = 5e-4
    backbone_lr: ClassVar[float] = 1.0

    def outputs(self, dataset: Dataset) -> tuple[str, ...]:
        """Return the names of the network's outputs, in order: the classes; empty for images.

        Raises:
            DataError: the labels are unsuitable.
        """
        return dataset.classes()

    def targets(self, dataset: Dataset, outputs: tuple[str, ...], rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the targets of rows, `(n,)` or `(n, outputs)`.

        Raises:
            DataError: a label is none of the outputs.
        """
        return dataset.targets(outputs, rows)

    def label_counts(self, data: Labelled[Images], classes: int) -> NDArray[np.int64]:
        """Return the number of labels of each class; empty for a task that does not count them."""
        return class_counts(data.targets, classes) if self.stratify else np.zeros(0, np.int64)

    def samples(self, images: Images, card: ModelCard) -> Images:
        """Return the samples of images, of which one may show several: these images themselves, by default.

        Args:
            images: of a dataset.
            card: of the model, which in training lacks what `finish_card` adds.
        """
        return images

    def scores(self, loss: str) -> str:
        """Return how outputs become scores in prediction and in the exported file, see `ModelCard.scores`."""
        return "sigmoid" if loss == "bce" else "softmax"

    def finish_card(self, card: ModelCard, train: Labelled[Images]) -> ModelCard:
        """Return the card with what the task reads from the training targets."""
        return card

    @abc.abstractmethod
    def objective(
        self, settings: LossSettings, card: ModelCard, targets: NDArray[Any], device: torch.device
    ) -> Objective:
        """Return loss and score for a training run.

        Args:
            settings: of the loss.
            card: of the model that is trained.
            targets: of the training images.
            device: of the network.
        """

    def fit_head(
        self,
        features: NDArray[np.float32],
        targets: NDArray[Any],
        card: ModelCard,
        loss: LossSettings,
        seed: int,
        strength: float | None = None,
    ) -> FittedHead:
        """Fit a linear head to features `(n, d)`; of the loss, the treatment of unequal classes counts.

        A `strength` that an earlier fit has chosen saves the choice.

        Raises:
            OptionError: the task has no linear head.
        """
        raise OptionError(f"the task {self.name} cannot start from pretrained weights; add --weights none")

    def neighbours_score(self, features: NDArray[np.float32], targets: NDArray[Any], card: ModelCard) -> float | None:
        """Return the accuracy of nearest neighbours among features `(n, d)`; None for tasks without one."""
        return None

    def calibrates(self, card: ModelCard) -> bool:
        """Return whether scores are calibrated on validation images."""
        return False

    def calibrate(self, logits: NDArray[np.float32], targets: NDArray[Any], card: ModelCard) -> ModelCard:
        """Return the card with scores calibrated on validation images."""
        return card

    def calibrate_sets(self, held_out: LabelledOutputs, card: ModelCard) -> ModelCard:
        """Return the card, whose scores are calibrated, with thresholds of prediction sets, if the task has these."""
        return card

    def choose_shown(self, network: nn.Module, card: ModelCard, held_out: Images) -> ModelCard:
        """Return the card with the score from which on objects are shown, chosen on images that have not taught."""
        return card

    @abc.abstractmethod
    def model(self, network: nn.Module, card: ModelCard, *, tta: bool = False) -> Model:
        """Return a network ready to be evaluated.

        Raises:
            OptionError: the task has no test-time augmentation.
        """

    @abc.abstractmethod
    def evaluate(self, model: Model, images: Images, targets: NDArray[Any]) -> Evaluation:
        """Measure a model on images."""

    def evaluate_outputs(
        self, outputs: NDArray[np.float32], card: ModelCard, images: Images, targets: NDArray[Any]
    ) -> Evaluation:
        """Measure outputs `(n, outputs)` of a network that have been computed already."""
        raise OptionError(f"the task {self.name} is not evaluated from outputs")

    def with_unknown(self, evaluation: Evaluation, model: Model, images: Images) -> Evaluation:
        """Return an evaluation with numbers on images of none of the classes, for a model that has a rule for these.

        Raises:
            OptionError: the task has no such images.
        """
        raise OptionError(f"the task {self.name} has no unknown images; leave out --unknown")


def weighted_targets(objective: Objective, data: Labelled[Samples], batch: Batch) -> list[tuple[float, Tensor]]:
    """Return the targets of a batch with their weights, the largest first.

    There is one, except for mixed images (mixup, CutMix): the losses of both targets are weighted, as mixup's authors
    do it, and the target with the larger share counts as the correct one.
    """
    if batch.others is None:
        return [(1.0, objective.targets(data, batch))]
    other = replace(batch, positions=batch.others)
    answers = [(batch.share, objective.targets(data, batch)), (1 - batch.share, objective.targets(data, other))]
    return answers if batch.share >= 0.5 else answers[::-1]


def validation_mean(values: Tensor, weights: NDArray[np.float64] | None) -> float:
    """Return the mean of values `(n,)` of the validation images with their weights; see `Objective`."""
    if weights is None:
        return float(values.double().mean())
    return float(np.average(values.double().numpy(), weights=weights))


def weighted_outputs(network: nn.Module, x: Tensor, targets: Tensor) -> list[tuple[float, Tensor]]:
    """Return the outputs for images `(n, c, h, w)` with their weights in the loss, auxiliary classifiers last.

    Only a generative network looks at the targets: the class of an image is one of its inputs.
    """
    from hubel.nn.dense import DenseNetwork  # what only evaluates exported files does without
    from hubel.nn.generative import GenerativeNetwork
    from hubel.nn.network import Network

    if isinstance(network, GenerativeNetwork):
        return [(1.0, network.training_outputs(x, targets))]
    if not isinstance(network, Network | DenseNetwork):
        return [(1.0, network(x))]
    outputs = network.outputs(x)
    return [(1.0, outputs.logits), *((network.auxiliary_weight, logits) for logits in outputs.auxiliary.values())]
