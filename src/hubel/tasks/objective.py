"""What a network is trained to do: what its outputs are compared with, and the numbers by which an epoch is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.data.loading import Batch, Labelled, Samples
from hubel.nn.network import Network
from hubel.tasks.losses import Loss, class_weights
from hubel.training.recipe import Recipe

__all__ = ["OBJECTIVES", "Classification", "Objective", "Reconstruction", "weighted_outputs", "weighted_targets"]


class Objective(Protocol):
    """All that the loop does not know of a task."""

    def targets(self, data: Labelled[Samples], batch: Batch) -> Tensor:
        """What the outputs for a batch of these images should be."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What training makes small: one number for each sample, `(n,)`."""

    def plain_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What validation measures, likewise."""

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Which samples `(n,)` are right. The best epoch has the most of them; of equal ones, the lowest loss."""

    def row(self, part: str, loss: float, right: float) -> dict[str, float]:
        """What an epoch's row says of the "train" or "val" images, from their mean loss and the share that is right."""


@dataclass(frozen=True)
class Classification:
    """A number for each class, against one class an image or a set of them.

    Attributes:
        losses: of training.
        plain_losses: of validation, without label smoothing and class weights.
        score: the name of the share that is right.
    """

    losses: Loss
    plain_losses: Loss
    score: str

    @classmethod
    def of(cls, recipe: Recipe, targets: NDArray[Any], device: torch.device) -> Self:
        """What a recipe says, for the targets of the training images: `(n,)`, or 0 and 1 `(n, classes)`."""
        classes = int(targets.max()) + 1 if targets.ndim == 1 else targets.shape[1]
        weights = class_weights(targets, classes).to(device) if recipe.class_weights else None
        training = Loss(recipe.loss, max(0.0, recipe.label_smoothing), weights)
        return cls(training, Loss(recipe.loss), "top1" if targets.ndim == 1 else "exact")

    def targets(self, data: Labelled[Samples], batch: Batch) -> Tensor:
        """The labels."""
        return torch.from_numpy(data.targets[batch.positions])

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Which images `(n,)` have exactly the right class, or set of classes."""
        if targets.ndim == 1:
            return outputs.argmax(1) == targets
        return ((outputs > 0) == (targets > 0.5)).all(1)

    def row(self, part: str, loss: float, right: float) -> dict[str, float]:
        """Loss and accuracy."""
        return {f"{part}_loss": loss, f"{part}_{self.score}": right}


class Reconstruction:
    """An image of logits `(n, c, h, w)`, against the network's own input, which has pixels from 0 to 1."""

    def targets(self, data: Labelled[Samples], batch: Batch) -> Tensor:
        """The images, as they were changed."""
        return data.images.network_input(batch.pixels)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropies in nats, the mean over the pixels: one learning rate suits images of any size."""
        return F.binary_cross_entropy_with_logits(outputs.float(), targets, reduction="none").mean((1, 2, 3))

    plain_losses = losses

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """No image counts as right, so that the loss alone decides."""
        return torch.zeros(len(outputs), dtype=torch.bool)

    def row(self, part: str, loss: float, right: float) -> dict[str, float]:
        """The loss."""
        return {f"{part}_loss": loss}


# By the task of a recipe; one that was not planned is a classifier's.
OBJECTIVES: dict[str, Callable[[Recipe, NDArray[Any], torch.device], Objective]] = {
    "auto": Classification.of,
    "classify": Classification.of,
    "reconstruct": lambda *_: Reconstruction(),
}


def weighted_targets(objective: Objective, data: Labelled[Samples], batch: Batch) -> list[tuple[float, Tensor]]:
    """What the outputs for a batch should be, with the share of each answer, the largest first.

    There is one, but for images of which each is mixed of two: the losses of both answers are weighted, as mixup's
    authors do it, and what counts as right is the answer that has the larger share.
    """
    if batch.others is None:
        return [(1.0, objective.targets(data, batch))]
    other = replace(batch, positions=batch.others)
    answers = [(batch.share, objective.targets(data, batch)), (1 - batch.share, objective.targets(data, other))]
    return answers if batch.share >= 0.5 else answers[::-1]


def weighted_outputs(network: nn.Module, x: Tensor) -> list[tuple[float, Tensor]]:
    """What a network says of images `(n, c, h, w)`, its auxiliary classifiers last: weights in the loss, outputs."""
    if not isinstance(network, Network):
        return [(1.0, network(x))]
    outputs = network.outputs(x)
    return [(1.0, outputs.logits), *((network.auxiliary_weight, logits) for logits in outputs.auxiliary.values())]
