"""Small parts: named activations, weight initialisation."""

from __future__ import annotations

import torch
from torch import nn

from hubel.core.errors import UnknownNameError

__all__ = ["activation", "channels_last", "he_initialise"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


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
