"""Variational autoencoder: an autoencoder whose codes are normal numbers, so that a random code is an image.

Kingma & Welling 2014, "Auto-encoding variational Bayes", arXiv:1312.6114. The encoder gives each image a normal
distribution of codes, q(z|x); the decoder gives each code a probability of each pixel, p(x|z) (Appendix C, here with
convolutions). In `cvae` both are given the class, and so is the distribution that codes are drawn from, p(z|y): Sohn,
Lee & Yan 2015, "Learning structured output representation using deep conditional generative models", Eq. 4.

The convolutions are those of `hubel.models.gan`: 4x4 with stride 2, which halve the sides of a map, and transposed ones
which double them. In `cvae` p(z|y) is a diagonal normal distribution for each class y. Deviation: a tenth of the
training images is shown to `cvae` without a class, so that it reconstructs images of which nobody says what they are.

The output for an image are the logits of its reconstruction `(n, c, h, w)`, from the mean of its codes and without a
class.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.models.variant import InputShape, Variant, computed
from hubel.nn.generative import ClassLinear, EncodingNetwork, ToMap, smallest_map, through
from hubel.nn.layers import check_depth, check_positive, he_initialise


@dataclass(frozen=True)
class VAELayout:
    """Maps of the encoder, which the decoder has in reverse, and the size of the code."""

    widths: tuple[int, ...] = (32, 64)  # maps of each stage, which halves the sides
    hidden: int = 256  # units between maps and code
    code: int = 32  # numbers of a code

    conditional: ClassVar[bool] = False


@dataclass(frozen=True)
class CVAELayout(VAELayout):
    """The same with the class as a second input of encoder and decoder."""

    conditional: ClassVar[bool] = True


class Gaussian(nn.Module):
    """The normal distribution of an image's codes, with a diagonal covariance (Kingma & Welling 2014, Eq. 9).

    Args:
        units: from which mean and variance are computed.
        code: numbers of a code.
    """

    def __init__(self, units: int, code: int) -> None:
        super().__init__()
        self.mean = nn.Linear(units, code)
        self.log_variance = nn.Linear(units, code)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean `(n, code)`."""
        mean: Tensor = self.mean(x)
        return mean


