"""Airbench. Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498.

A VGG-like network of 2.0 million parameters, and what lets it learn CIFAR-10 in ten epochs. Each trick is an option of
this network, or a setting of the recipe `cifar-94`; `benchmarks/speedrun_cifar10.py --ablate` leaves one out.

- A frozen first layer (`whitening`), whose filters are the principal components of the training images' 2x2 patches and
  their negatives, scaled so that its outputs are uncorrelated and of variance 1: no step is spent on learning that.
  Only its bias is trained.
- The first filters of each 3x3 convolution start as the identity (`identity`), so that signals pass all layers at once.
- Batch norms have no factors, follow their batches closely (`norm_momentum`), and their biases learn 64 times as fast
  as the weights (the recipe's `norm_bias_lr`).
- The features are divided by 9 before the linear layer (`scale`): small logits, from which training moves away slowly.
- Lookahead (the recipe's `lookahead`): every fifth step the weights go back to their moving average, more so later.
- Alternating flip (the policy's `alternate`): an image is mirrored in every other epoch, instead of by chance.
- Label smoothing of 0.2, reflected shifts by 2 pixels, a triangular learning rate, Nesterov's momentum of 0.85.
- Views in evaluation (`views`): the mean of the logits of the image, of two shifts by a pixel, and of the mirror
  images of these. The option is a part of the network, so that an exported file has it, too.

Deviation: the bias of the first layer learns to the end, instead of for three epochs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.models.variant import InputShape, Rounded, Variant, computed, paper
from hubel.nn.layers import check_choice, check_positive
from hubel.nn.network import Network
from hubel.nn.whitening import PatchWhitening

_VIEWS = ("none", "mirror", "mirror_shift")


@dataclass(frozen=True)
class AirbenchLayout:
    """The options of `airbench94`, each of which is a trick of its own."""

    widths: tuple[int, ...] = (64, 256, 256)  # maps of each stage
    kernel: int = 2  # of the first layer, in pixels
    whitening: bool = True  # the first layer whitens patches, and is frozen; otherwise random filters that learn
    identity: bool = True  # convolutions start as the identity, as far as they can
    norm_momentum: float = 0.6  # share of the statistics that a batch norm keeps at each step
    scale: float = 1 / 9  # of the logits
    views: str = "none"  # averaged in evaluation: none; mirror; mirror_shift, with two shifts by a pixel


class ShiftNorm(nn.BatchNorm2d):
    """A batch norm without a factor: (x - mean) / sigma + beta.

    Args:
        channels: maps.
        momentum: share of the statistics that is kept at each step.
    """

    def __init__(self, channels: int, momentum: float) -> None:
        super().__init__(channels, eps=1e-12, momentum=1 - momentum)
        self.weight.requires_grad_(False)


class Scaled(nn.Module):
    """Multiplies by a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Scale features `(n, d)`."""
        return x * self.factor


class AirbenchNetwork(Network):
    """A network that can average the logits of several views of an image in evaluation."""

    views = "none"

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `(n, classes)` of normalised images `(n, c, h, w)`."""
        if self.training or self.views == "none":
            return super().forward(x)
        if self.views == "mirror":
            return self._mirrored(x)
        height, width = x.shape[2:]
        padded = F.pad(x, (1, 1, 1, 1), "reflect")
        upper, lower = padded[:, :, :height, :width], padded[:, :, 2 : 2 + height, 2 : 2 + width]
        return (2 * self._mirrored(x) + self._mirrored(upper) + self._mirrored(lower)) / 4

    def _mirrored(self, x: Tensor) -> Tensor:
        return (super().forward(x) + super().forward(x.flip(3))) / 2


def convolution(in_channels: int, out_channels: int, *, identity: bool) -> nn.Conv2d:
    """Build a 3x3 convolution without bias, whose first filters hand on one map each if `identity`."""
    layer = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    if identity and not layer.weight.is_meta:
        with torch.no_grad():
            nn.init.dirac_(layer.weight[:in_channels])
    return layer


def build(layout: AirbenchLayout, shape: InputShape, num_classes: int) -> AirbenchNetwork:
    """Build the network of a layout; its first layer whitens once it has seen images (`PatchWhitening.fit`)."""
    _check(layout, shape)
    stem = PatchWhitening(shape.channels, layout.kernel, fitted=layout.whitening)
    stages, channels = [], stem.out_channels
    for width in layout.widths:
        stages.append(
            nn.Sequential(
                convolution(channels, width, identity=layout.identity),
                nn.MaxPool2d(2),
                ShiftNorm(width, layout.norm_momentum),
                nn.GELU(),
                convolution(width, width, identity=layout.identity),
                ShiftNorm(width, layout.norm_momentum),
                nn.GELU(),
            )
        )
        channels = width
    head = nn.Sequential(
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), Scaled(layout.scale), nn.Linear(channels, num_classes, bias=False)
    )
    network = AirbenchNetwork(nn.Sequential(stem, nn.GELU()), stages, head)
    network.views = layout.views
    return network


def _check(layout: AirbenchLayout, shape: InputShape) -> None:
    check_choice("views", layout.views, _VIEWS)
    check_positive(widths=layout.widths, kernel=layout.kernel, scale=layout.scale)
    if not 0 <= layout.norm_momentum < 1:
        raise OptionError(f"norm_momentum is a share below 1, not {layout.norm_momentum}")
    side = min(shape[1:]) + 1 - layout.kernel
    if side >> len(layout.widths) < 1:
        raise OptionError(
            f"{len(layout.widths)} stages halve {side} pixels to none; give fewer widths or larger images"
        )


VARIANTS = {
    "airbench94": Variant(
        AirbenchLayout(),
        "learns CIFAR-10 to 94 % in ten epochs; recipe cifar-94",
        InputShape(3, 32, 32),
        published=paper("Jordan 2024, Section 3", params=Rounded(1.97e6, 3))
        + computed(
            "a whitening layer, six 3x3 convolutions, a linear layer",
            params=1_972_792,
            macs=118_147_360,
            maps={"stem": (24, 31, 31), "stage1": (64, 15, 15), "stage2": (256, 7, 7), "stage3": (256, 3, 3)},
        ),
        smallest=9,
    )
}
