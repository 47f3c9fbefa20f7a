"""Networks that make images from random codes, and what such networks are built of."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.nn.network import Network

__all__ = ["ClassLinear", "EncodingNetwork", "GenerativeNetwork", "ToMap", "smallest_map", "through"]


class ClassLinear(nn.Linear):
    """A linear layer to whose input the class may be appended: y = W x + V c + b, with a code c of the class.

    Appending c to x and multiplying by (W, V) is the same; without a class, V c is left out.

    Args:
        in_features: of x.
        out_features: of y.
        num_classes: of c; 0 for a layer that takes none.
    """

    def __init__(self, in_features: int, out_features: int, num_classes: int) -> None:
        super().__init__(in_features, out_features)
        self.of_class = nn.Linear(num_classes, out_features, bias=False) if num_classes else None

    def forward(self, x: Tensor, classes: Tensor | None = None) -> Tensor:
        """Return y `(n, out)` of x `(n, in)` and classes `(n, num_classes)`, rows of zeros where there is none."""
        y = super().forward(x)
        return y if classes is None or self.of_class is None else y + self.of_class(classes)


class ToMap(nn.Module):
    """Units `(n, c h w)` as a map `(n, c, h, w)`; of torch's own layer the exporter makes a dozen operators.

    Args:
        shape: channels, height and width.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Return the map."""
        return x.reshape(-1, *self.shape)


def through(layers: Iterable[nn.Module], x: Tensor, classes: Tensor | None) -> Tensor:
    """Return what layers in a row make of x; those that take a class, see `ClassLinear`, are given it."""
    for layer in layers:
        x = layer(x, classes) if isinstance(layer, ClassLinear) else layer(x)
    return x


def smallest_map(height: int, width: int, halvings: int) -> tuple[int, int]:
    """Return height and width of an image whose sides are halved so many times.

    Raises:
        OptionError: a side cannot be halved so often.
    """
    step: int = 2**halvings
    if height % step or width % step:
        fitting = "x".join(str(max(step, step * round(side / step))) for side in (height, width))
        raise OptionError(
            f"{halvings} stages halve the sides of an image, which are multiples of {step} therefore, not "
            f"{height}x{width}; --size {fitting} would do"
        )
    return height // step, width // step


class GenerativeNetwork(Network, abc.ABC):
    """A network that makes images from codes of standard normal numbers, and from classes if it takes these.

    Args:
        stem: see `Network`; these layers look at images.
        stages: likewise.
        head: likewise.
        code_size: numbers of a code.
        num_classes: classes that an image can be asked for; 0 for a network that takes none.

    Attributes:
        betas: of Adam, with which it is trained.
    """

    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)

    def __init__(
        self, stem: nn.Module, stages: Sequence[nn.Sequential], head: nn.Module, *, code_size: int, num_classes: int
    ) -> None:
        super().__init__(stem, stages, head)
        self.code_size, self.num_classes = code_size, num_classes

    @abc.abstractmethod
    def make(self, noise: Tensor, classes: Tensor | None = None) -> Tensor:
        """Return the logits of images `(n, c, h, w)`, whose sigmoids are pixels from 0 to 1.

        Args:
            noise: standard normal `(n, code_size)`.
            classes: their weights `(n, num_classes)`, one of them 1; rows of zeros, or None, where no class is asked.
        """

    @abc.abstractmethod
    def training_outputs(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return what the loss is computed from, `(n, k)`, for images and their class numbers.

        Random numbers are torch's, which each training step sets.

        Args:
            x: `(n, c, h, w)`, from 0 to 1.
            labels: int64 `(n,)`; -1 for an image without one.
        """

    @abc.abstractmethod
    def measure(self, x: Tensor, classes: Tensor | None, noise: Tensor) -> dict[str, Tensor]:
        """Return what can be measured of images without another network, by name, each `(n,)`.

        Args:
            x: `(n, c, h, w)`, from 0 to 1.
            classes: see `make`.
            noise: standard normal `(n, code_size)`.
        """

    def class_weights(self, labels: Tensor) -> Tensor | None:
        """Return class numbers `(n,)` as weights `(n, num_classes)`, zeros for -1; None for a network without any."""
        if not self.num_classes:
            return None
        return F.one_hot(labels.clamp(min=0), self.num_classes).float() * (labels >= 0).float()[:, None]


class EncodingNetwork(GenerativeNetwork):
    """A generative network that finds the code of an image, too."""

    @abc.abstractmethod
    def encode(self, x: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance `(n, code_size)` of the codes of images `(n, c, h, w)`."""

    @abc.abstractmethod
    def decode(self, codes: Tensor, classes: Tensor | None = None) -> Tensor:
        """Return the logits of the images `(n, c, h, w)` of codes `(n, code_size)`."""

    @abc.abstractmethod
    def bound(self, x: Tensor, classes: Tensor | None, noise: Tensor) -> Tensor:
        """Return the two parts of the negative evidence lower bound of each image, in nats, `(n, 2)`.

        Args:
            x: `(n, c, h, w)`, from 0 to 1.
            classes: see `make`.
            noise: standard normal `(n, code_size)`.
        """

    def training_outputs(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return the parts of the negative bound `(n, 2)`, see `bound`, with one code drawn for each image."""
        classes = self.class_weights(labels)
        if classes is not None and self.training:  # now and then without the class, as for images without a label
            classes = classes * (torch.rand(len(x), 1, device=x.device) >= _WITHOUT_CLASS)
        return self.bound(x, classes, torch.randn(len(x), self.code_size, device=x.device))

    def measure(self, x: Tensor, classes: Tensor | None, noise: Tensor) -> dict[str, Tensor]:
        """Return the negative bound and its two parts, in nats an image; see `bound`."""
        cross_entropy, divergence = self.bound(x, classes, noise).unbind(1)
        return {"bound": cross_entropy + divergence, "cross_entropy": cross_entropy, "divergence": divergence}


_WITHOUT_CLASS = 0.1  # share of the training images that are shown without their class
