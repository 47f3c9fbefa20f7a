"""Parameters and multiply-adds of networks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

__all__ = ["Macs", "counting_macs", "parameters"]


def parameters(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@dataclass
class Macs:
    """A running total of multiply-adds."""

    total: int = 0


@contextmanager
def counting_macs(network: nn.Module) -> Iterator[Macs]:
    """Count the multiply-adds of convolutions and linear layers while a network is used.

    A convolution makes (window x input maps / groups) of them for each output; a transposed one as many for each input.
    No hook stays on the network. On the `meta` device nothing is computed.
    """
    macs = Macs()

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        match module:
            case nn.Conv2d():
                macs.total += output.numel() * math.prod(module.kernel_size) * module.in_channels // module.groups
            case nn.ConvTranspose2d():
                macs.total += inputs[0].numel() * math.prod(module.kernel_size) * module.out_channels // module.groups
            case nn.Linear():
                macs.total += output.numel() * module.in_features

    counted = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
    handles = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, counted)]
    try:
        yield macs
    finally:
        for handle in handles:
            handle.remove()
