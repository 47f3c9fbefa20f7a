"""The promise that every function of this package keeps: a network is left exactly as it was found."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["untouched"]


@contextmanager
def untouched(network: nn.Module) -> Iterator[nn.Module]:
    """The network in evaluation mode, with autograd at work whatever the caller has switched off.

    Inside, no parameter asks for a gradient, so that backward passes go only as far as a method needs. Afterwards the
    mode of each module, `requires_grad`, gradients and buffers are as before. Whoever registers a hook inside removes
    it. A network whose tensors were made in inference mode can take part in no backward pass: a copy stands in for it.
    """
    with torch.inference_mode(False), torch.enable_grad():
        if any(tensor.is_inference() for tensor in (*network.parameters(), *network.buffers())):
            network = copy.deepcopy(network)
        modes = [(module, module.training) for module in network.modules()]
        parameters = [(p, p.requires_grad, p.grad) for p in network.parameters()]
        buffers = _buffers(network)
        try:
            network.eval()
            for parameter, _, _ in parameters:
                parameter.requires_grad_(False)
            yield network
        finally:
            for module, mode in modes:
                module.training = mode
            for parameter, asks, gradient in parameters:
                parameter.requires_grad_(asks)
                parameter.grad = gradient
            with torch.no_grad():
                for module, name, buffer, value in buffers:
                    if not torch.equal(buffer, value):
                        buffer.copy_(value)
                    module._buffers[name] = buffer


def _buffers(network: nn.Module) -> list[tuple[nn.Module, str, Tensor, Tensor]]:
    """Each buffer with the module that has it, its name there, and a copy of its value."""
    return [
        (module, name, buffer, buffer.detach().clone())
        for module in network.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
