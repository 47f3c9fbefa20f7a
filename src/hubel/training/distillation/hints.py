"""Hints: a student's middle map is trained to be like its teacher's (FitNets, Romero et al. 2015, arXiv:1412.6550)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.nn.evaluating import evaluating
from hubel.nn.network import Network
from hubel.nn.taps import tapped_maps

__all__ = ["HintedStudent", "hint_maps", "hint_shape", "middle_map"]


def middle_map(network: nn.Module) -> str:
    """Return the name of the map in the middle of a network: the last one of its middle stage.

    Raises:
        OptionError: the network has no stages.
    """
    if not isinstance(network, Network) or not len(network.stages):
        raise OptionError("a hint is the map of a stage in the middle of a network, and this one has no stages")
    return f"stage{(len(network.stages) + 1) // 2}"


def hint_shape(network: nn.Module, x: Tensor) -> tuple[int, int, int]:
    """Return channels, height and width of the middle map, for images like `x`.

    Raises:
        OptionError: the network has no stages, or no map there.
    """
    name = middle_map(network)
    assert isinstance(network, Network)
    with evaluating(network):
        (found,) = tapped_maps(network, x, [name])
    if found.ndim != 4:
        raise OptionError("a hint is the map of a stage in the middle of a network, and this one has no map there")
    return found.shape[1], found.shape[2], found.shape[3]


def hint_maps(network: nn.Module, x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the middle maps of images, averaged to a height and width, `(n, c, *size)`."""
    assert isinstance(network, Network)
    (found,) = tapped_maps(network, x, [middle_map(network)])
    return F.adaptive_avg_pool2d(found, size)


class HintedStudent(nn.Module):
    """A student with the regressor of its middle map, a 1x1 convolution that the teacher's channels need.

    Auxiliary classifiers of the student are not trained.

    Args:
        network: the student.
        channels: of its middle map, and of the teacher's.
        size: height and width of the compared maps: the smaller ones of both.
    """

    def __init__(self, network: nn.Module, channels: tuple[int, int], size: tuple[int, int]) -> None:
        super().__init__()
        assert isinstance(network, Network)
        self.network, self._size, self._name = network, size, middle_map(network)
        self.regressor = nn.Conv2d(*channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `(n, classes)`; in training with the regressed map behind them, `(n, classes + k)`."""
        if not self.training:
            return self.network(x)  # type: ignore[no-any-return]
        middle = x
        for name, found in self.network.walk(x):
            x = found
            if name == self._name:
                middle = found
        regressed = self.regressor(F.adaptive_avg_pool2d(middle, self._size))
        return torch.cat([self.network.head(x), regressed.flatten(1)], 1)
