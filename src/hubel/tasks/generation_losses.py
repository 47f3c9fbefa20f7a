"""Losses of generative networks, each from its paper, and the objective that a training run has of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from hubel.data.samples import Batch, Labelled, Samples

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AdversarialObjective", "BoundObjective"]

_GRADIENT = 0.1  # gamma, the weight of the penalty of the gradient; the paper's 10 is for images of 256 pixels


class _GenerationObjective:
    """Common part of generative objectives: their targets are classes, which the network itself takes."""

    sampled: ClassVar[bool] = False

    def targets(self, data: Labelled[Samples], batch: Batch) -> Tensor:
        """Return the class numbers int64 `(n,)`, -1 without one."""
        import torch  # what only evaluates exported files does without

        return torch.from_numpy(data.targets[batch.positions])

    def validation_weights(self, targets: NDArray[Any]) -> None:
        """Return None: all images count alike."""


@dataclass(frozen=True, kw_only=True)
class BoundObjective(_GenerationObjective):
    """The negative evidence lower bound of a variational autoencoder.

    Attributes:
        pixels: values of an image, by whose number the bound is divided: one learning rate suits images of any size.
    """

    pixels: int

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return -log p(x|z) + D(q(z|x) || p(z)) in nats a pixel, `(n,)`: Kingma & Welling 2014, Eq. 10, L = 1."""
        return outputs.sum(1) / self.pixels

    validation_losses = losses

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return False for each image: nothing is right or wrong."""
        import torch  # what only evaluates exported files does without

        return torch.zeros(len(outputs), dtype=torch.bool)

    def row(self, split: str, loss: float, correct: float) -> dict[str, float]:
        """Return the loss."""
        return {f"{split}_loss": loss}


class AdversarialObjective(_GenerationObjective):
    """The losses of a discriminator and a generator, which are descended at the same time."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of both networks' losses `(n,)`, of what `AdversarialNetwork.training_outputs` returns.

        The discriminator ascends log D(x) + log(1 - D(G(z))) (Goodfellow et al. 2014, Eq. 1), less gamma/2 times the
        squared gradient of its logit at real images (R1: Mescheder et al. 2018, Eq. 9). The generator ascends
        log D(G(z)), which has a gradient where the discriminator is sure (Goodfellow et al. 2014, Section 3). With D =
        sigmoid(l), -log D is softplus(-l) and -log(1 - D) is softplus(l).
        """
        from torch.nn.functional import softplus  # what only evaluates exported files does without

        real, made, opposed, slope = outputs.unbind(1)
        return softplus(-real) + softplus(made) + _GRADIENT / 2 * slope + softplus(-opposed)

    validation_losses = losses

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return which share of a real and a made image the discriminator tells, `(n,)`: 0, 0.5 or 1."""
        return ((outputs[:, 0] > 0).double() + (outputs[:, 1] < 0).double()) / 2

    def row(self, split: str, loss: float, correct: float) -> dict[str, float]:
        """Return the loss, and the share of real and made images that the discriminator tells apart."""
        return {f"{split}_loss": loss, f"{split}_told": correct}
