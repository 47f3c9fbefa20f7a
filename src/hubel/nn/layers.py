"""Small parts: named activations, weight initialisation."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from hubel.core.errors import OptionError, UnknownNameError

__all__ = ["activation", "channels_last", "check_depth", "he_initialise"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
_MOST_BLOCKS = 2000


def check_depth(blocks: Iterable[int]) -> None:
    """Refuse a network whose building would take all memory or no end, as a mistyped number may ask for.

    Args:
        blocks: how many blocks each stage has.

    Raises:
        OptionError: there are more than 2,000.
    """
    if (number := sum(blocks)) > _MOST_BLOCKS:
        raise OptionError(f"a network of {number:,} blocks is too deep; {_MOST_BLOCKS:,} is the most")


def activation(name: str) -> nn.Module:
    """A new activation layer.

    Raises:
        UnknownNameError: no activation has this name.
    """
    if name not in _ACTIVATIONS:
        raise UnknownNameError("activation", name, _ACTIVATIONS)
    return _ACTIVATIONS[name]()


@torch.no_grad()
def he_initialise(network: nn.Module) -> None:
    """Convolutions and linear layers: N(0, 2 / fan_in), zero biases (He et al. 2015, arXiv:1502.01852, Eq. 10).

    The last linear layer is left with small weights, so that every class starts about equally likely.
    """
    linear = None
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(module, nn.Linear):
            linear = module
    if linear is not None:
        nn.init.normal_(linear.weight, std=0.01)


def channels_last(network: nn.Module) -> nn.Module:
    """The same network, its convolutions' weights in the memory order in which they run fastest."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
