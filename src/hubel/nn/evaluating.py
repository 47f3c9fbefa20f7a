"""Run a network in evaluation mode and leave it as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

__all__ = ["evaluating"]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Run the block with a network in evaluation mode and without gradients; restore the mode of each module.

    It computes in the type of its weights, whatever autocast surrounds the block: no caller's setting rounds a score.
    """
    weight = next(network.parameters(), None)
    device = "cpu" if weight is None else weight.device.type
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.inference_mode(), nullcontext() if device == "meta" else torch.autocast(device, enabled=False):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
