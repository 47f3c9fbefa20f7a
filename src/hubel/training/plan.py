"""The plan of a training run: everything is decided. `hubel.training.resolve` makes it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.data.augment import Policy
from hubel.data.balanced_order import balanced_order
from hubel.data.dataset import Dataset
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.data.samples import Labelled
from hubel.data.splits import Splits
from hubel.models.catalogue import find
from hubel.models.neighbours import NeighboursLayout
from hubel.tasks.losses import LossSettings
from hubel.tasks.task import Task
from hubel.training.distillation.losses import DISTILLATION_LOSSES
from hubel.training.distillation.teacher import Teacher
from hubel.training.recipe import Recipe
from hubel.training.schedule import Schedule
from hubel.weights.card import ModelCard

__all__ = [
    "DistillationPlan",
    "InitialBackbone",
    "LoopSettings",
    "OptimizerSettings",
    "Plan",
    "Sharding",
    "TransferPlan",
]


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """An optimizer.

    Attributes:
        name: a key of `hubel.training.optimizer.OPTIMIZERS`.
        lr: the highest learning rate.
        momentum: of sgd and heavy_ball.
        weight_decay: of weights.
        decayed: "weights", or "all": the factors of norms and biases, too.
        layer_decay: learning rate of each stage as a share of that of the part above it.
        backbone_lr: learning rate of the backbone of a dense network as a share of that of its head.
        gradual_unfreeze: share of the steps by which each stage starts to train later than the part above it.
        clip: largest norm of the gradient; infinite for no clipping.
        norm_bias_lr: learning rate of the biases of norms, as a multiple of that of the weights.
        ema: decay of the moving average of the weights; 0 for none.
        lookahead: every so many steps, the weights go back to their moving average; 0 for never.
        betas: decays of the moving averages of Adam and AdamW.
    """

    name: str
    lr: float
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 5e-4
    decayed: str = "weights"
    layer_decay: float = 1.0
    backbone_lr: float = 1.0
    gradual_unfreeze: float = 0.0
    clip: float = math.inf
    norm_bias_lr: float = 1.0
    ema: float = 0.0
    lookahead: int = 0


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """The epochs.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step.
        policy: how training images are augmented.
        steps: the most steps, over all epochs; infinite for all of each epoch.
        schedule: of the learning rate.
        patience: epochs without improvement before training stops; infinite for never.
        max_minutes: time for the whole run; infinite for no limit.
        checkpoint_minutes: time between two checkpoints inside an epoch.
        seed: of order, augmentation and dropout.
        sampling: an epoch shows each class equally often.
        train_sizes: height and width of the training images, from the first epochs to the last, each for an equal part
            of them; empty for those of the network's input.
    """

    epochs: int
    batch_size: int
    policy: Policy
    steps: float = math.inf
    schedule: Schedule = field(default_factory=Schedule)
    patience: float = math.inf
    max_minutes: float = math.inf
    checkpoint_minutes: float = 5.0
    seed: int = 0
    sampling: bool = False
    train_sizes: tuple[tuple[int, int], ...] = ()

    def order(self, targets: NDArray[Any], epoch: int) -> NDArray[np.int64] | None:
        """Return the order of an epoch over images with these targets `(n,)`; None where each comes once, by seed."""
        return balanced_order(targets, self.seed, epoch) if self.sampling else None


@dataclass(frozen=True, kw_only=True)
class Sharding:
    """The division of a batch over processes.

    Attributes:
        shards: the weights have the same bits on any number of processes, each of which takes whole shards; one for
            each process where the reduction is fast.
        fast: gradients are averaged in the order that is fastest.
    """

    shards: int
    fast: bool = False


@dataclass(frozen=True, kw_only=True)
class TransferPlan:
    """Transfer learning, as far as the data and the recipe decide it.

    Which of the boundaries it is, the features show; see `hubel.training.transfer`, which makes a `TuningPlan`.

    Attributes:
        weights: the initial weights: a tag of pretrained ones, or a file.
        boundaries: candidates of the boundary below which the network stays frozen; one where the recipe names it.
        lower: the boundary at which maps are stored for fine-tuning, and whose means are evidence.
        views: how many views of each image the frozen part processes for fine-tuning, if the cache has room.
        view_policy: draws the views other than the image and its mirror image.
        engine: that runs the frozen part; "auto" times those at hand on the network itself.
    """

    weights: str | Path
    boundaries: tuple[str, ...]
    lower: str
    views: int
    view_policy: Policy
    engine: str


@dataclass(frozen=True, kw_only=True)
class InitialBackbone:
    """Pretrained weights of the backbone of a network whose head starts from random ones.

    Attributes:
        name: of the backbone in the catalogue.
        weights: a tag of pretrained weights, or a file.
        freeze: the boundary up to which it stays frozen; "none" where all of it is trained.
        views: of each image whose maps are stored, if all of it is frozen.
    """

    name: str
    weights: str | Path
    freeze: str = "none"
    views: int = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class DistillationPlan:
    """Decisions on who teaches a student beside the labels, and how.

    Attributes:
        teachers: whose mean probability teaches; one where hints do.
        loss: a key of `hubel.training.distillation.losses.DISTILLATION_LOSSES`.
        weight: share of the loss that is the teacher's, 0 to 1.
        temperature: of the softmax of both; 1 where the loss has none.
        views: of each image; epoch e shows view e modulo this number.
        online: answers are computed in the loop.
        images: the training images, and after them those without labels.
        unlabelled: number of the latter.
        engine: that runs the teacher; "auto" for the fastest.
        shards: of each batch, which several processes share; None for whole batches.
    """

    teachers: tuple[Teacher, ...]
    loss: str
    weight: float
    temperature: float
    views: int
    online: bool
    images: Images
    unlabelled: int
    engine: str
    shards: int | None = None

    def settings(self) -> dict[str, Any]:
        """Return the decisions as settings of a recipe."""
        usual = DISTILLATION_LOSSES[self.loss]
        return {
            "distill_loss": self.loss,
            "teacher_weight": self.weight,
            **({} if usual.temperature is None else {"temperature": self.temperature}),
            **({} if usual.maps else {"teacher_views": self.views}),
        }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that is decided before training.

    Attributes:
        recipe: the request.
        pinned: the request with every decision written into it: it resolves to this plan on the same data.
        task: the task.
        card: the model to be: its network, classes, preprocessing, and where it comes from.
        dataset: the images.
        splits: rows of each split.
        train: images that train the network.
        val: images that select the best epoch and calibrate; None where none are held out: then the last epoch is kept.
        measured: images that measure the result: those of the split test, or of val where there is none.
        optimizer: its settings.
        loss: its settings.
        loop: the epochs.
        transfer: transfer learning; None where all weights are trained in the loop.
        backbone: what the backbone starts from; None for networks without one, and from scratch.
        device: where to compute.
        precision: of convolutions.
        threads: of the computation.
        notes: what a person should know.
        module: the network as a user has built it; None for one of the catalogue.
        distillation: what teaches the network beside the labels; None without a teacher.
        sharding: how processes share a batch; None for a training in one process that nobody has asked to be exact.
    """

    recipe: Recipe
    pinned: Recipe
    task: Task
    card: ModelCard
    dataset: Dataset
    splits: Splits
    train: Labelled[Images]
    val: Labelled[Images] | None
    measured: Labelled[Images]
    optimizer: OptimizerSettings
    loss: LossSettings
    loop: LoopSettings
    transfer: TransferPlan | None
    backbone: InitialBackbone | None
    device: torch.device
    precision: torch.dtype
    threads: int
    notes: tuple[str, ...]
    module: nn.Module | None = field(default=None, repr=False)
    distillation: DistillationPlan | None = None
    sharding: Sharding | None = None

    def create(self) -> nn.Module:
        """Build the network as training starts with it, but for pretrained weights; a copy of a user's own."""
        return self.card.create(self.module)

    @property
    def preprocess(self) -> Preprocess:
        """Preprocessing of images to network inputs."""
        return self.card.preprocess

    @property
    def classes(self) -> int:
        """The number of classes; 0 for tasks without any."""
        return len(self.card.classes) if self.task.stratify else 0

    @property
    def learns(self) -> bool:
        """The network is trained by steps, rather than storing the images."""
        return self.module is not None or not isinstance(find(self.card.model)[1].layout, NeighboursLayout)
