"""k nearest neighbours on the pixels (Cover & Hart 1967; LeCun et al. 1998, Section III.C.2).

The weights of this "network" are the training images themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.models.variant import InputShape, Variant

_VOTE_FLOOR = 1e-3  # votes of a class without neighbours, so that the logarithm is finite


@dataclass(frozen=True)
class NeighboursLayout:
    """Number of neighbours that vote, and of training images."""

    k: int = 5
    samples: int = 0  # stored training images; known after `fit`


class Neighbours(nn.Module):
    """Each of the `k` nearest training images (Euclidean distance of normalised pixels) has one vote."""

    images: Tensor
    labels: Tensor

    def __init__(self, layout: NeighboursLayout, shape: InputShape, num_classes: int) -> None:
        super().__init__()
        self.k, self.num_classes = layout.k, num_classes
        pixels = shape.channels * shape.height * shape.width
        self.register_buffer("images", torch.zeros(layout.samples, pixels))
        self.register_buffer("labels", torch.zeros(layout.samples, dtype=torch.int64))

    def fit(self, images: Tensor, labels: Tensor) -> dict[str, int]:
        """Store images `(n, c, h, w)` and their classes `(n,)`; return the options of the resulting network."""
        self.images, self.labels = images.flatten(1).clone(), labels.clone()
        return {"k": self.k, "samples": len(labels)}

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `(n, classes)` of images `(n, c, h, w)`: logarithms of the shares of the votes."""
        if not len(self.labels):  # before `fit`: every class is as likely as any other
            return x.new_full((len(x), self.num_classes), -math.log(self.num_classes))
        queries = x.flatten(1)
        # |q - t|^2 without |q|^2, which is the same for every t; larger is nearer.
        nearness = queries @ self.images.T
        nearness.sub_(self.images.square().sum(1) / 2)
        nearest = nearness.topk(min(self.k, len(self.labels)), dim=1).indices
        votes = nn.functional.one_hot(self.labels[nearest], self.num_classes).sum(1) + _VOTE_FLOOR
        return torch.log(votes / votes.sum(1, keepdim=True))


def build(layout: NeighboursLayout, shape: InputShape, num_classes: int) -> Neighbours:
    """Build the network of a layout."""
    if layout.k < 1 or layout.samples < 0:
        raise OptionError(f"k is at least 1 and samples at least 0, not {layout.k} and {layout.samples}")
    return Neighbours(layout, shape, num_classes)


VARIANTS = {
    "knn": Variant(
        NeighboursLayout(),
        "k nearest neighbours on the pixels: stores the training images, and compares each image with all of them",
        InputShape(1, 28, 28),
        augment="none",
    )
}
