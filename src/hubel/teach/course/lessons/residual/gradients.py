"""Gradient norms of each convolution, with shortcuts and without, before and while training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.data.sources.builtin import digits
from hubel.models.catalogue import build_model
from hubel.teach.course.lessons.residual.digits_run import (
    KINDS,
    MODEL,
    layout_options,
    plan_run,
    seeded,
    training_steps,
)
from hubel.teach.course.lessons.residual.side_by_side import side_by_side

__all__ = ["DEPTHS", "gradients", "initial_norms", "layer_norms", "without_norms"]

DEPTHS = (20, 56, 110)
_IMAGES = 16
_EPOCHS = 3


def layer_norms(network: nn.Module) -> list[float]:
    """Return the norm of the gradient of each convolution's kernels, from the first to the last."""
    kernels = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return [float(kernel.grad.norm()) for kernel in kernels if kernel.grad is not None]


def without_norms(network: nn.Module) -> nn.Module:
    """Replace each batch norm of a network by the identity; return the network."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    return network


def initial_norms(kind: str, depth: int, *, norm: bool = True) -> list[float]:
    """Return the gradient norms of a network before training, for a few of the digits.

    Args:
        kind: "plain" or "residual".
        depth: layers with weights.
        norm: with batch norm.
    """
    network = seeded(lambda: build_model(MODEL, in_channels=1, options=layout_options(kind, depth)), 0)
    if not norm:
        without_norms(network)
    x, targets = _few_digits()
    network.train()
    with torch.enable_grad():
        nn.functional.cross_entropy(network(x), targets).backward()  # type: ignore[no-untyped-call]
    return layer_norms(network)


@cache
def _few_digits() -> tuple[Tensor, Tensor]:
    source = digits()
    pixels = np.stack([source.read(row, "") for row in range(_IMAGES)]).reshape(_IMAGES, 1, 8, 8)
    x = torch.from_numpy(pixels).float()
    return (x - x.mean()) / x.std(), torch.tensor([int(str(label)) for label in source.labels[:_IMAGES]])


def gradients(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Train a plain and a residual network of the same depth; yield the gradient norms of every step.

    Args:
        body: {"depth": 20, 56 or 110}.

    Raises:
        OptionError: there is no such depth.
    """
    depth = body.get("depth")
    if depth not in DEPTHS:
        raise OptionError(f"depth is one of {', '.join(map(str, DEPTHS))}, not {depth!r:.80}")
    runs = [_norms(kind, depth) for kind in KINDS]
    for number, norms in enumerate(side_by_side(runs)):
        yield {"step": number, **dict(zip(KINDS, norms, strict=True))}


def _norms(kind: str, depth: int) -> Iterator[Mapping[str, Any]]:
    for step in training_steps(plan_run(kind, depth, _EPOCHS)):
        yield {"norms": layer_norms(step.network), "loss": step.result.loss_sum / step.result.samples}
