"""Context manager that leaves a network exactly as it was found, which every function of this package uses."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["untouched"]


@contextmanager
def untouched(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the network in evaluation mode, with autograd enabled even inside `torch.no_grad` or `inference_mode`.

    Inside, no parameter requires a gradient, so that backward passes go only as far as a method needs. On exit the mode
    of each module, `requires_grad`, gradients and buffers are restored. Hooks are not: who registers one removes it.
    A network whose tensors were created in inference mode cannot take part in a backward pass; a copy is yielded.
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
            for parameter, requires_grad, gradient in parameters:
                parameter.requires_grad_(requires_grad)
                parameter.grad = gradient
            with torch.no_grad():
                for module, name, buffer, value in buffers:
                    if not torch.equal(buffer, value):
                        buffer.copy_(value)
                    module._buffers[name] = buffer


def _buffers(network: nn.Module) -> list[tuple[nn.Module, str, Tensor, Tensor]]:
    """Return each buffer with its module, its name there, and a copy of its value."""
    return [
        (module, name, buffer, buffer.detach().clone())
        for module in network.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
