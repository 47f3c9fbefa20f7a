"""Maps that are narrower than a step of the convolution which looks at them."""

from __future__ import annotations

import torch
from torch import nn

from hubel.nn.evaluating import evaluating

__all__ = ["steps_over_map"]

_WIDE = 64  # pixels; no map of such an input is narrower than 2 pixels, where strides end at 32


def steps_over_map(network: nn.Module, channels: int, height: int, width: int) -> bool:
    """Return whether a convolution of the network has a stride larger than the width of its map.

    On processors, torch 2.13 leaves parts of the gradient of its weights unset in bfloat16: with a stride of 2 on a
    map of 1x1, all weights but those of the middle had the gradient that was in memory before, NaN at times.

    Args:
        network: on any device, the meta device included; left as it was.
        channels: of its input.
        height: likewise, in pixels.
        width: likewise.
    """
    strided = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride[1] > 1]
    if width >= _WIDE or not strided:
        return False
    found: list[bool] = []

    def note(module: nn.Conv2d, inputs: tuple[torch.Tensor, ...]) -> None:
        found.append(module.stride[1] > inputs[0].shape[-1])

    handles = [module.register_forward_pre_hook(note) for module in strided]
    device = next(network.parameters()).device
    try:
        with evaluating(network):
            network(torch.zeros(1, channels, height, width, device=device))
    finally:
        for handle in handles:
            handle.remove()
    return any(found)
