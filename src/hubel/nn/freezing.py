"""A network in two parts: what is frozen, up to a boundary, and what learns above it."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hubel.core.errors import UnknownNameError
from hubel.nn.network import Network

__all__ = ["ALL", "NONE", "Tuned", "between", "boundaries", "frozen_part", "last_linear", "last_stages"]

ALL, NONE = "all", "none"


def boundaries(network: Network) -> list[str]:
    """Where a network can be frozen up to: "none", "stage1", ... "stageN", and "all": all but the last linear layer.

    A network that ends in another layer than a linear one has no "all": its whole head stays free after the last stage.
    """
    last = [ALL] if last_linear(network) is not None else []
    return [NONE, *(f"stage{number}" for number in range(1, len(network.stages) + 1)), *last]


def last_linear(network: Network) -> nn.Linear | None:
    """The layer that makes the logits from features; None where it is no linear one."""
    last = _layers(network)[-1]
    return last if isinstance(last, nn.Linear) else None


def frozen_part(network: Network, boundary: str) -> nn.Sequential:
    """The layers up to a boundary, from images `(n, c, h, w)`; they are the network's own.

    Raises:
        UnknownNameError: the network has no such boundary.
    """
    return between(network, NONE, boundary)


def between(network: Network, lower: str, upper: str | None = None) -> nn.Sequential:
    """The layers from one boundary to another, in the order in which they act; they are the network's own.

    Args:
        network: whose layers they are.
        lower: the boundary that they begin at.
        upper: the boundary that they end at; None for the logits.

    Raises:
        UnknownNameError: the network has no such boundary.
    """
    end = None if upper is None else _cut(network, upper)
    return nn.Sequential(*_layers(network)[_cut(network, lower) : end])


def last_stages(network: Network, x: Tensor) -> str:
    """The boundary below the stages that have the resolution of the last map, for images `(n, c, h, w)`."""
    sides = []
    for stage in (network.stem, *network.stages):
        x = stage(x)
        sides.append(x.shape[2] if x.ndim == 4 else 0)
    larger = [number for number, side in enumerate(sides) if side > sides[-1]]
    number = larger[-1] if larger else len(sides) - 2
    return f"stage{number}" if number >= 1 else NONE


def _layers(network: Network) -> list[nn.Module]:
    head = list(network.head) if isinstance(network.head, nn.Sequential) else [network.head]
    return [network.stem, *network.stages, *head]


def _cut(network: Network, boundary: str) -> int:
    """How many of the layers lie below a boundary."""
    if boundary not in (known := boundaries(network)):
        raise UnknownNameError("boundary to freeze up to", boundary, known)
    if boundary == NONE:
        return 0
    return len(_layers(network)) - 1 if boundary == ALL else 1 + int(boundary.removeprefix("stage"))


class Tuned(nn.Module):
    """A network that learns above a boundary only.

    What is frozen gets no gradients, so an optimizer keeps no state for it, and stays in evaluation mode: its batch
    norms do not drift. With few images the statistics of the batch norms above are better left alone, too.

    Args:
        network: its parameters are frozen or free from now on.
        boundary: one of `boundaries(network)`.
        from_maps: the input is what the frozen part makes of images, rather than images.
        hold_norms: batch norms above the boundary keep their statistics as well.
        hold_depthwise: depthwise kernels stay as they are, too. With few images that costs no accuracy, and a third of
            the time of a step is gone: on processors their gradients are the slowest of all.
    """

    def __init__(
        self, network: Network, boundary: str, *, from_maps: bool, hold_norms: bool, hold_depthwise: bool = False
    ) -> None:
        super().__init__()
        self.network, self.boundary = network, boundary
        self.from_maps, self.hold_norms = from_maps, hold_norms
        network.requires_grad_(requires_grad=True)
        frozen_part(network, boundary).requires_grad_(False)
        for module in network.modules() if hold_depthwise else ():
            if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
                module.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Images `(n, c, h, w)`, or maps of the boundary, to logits `(n, classes)`."""
        logits: Tensor = (between(self.network, self.boundary) if self.from_maps else self.network)(x)
        return logits

    def levels(self) -> list[list[nn.Parameter]]:
        """The parameters that learn, by depth: those of the head first, then each stage's, the stem's last."""
        parts = [self.network.head, *reversed(list(self.network.stages)), self.network.stem]
        levels = [[p for p in part.parameters() if p.requires_grad] for part in parts]
        return [level for level in levels if level]

    def train(self, mode: bool = True) -> Self:
        """Training mode for what learns, evaluation mode for the rest."""
        super().train(mode)
        frozen_part(self.network, self.boundary).eval()
        if self.hold_norms:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
