"""Backbones: networks without head that return feature maps for detection, segmentation and retrieval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from hubel.nn.evaluating import evaluating
from hubel.nn.network import Network

__all__ = ["STRIDES", "FeatureMap", "FeatureNetwork", "every_map", "feature_maps"]

#: Strides of the maps that dense heads read.
STRIDES = (2, 4, 8, 16, 32)


@dataclass(frozen=True, kw_only=True)
class FeatureMap:
    """A feature map of a backbone.

    Attributes:
        stride: pixels of the image per pixel of the map; a power of two.
        map: name among the network's maps.
        channels: number of channels.
    """

    stride: int
    map: str
    channels: int


class FeatureNetwork(nn.Module):
    """A network that returns its last map of each stride from 2 to 32.

    Args:
        network: a network, whose head is removed.
        info: maps to return, from `feature_maps`.
    """

    def __init__(self, network: Network, info: Sequence[FeatureMap]) -> None:
        super().__init__()
        self.info = tuple(info)
        self.network = network
        network.head = nn.Identity()
        network.auxiliary = nn.ModuleDict()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return maps `(n, channels, about h / stride, ...)` of images `(n, c, h, w)`: "stride4", "stride8", ..."""
        wanted = {entry.map: f"stride{entry.stride}" for entry in self.info}
        return {wanted[name]: x for name, x in self.network.walk(x) if name in wanted}


_SAME_SHAPE = {
    F.batch_norm, F.dropout, F.elu, F.gelu, F.hardsigmoid, F.hardswish, F.hardtanh, F.leaky_relu, F.relu, F.relu6,
    F.silu,
}  # fmt: skip


class _ShapesOnly(TorchFunctionMode):
    """Convolve one channel only, without the weights, and skip what keeps the shape.

    So a network on the `meta` device needs none of torch's rules for it, whose import takes two seconds.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _SAME_SHAPE:
            return args[0]
        if func is not F.conv2d:
            return func(*args, **(kwargs or {}))
        x, weight = args[:2]
        window = dict(zip(("stride", "padding", "dilation"), args[3:6], strict=False))
        kernel = torch.zeros(1, 1, *weight.shape[2:], device="cpu")
        return F.conv2d(x[:, :1], kernel, **window).expand(-1, len(weight), -1, -1)


def every_map(network: Network, shape: tuple[int, int, int]) -> list[FeatureMap]:
    """Find the maps of a network for images of shape `(c, h, w)`, in order; next to nothing is computed.

    Convolutions without padding make a map a little smaller than its stride implies, hence the nearest power of two.
    """
    try:
        with evaluating(network), _ShapesOnly():
            maps = dict(network.walk(torch.zeros(1, *shape, device="cpu")))
    except RuntimeError:  # a network for images of another size, or without convolutions
        return []
    return [
        FeatureMap(stride=2 ** round(math.log2(shape[1] / x.shape[2])), map=name, channels=x.shape[1])
        for name, x in maps.items()
        if x.ndim == 4
    ]


def feature_maps(network: Network, shape: tuple[int, int, int]) -> list[FeatureMap]:
    """Find the last map of each stride from 2 to 32 of a network for images of shape `(c, h, w)`."""
    by_stride = {entry.stride: entry for entry in every_map(network, shape)}
    return [by_stride[stride] for stride in STRIDES if stride in by_stride]