def normal_divergence(mean: Tensor, log_variance: Tensor, prior: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Return the Kullback-Leibler divergence of one diagonal normal distribution from another, in nats, `(n,)`.

    D = 1/2 sum_j (m_j^2 + s_j^2 - 1 - log s_j^2) from the standard one (Kingma & Welling 2014, Eq. 10, Appendix B);
    from N(m', s'^2) the same with (m - m') / s' in place of m, and s / s' in place of s.

    Args:
        mean: m, `(n, d)`.
        log_variance: log s^2, `(n, d)`.
        prior: m' and log s'^2; None for the standard normal distribution.
    """
    if prior is not None:
        mean, log_variance = (mean - prior[0]) * (-0.5 * prior[1]).exp(), log_variance - prior[1]
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


class VariationalAutoencoder(EncodingNetwork):
    """Encoder, code and decoder.

    Args:
        encoder: stages from the image to the distribution of its code; the last one ends with a `Gaussian`.
        decoder: stages from the code to the last map.
        image: makes logits of pixels of the last map.
        code_size: numbers of a code.
        num_classes: of the class that both are given; 0 without one.
    """

    def __init__(
        self,
        encoder: Sequence[nn.Sequential],
        decoder: Sequence[nn.Sequential],
        image: nn.Module,
        *,
        code_size: int,
        num_classes: int,
    ) -> None:
        super().__init__(
            nn.Identity(), [*encoder, *decoder], nn.Sequential(OrderedDict(image=image)),
            code_size=code_size, num_classes=num_classes,
        )  # fmt: skip
        self.encoder_layers = sum(map(len, encoder))
        self.prior = nn.Linear(num_classes, 2 * code_size, bias=False) if num_classes else None

    def prior_of(self, classes: Tensor | None) -> tuple[Tensor, Tensor] | None:
        """Return mean and logarithm of the variance of p(z|class); None for the standard one, of no class."""
        if self.prior is None or classes is None:
            return None
        mean, log_variance = self.prior(classes).float().chunk(2, 1)
        return mean, log_variance

    def encode(self, x: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance of q(z|x, class), each `(n, code_size)`; see `EncodingNetwork`."""
        *layers, gaussian = self._layers()[: self.encoder_layers]
        units = through(layers, x, classes)
        assert isinstance(gaussian, Gaussian)
        return gaussian.mean(units), gaussian.log_variance(units)

    def make(self, noise: Tensor, classes: Tensor | None = None) -> Tensor:
        """Return the logits of images whose codes are drawn from p(z|class); see `GenerativeNetwork`."""
        prior = self.prior_of(classes)
        return self.decode(noise if prior is None else prior[0] + (0.5 * prior[1]).exp() * noise, classes)

    def decode(self, codes: Tensor, classes: Tensor | None = None) -> Tensor:
        """Return the logits of p(x|z, class); see `EncodingNetwork`."""
        return through([*self._layers()[self.encoder_layers :], self.head], codes, classes)

    def _layers(self) -> list[nn.Module]:
        return [layer for _, stage in self.sections() if isinstance(stage, nn.Sequential) for layer in stage]

    def bound(self, x: Tensor, classes: Tensor | None, noise: Tensor) -> Tensor:
        """Return -log p(x|z) and the divergence of q(z|x) from p(z): Eq. 10, with one code z = m + s noise."""
        mean, log_variance = (values.float() for values in self.encode(x, classes))
        logits = self.decode(mean + (0.5 * log_variance).exp() * noise, classes).float()
        surprise = F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)
        divergence = normal_divergence(mean, log_variance, self.prior_of(classes))
        return torch.stack([surprise, divergence], 1)


_PRIOR = 0.1  # deviation of the parameters of p(z|class) at first


def build(layout: VAELayout, shape: InputShape, num_classes: int) -> VariationalAutoencoder:
    """Build the network of a layout; `num_classes` counts where it is conditional."""
    check_positive(widths=layout.widths, hidden=layout.hidden, code=layout.code)
    check_depth(layout.widths)
    classes = num_classes if layout.conditional else 0
    height, width = smallest_map(shape.height, shape.width, len(layout.widths))
    last = layout.widths[-1], height, width
    values = last[0] * height * width
    down = [
        nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), nn.ReLU(inplace=True))
        for a, b in pairwise((shape.channels, *layout.widths))
    ]
    code = nn.Sequential(
        nn.Flatten(),
        ClassLinear(values, layout.hidden, classes),
        nn.ReLU(inplace=True),
        Gaussian(layout.hidden, layout.code),
    )
    start = nn.Sequential(
        ClassLinear(layout.code, layout.hidden, classes),
        nn.ReLU(inplace=True),
        nn.Linear(layout.hidden, values),
        ToMap(last),
        nn.ReLU(inplace=True),
    )
    up = [
        nn.Sequential(nn.ConvTranspose2d(a, b, 4, 2, 1), nn.ReLU(inplace=True))
        for a, b in pairwise(layout.widths[::-1])
    ]
    image = nn.ConvTranspose2d(layout.widths[0], shape.channels, 4, 2, 1)
    network = VariationalAutoencoder([*down, code], [start, *up], image, code_size=layout.code, num_classes=classes)
    he_initialise(network)
    if network.prior is not None and not network.prior.weight.is_meta:
        nn.init.normal_(network.prior.weight, std=_PRIOR)
    return network


_MAPS = {
    "stage1": (32, 14, 14),
    "stage2": (64, 7, 7),
    "stage3": (32,),
    "stage4": (64, 7, 7),
    "stage5": (32, 14, 14),
    "logits": (1, 28, 28),
}

_LAYERS = "544 + 32,832 + 803,072 + 16,448 + 8,448 + 805,952 + 32,800 + 513 parameters"

VARIANTS = {
    "vae": Variant(
        VAELayout(),
        "variational autoencoder: makes images from random codes of 32 numbers",
        InputShape(1, 28, 28),
        1,
        computed(_LAYERS, params=1_700_609, macs=5_033_984, maps=_MAPS),
        smallest=4,
        augment="none",
        output="samples",
    ),
    "cvae": Variant(
        CVAELayout(),
        "conditional variational autoencoder: makes images of a class",
        InputShape(1, 28, 28),
        10,
        computed(f"{_LAYERS} + 5,760 of classes", params=1_706_369, macs=5_033_984, maps=_MAPS),
        smallest=4,
        augment="none",
        output="samples",
    ),
}
