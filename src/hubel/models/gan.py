"""Generative adversarial network of DCGAN's size: a generator, and a discriminator of its images and real ones.

Goodfellow et al. 2014, arXiv:1406.2661; with convolutions: Radford, Metz & Chintala 2016, "Unsupervised representation
learning with deep convolutional generative adversarial networks", arXiv:1511.06434; with the class as an input of both:
Mirza & Osindero 2014, arXiv:1411.1784. The generator is the paper's (Radford et al., Section 3): a linear layer,
transposed convolutions 4x4 with stride 2, batch norm, ReLU; the discriminator has convolutions with stride 2 and leaky
ReLUs of slope 0.2.

Deviation: the class enters the discriminator as a projection, the product of its code with the features of the image
(Miyato & Koyama 2018, arXiv:1802.05637, Eq. 3), and the discriminator has no batch norm, but a penalty of its gradient
(Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406), with which the training converges.

The output for an image is the logit that it is real `(n, 1)`: the discriminator's, without a class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hubel.models.variant import InputShape, Variant, computed
from hubel.nn.generative import ClassLinear, GenerativeNetwork, ToMap, smallest_map, through
from hubel.nn.layers import check_depth, check_positive


@dataclass(frozen=True)
class CGANLayout:
    """Maps of the discriminator, which the generator has in reverse, and the size of the code."""

    widths: tuple[int, ...] = (32, 64)  # maps of each stage, which halves the sides
    code: int = 64  # numbers of a code

    conditional: ClassVar[bool] = True


class ProjectionHead(nn.Module):
    """The logit that an image is real, of its features f and class code c: w f + b + (V c) f (Miyato & Koyama, Eq. 3).

    Args:
        features: their number.
        num_classes: of c.
    """

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.real = nn.Linear(features, 1)
        self.of_class = nn.Linear(num_classes, features, bias=False)

    def forward(self, features: Tensor, classes: Tensor | None = None) -> Tensor:
        """Return the logits `(n, 1)` of features `(n, f)` and classes `(n, num_classes)`; without one, w f + b."""
        logits: Tensor = self.real(features)
        return logits if classes is None else logits + (self.of_class(classes) * features).sum(1, keepdim=True)


class AdversarialNetwork(GenerativeNetwork):
    """A discriminator, whose layers are those of a `Network`, and a generator.

    Args:
        stages: of the discriminator, from the image to its features.
        head: of the discriminator.
        generator: layers from the code to the logits of pixels.
        code_size: numbers of a code.
        num_classes: that an image can be asked for.
    """

    betas: ClassVar[tuple[float, float]] = (0.5, 0.999)  # Radford et al. 2016, Section 4

    def __init__(
        self,
        stages: Sequence[nn.Sequential],
        head: ProjectionHead,
        generator: nn.Sequential,
        *,
        code_size: int,
        num_classes: int,
    ) -> None:
        super().__init__(nn.Identity(), stages, head, code_size=code_size, num_classes=num_classes)
        self.generator = generator

    def make(self, noise: Tensor, classes: Tensor | None = None) -> Tensor:
        """Return the logits of pixels of the generator's images; see `GenerativeNetwork`."""
        return through(self.generator, noise, classes)

    def judge(self, x: Tensor, classes: Tensor | None) -> Tensor:
        """Return the logit `(n,)` that each image `(n, c, h, w)`, from 0 to 1, is a real one of its class."""
        verdict: Tensor = self.head(self.stages(x), classes)
        return verdict[:, 0]

    def training_outputs(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return logits and a penalty `(n, 4)`: one backward pass through them teaches both networks at once.

        That is D(x) of the real image; D(G(z)), which teaches the discriminator alone, since the image is detached from
        the generator; D(G(z)), which teaches the generator alone, since the discriminator's weights are detached; and
        the squared gradient |dD(x)/dx|^2 of the real image.
        """
        classes = self.class_weights(labels)
        made = torch.sigmoid(self.make(torch.randn(len(x), self.code_size, device=x.device), classes))
        x = x.detach().requires_grad_()
        real = self.judge(x, classes)
        constant = {
            name: weight.detach() for name, weight in self.named_parameters() if not name.startswith("generator.")
        }
        opposed = functional_call(_Judge(self), {f"network.{n}": w for n, w in constant.items()}, (made, classes))
        (slope,) = torch.autograd.grad(real.sum(), x, create_graph=self.training)
        parts = real, self.judge(made.detach(), classes), opposed, slope.square().flatten(1).sum(1)
        return torch.stack([part.float() for part in parts], 1)

    def measure(self, x: Tensor, classes: Tensor | None, noise: Tensor) -> dict[str, Tensor]:
        """Return 1 where the discriminator tells a real image `x`, and one made from noise, and 0 elsewhere."""
        made = torch.sigmoid(self.make(noise, classes))
        return {
            "real_told": (self.judge(x, classes) > 0).float(),
            "made_told": (self.judge(made, classes) < 0).float(),
        }


class _Judge(nn.Module):
    """The method `judge` of a network as a module, which `functional_call` wants."""

    def __init__(self, network: AdversarialNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, classes: Tensor | None) -> Tensor:
        return self.network.judge(x, classes)


def build(layout: CGANLayout, shape: InputShape, num_classes: int) -> AdversarialNetwork:
    """Build the networks of a layout."""
    check_positive(widths=layout.widths, code=layout.code)
    check_depth(layout.widths)
    height, width = smallest_map(shape.height, shape.width, len(layout.widths))
    last = layout.widths[-1], height, width
    values = last[0] * height * width
    down = [
        nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True))
        for a, b in pairwise((shape.channels, *layout.widths))
    ]
    down[-1].append(nn.Flatten())
    up: list[nn.Module] = []
    for a, b in pairwise(layout.widths[::-1]):
        up += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
    generator = nn.Sequential(
        ClassLinear(layout.code, values, num_classes),
        ToMap(last),
        nn.BatchNorm2d(last[0]),
        nn.ReLU(inplace=True),
        *up,
        nn.ConvTranspose2d(layout.widths[0], shape.channels, 4, 2, 1),
    )
    network = AdversarialNetwork(
        down, ProjectionHead(values, num_classes), generator, code_size=layout.code, num_classes=num_classes
    )
    _initialise(network)
    return network


@torch.no_grad()
def _initialise(network: nn.Module) -> None:
    """Draw the weights from N(0, 0.02^2) (Radford et al. 2016, Section 4), with zero biases."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and not layer.weight.is_meta:
            nn.init.normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


VARIANTS = {
    "cgan": Variant(
        CGANLayout(),
        "conditional DCGAN: makes images of a class",
        InputShape(1, 28, 28),
        10,
        computed(
            "generator 268,673, discriminator 33,376 + 3,137, classes 31,360; multiply-adds of the discriminator",
            params=336_546,
            macs=1_709_120,
            maps={"stage1": (32, 14, 14), "stage2": (3136,), "logits": (1,)},
        ),
        smallest=4,
        augment="none",
        output="samples",
    ),
}
