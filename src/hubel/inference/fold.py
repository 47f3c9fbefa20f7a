"""Fold batch norms into the convolutions before them: the same function without a third of the layers."""

from __future__ import annotations

import copy
from collections import Counter
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from hubel.nn.layers import channels_last

__all__ = ["folded"]


def _calls_in_order(container: nn.Module) -> bool:
    kind = type(container)
    ours = kind.__module__.startswith("hubel.")
    return isinstance(container, nn.Sequential) and (ours or kind.forward is nn.Sequential.forward)


def folded(network: nn.Module) -> nn.Module:
    """Return a copy for inference: y = gamma (W x - mean) / sigma + beta is one convolution with other numbers.

    A batch norm is folded where it directly follows a convolution or a linear layer in its container, as in `ConvNorm`;
    every other one stays.
    """
    twin = copy.deepcopy(network).eval()
    uses = Counter(id(layer) for _, layer in twin.named_modules(remove_duplicate=False))
    for container in list(twin.modules()):
        # Only a container that calls its children one after another says in which order they act; a user's own class
        # may be derived from it and do something else.
        if _calls_in_order(container):
            for (first, layer), (second, norm) in pairwise(list(container.named_children())):
                if uses[id(layer)] > 1 or uses[id(norm)] > 1 or getattr(norm, "running_mean", None) is None:
                    continue  # a layer that others share, or a norm without statistics of its own
                if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                    transposed = isinstance(layer, nn.ConvTranspose2d)
                    setattr(container, first, fuse_conv_bn_eval(layer, norm, transpose=transposed))
                    setattr(container, second, nn.Identity())
                elif isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
                    setattr(container, first, fuse_linear_bn_eval(layer, norm))
                    setattr(container, second, nn.Identity())
    return channels_last(twin)
