"""Dense networks whose backbone, or its first stages, stay as they are while the rest is trained."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor, nn

from hubel.core.errors import UnknownNameError
from hubel.nn.dense import DenseNetwork
from hubel.nn.freezing import ALL, NONE
from hubel.nn.taps import tapped_maps

__all__ = ["FrozenMaps", "TunedDense", "backbone_boundaries"]


def backbone_boundaries(network: DenseNetwork) -> list[str]:
    """Return the boundaries up to which a backbone can be frozen: "none", "stage1", ..., and "all" of it."""
    return [NONE, *(f"stage{number}" for number in range(1, len(network.backbone.stages) + 1)), ALL]


class FrozenMaps(nn.Module):
    """The maps of a backbone that a dense head reads, flattened and side by side: `(n, d)`.

    So they are computed, stored and read as one array, whatever their sizes.

    Args:
        network: the network; its backbone is shared, not copied.
    """

    def __init__(self, network: DenseNetwork) -> None:
        super().__init__()
        self.backbone, self.taps = network.backbone, network.taps

    def forward(self, x: Tensor) -> Tensor:
        """Return the values `(n, d)` of normalised images `(n, c, h, w)`."""
        return torch.cat([value.flatten(1) for value in tapped_maps(self.backbone, x, self.taps)], 1)


class TunedDense(nn.Module):
    """A dense network that is trained above a boundary of its backbone only.

    Frozen layers get no gradients, and stay in evaluation mode, so that their batch norm statistics do not drift. With
    "all" the head alone is trained, on what `FrozenMaps` returns.

    Args:
        network: the network, whose parameters are frozen or made trainable in place.
        boundary: one of `backbone_boundaries(network)`.
        image: one normalised image `(1, c, h, w)`, of the size of all.

    Raises:
        UnknownNameError: the network has no such boundary.
    """

    def __init__(self, network: DenseNetwork, boundary: str, image: Tensor) -> None:
        super().__init__()
        if boundary not in (known := backbone_boundaries(network)):
            raise UnknownNameError("part to freeze", boundary, known)
        self.network, self.boundary = network, boundary
        self.size = int(image.shape[2]), int(image.shape[3])
        self.shapes: list[torch.Size] = []
        if boundary == ALL:
            with torch.no_grad():
                self.shapes = [value.shape[1:] for value in tapped_maps(network.backbone.eval(), image, network.taps)]
        for part in self._frozen():
            part.requires_grad_(False)

    def _frozen(self) -> list[nn.Module]:
        backbone = self.network.backbone
        if self.boundary == ALL:
            return [backbone]
        count = 0 if self.boundary == NONE else int(self.boundary.removeprefix("stage"))
        return [backbone.stem, *list(backbone.stages)[:count]] if count else []

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for images `(n, c, h, w)`, or for the stored maps `(n, d)` of a frozen backbone."""
        if x.ndim == 2:
            parts = torch.split(x, [math.prod(shape) for shape in self.shapes], 1)
            maps = [part.reshape(-1, *shape) for part, shape in zip(parts, self.shapes, strict=True)]
        output: Tensor = self.network.head(maps, self.size) if x.ndim == 2 else self.network(x)
        return output

    def levels(self) -> list[list[nn.Parameter]]:
        """Return the trainable parameters by depth; see `DenseNetwork.levels`."""
        levels = [[p for p in level if p.requires_grad] for level in self.network.levels()]
        return [level for level in levels if level]

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the trainable layers; frozen ones stay in evaluation mode."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self
