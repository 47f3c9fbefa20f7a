"""Freeze a network up to a boundary, and train the layers above it."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hubel.core.errors import UnknownNameError
from hubel.nn.network import Network

__all__ = [
    "ALL",
    "NONE",
    "Tuned",
    "between",
    "boundaries",
    "frozen_part",
    "last_linear",
    "last_stages",
    "logits_and_novelty",
    "with_features",
    "with_novelty",
]

ALL, NONE = "all", "none"


def boundaries(network: Network) -> list[str]:
    """Return the boundaries up to which a network can be frozen: "none", "stage1", ... "stageN", "all".

    "all" freezes everything but the last linear layer. A network whose last layer is not linear has no "all".
    """
    last = [ALL] if last_linear(network) is not None else []
    return [NONE, *(f"stage{number}" for number in range(1, len(network.stages) + 1)), *last]


def last_linear(network: Network) -> nn.Linear | None:
    """Return the last layer, which computes the logits; None if it is not linear."""
    last = _layers(network)[-1]
    return last if isinstance(last, nn.Linear) else None


def frozen_part(network: Network, boundary: str) -> nn.Sequential:
    """Return the layers below a boundary, for images `(n, c, h, w)`; they are the network's own.

    Raises:
        UnknownNameError: the network has no such boundary.
    """
    return between(network, NONE, boundary)


def between(network: Network, lower: str, upper: str | None = None) -> nn.Sequential:
    """Return the layers between two boundaries, in order; they are the network's own.

    Args:
        network: the network.
        lower: lower boundary.
        upper: upper boundary; None for the logits.

    Raises:
        UnknownNameError: the network has no such boundary.
    """
    end = None if upper is None else _cut(network, upper)
    return nn.Sequential(*_layers(network)[_cut(network, lower) : end])


def last_stages(network: Network, x: Tensor) -> str:
    """Return the boundary below the stages with the resolution of the last map, for images `(n, c, h, w)`."""
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
    """Return the number of layers below a boundary."""
    if boundary not in (known := boundaries(network)):
        raise UnknownNameError("boundary to freeze up to", boundary, known)
    if boundary == NONE:
        return 0
    return len(_layers(network)) - 1 if boundary == ALL else 1 + int(boundary.removeprefix("stage"))


def logits_and_novelty(network: Network, x: Tensor, boundary: str = NONE) -> tuple[Tensor, Tensor]:
    """Return the logits `(n, classes)` and the novelty `(n,)` of images `(n, c, h, w)`, or of maps at a boundary.

    Raises:
        UnknownNameError: the network has no such boundary.
    """
    assert network.novelty is not None, "whoever calls has a rule for it"
    features, logits = _features_and_logits(network, x, boundary)
    return logits, network.novelty(features, logits)


def _features_and_logits(network: Network, x: Tensor, boundary: str) -> tuple[Tensor, Tensor]:
    """Return input and output of the last layer."""
    *below, last = _layers(network)[_cut(network, boundary) :]
    for layer in below:
        x = layer(x)
    return x, last(x)


def with_features(network: Network) -> nn.Module:
    """Return a network that outputs the input of the last layer, and the logits behind it: `(n, d + classes)`."""
    return _WithFeatures(network)


def with_novelty(network: nn.Module, boundary: str = NONE) -> nn.Module:
    """Return the layers above a boundary, and behind the logits `(n, classes)` the novelty if the network has one.

    Raises:
        UnknownNameError: the network has no such boundary.
    """
    if isinstance(network, Network) and network.novelty is not None:
        return _WithNovelty(network, boundary)
    if boundary == NONE:
        return network
    assert isinstance(network, Network), "all others have no boundary but none"
    return between(network, boundary)


class _WithFeatures(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(_features_and_logits(self.network, x, NONE), 1)


class _WithNovelty(nn.Module):
    def __init__(self, network: Network, boundary: str) -> None:
        super().__init__()
        self.network, self.boundary = network, boundary

    def forward(self, x: Tensor) -> Tensor:
        logits, novelty = logits_and_novelty(self.network, x, self.boundary)
        return torch.cat([logits, novelty[:, None]], 1)


class Tuned(nn.Module):
    """A network that is trained above a boundary only.

    Frozen layers get no gradients, so an optimizer keeps no state for them, and stay in evaluation mode, so their batch
    norm statistics do not drift. With few images the statistics above the boundary are better frozen, too.

    Args:
        network: the network, whose parameters are frozen or made trainable in place.
        boundary: one of `boundaries(network)`.
        from_maps: the input is the output of the frozen layers, rather than images.
        hold_norms: freeze the statistics of batch norms above the boundary as well.
        hold_depthwise: freeze depthwise kernels as well. With few images this costs no accuracy and saves a third of
            the time of a step: on CPUs their gradients are the slowest of all.
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
        """Return the logits `(n, classes)` of images `(n, c, h, w)`, or of maps at the boundary."""
        logits: Tensor = (between(self.network, self.boundary) if self.from_maps else self.network)(x)
        return logits

    def levels(self) -> list[list[nn.Parameter]]:
        """Return the trainable parameters by depth: those of the head first, then of each stage, of the stem last."""
        parts = [self.network.head, *reversed(list(self.network.stages)), self.network.stem]
        levels = [[p for p in part.parameters() if p.requires_grad] for part in parts]
        return [level for level in levels if level]

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the trainable layers; frozen ones stay in evaluation mode."""
        super().train(mode)
        frozen_part(self.network, self.boundary).eval()
        if self.hold_norms:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
