"""A network without its head: maps for detection, segmentation and retrieval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hubel.nn.network import Network

__all__ = ["FeatureMap", "FeatureNetwork", "feature_maps"]

_STRIDES = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class FeatureMap:
    """One map that a backbone hands out.

    Attributes:
        stride: how many pixels of the image lie between two neighbours of the map; a power of two.
        map: its name among the network's maps.
        channels: how many values each pixel has.
    """

    stride: int
    map: str
    channels: int


class FeatureNetwork(nn.Module):
    """The last map of each stride from 2 to 32 that a network has.

    Args:
        network: loses its head.
        info: the maps to hand out, as `feature_maps` finds them.
    """

    def __init__(self, network: Network, info: Sequence[FeatureMap]) -> None:
        super().__init__()
        self.info = tuple(info)
        self.network = network
        network.head = nn.Identity()
        network.auxiliary = nn.ModuleDict()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Images `(n, c, h, w)` to maps `(n, channels, about h / stride, ...)` by name: "stride4", "stride8", ..."""
        wanted = {entry.map: f"stride{entry.stride}" for entry in self.info}
        return {wanted[name]: x for name, x in self.network.walk(x) if name in wanted}


def feature_maps(network: Network, shape: tuple[int, int, int]) -> list[FeatureMap]:
    """The last map of each stride that a network on the `meta` device has for images of a shape `(c, h, w)`.

    Windows without padding leave a map a little smaller than its stride says, hence the nearest power of two.
    """
    x = torch.empty(1, *shape, device="meta")
    found = {}
    for name, tensor in network.eval().walk(x):
        if tensor.ndim == 4:
            stride = 2 ** round(math.log2(shape[1] / tensor.shape[2]))
            found[stride] = FeatureMap(stride, name, tensor.shape[1])
    return [found[stride] for stride in _STRIDES if stride in found]
