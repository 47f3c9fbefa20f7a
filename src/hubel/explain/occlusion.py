"""Occlusion sensitivity: the loss of class evidence when parts of an image are covered; needs no gradient."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from hubel.explain.layers import target_logits
from hubel.explain.untouched import untouched

__all__ = ["occlusion_sensitivity"]

_PIXELS_PER_BATCH = 2**20
_WINDOWS = 7  # along the shorter side, if no size is given


def occlusion_sensitivity(
    network: nn.Module,
    x: Tensor,
    targets: Tensor,
    layer: str | None = None,
    *,
    window: int | None = None,
    stride: int | None = None,
    exclusive: bool = True,
) -> Tensor:
    """Return the drop in a class's log-probability when a grey square covers each region.

    Source: Zeiler & Fergus 2014, arXiv:1311.2901, Section 4.2. A pixel's value is the mean over all squares that cover
    it. Grey is zero, the mean colour. Deviation: the paper plots the class's probability; its logarithm also drops
    where the probability is close to 1.

    Args:
        network: any classifier.
        x: images `(n, c, h, w)`, normalised.
        targets: class numbers `(n,)`.
        layer: ignored.
        window: side of the square in pixels; a seventh of the image's shorter side if not given.
        stride: pixels between squares; half their side if not given. The last square of a row ends at the border.
        exclusive: an image has exactly one class (softmax); otherwise the logit replaces the log-probability.

    Returns:
        Maps `(n, h, w)`, positive where covering lowers the score.
    """
    h, w = x.shape[2:]
    window = window or max(1, round(min(h, w) / _WINDOWS))
    stride = stride or max(1, window // 2)
    corners = list(itertools.product(_starts(h, window, stride), _starts(w, window, stride)))
    at_once = max(1, _PIXELS_PER_BATCH // (h * w))

    def score(logits: Tensor, target: Tensor) -> Tensor:
        chosen = target_logits(logits, target)
        return chosen - logits.logsumexp(1) if exclusive else chosen

    with untouched(network) as frozen, torch.no_grad():
        maps = []
        for image, target in zip(x.detach().clone(), torch.as_tensor(targets), strict=True):
            whole = score(frozen(image[None].clone()), target[None])
            total, count = torch.zeros(h, w).to(x), torch.zeros(h, w).to(x)
            for start in range(0, len(corners), at_once):
                batch = corners[start : start + at_once]
                covered = image.repeat(len(batch), 1, 1, 1)
                for one, (top, left) in zip(covered, batch, strict=True):
                    one[:, top : top + window, left : left + window] = 0
                drops = whole - score(frozen(covered), target.expand(len(batch)))
                for drop, (top, left) in zip(drops, batch, strict=True):
                    total[top : top + window, left : left + window] += drop
                    count[top : top + window, left : left + window] += 1
            maps.append(total / count.clamp_min(1))
        return torch.stack(maps).float()


def _starts(side: int, window: int, stride: int) -> list[int]:
    """Return the positions at which windows start, so that they cover the side."""
    last = max(0, side - window)
    return [*range(0, last, stride), last]
