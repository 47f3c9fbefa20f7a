"""Which parts of an image a class needs, by covering them one after another; no gradient is involved."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from hubel.explain.layer import target_logits
from hubel.explain.untouched import untouched

__all__ = ["occlusion"]

_PIXELS_A_BATCH = 2**20
_PARTS = 7  # windows along the shorter side, if no size is given


def occlusion(
    network: nn.Module,
    x: Tensor,
    targets: Tensor,
    layer: str | None = None,
    *,
    window: int | None = None,
    stride: int | None = None,
    exclusive: bool = True,
) -> Tensor:
    """How much a class loses when a grey square covers the place (Zeiler & Fergus 2014, arXiv:1311.2901, Section 4.2).

    A pixel has the mean of all squares that cover it. Grey is zero, the mean colour. Deviation: the paper draws the
    class's probability, this is its logarithm, which also falls where a class is beyond doubt.

    Args:
        network: any classifier.
        x: images `(n, c, h, w)`, normalised.
        targets: class numbers `(n,)`.
        layer: has no meaning here.
        window: side of the square in pixels; a seventh of the image's shorter side if not given.
        stride: between squares; half of one if not given. The last square of a row ends at the border.
        exclusive: whether an image has one class; otherwise the class's logit stands for its probability.

    Returns:
        Maps `(n, h, w)`, positive where covering costs.
    """
    h, w = x.shape[2:]
    window = window or max(1, round(min(h, w) / _PARTS))
    stride = stride or max(1, window // 2)
    places = list(itertools.product(_starts(h, window, stride), _starts(w, window, stride)))
    at_once = max(1, _PIXELS_A_BATCH // (h * w))

    def score(logits: Tensor, target: Tensor) -> Tensor:
        chosen = target_logits(logits, target)
        return chosen - logits.logsumexp(1) if exclusive else chosen

    with untouched(network) as quiet, torch.no_grad():
        maps = []
        for image, target in zip(x.detach().clone(), torch.as_tensor(targets), strict=True):
            whole = score(quiet(image[None].clone()), target[None])
            total, times = torch.zeros(h, w).to(x), torch.zeros(h, w).to(x)
            for start in range(0, len(places), at_once):
                some = places[start : start + at_once]
                covered = image.repeat(len(some), 1, 1, 1)
                for one, (top, left) in zip(covered, some, strict=True):
                    one[:, top : top + window, left : left + window] = 0
                lost = whole - score(quiet(covered), target.expand(len(some)))
                for loss, (top, left) in zip(lost, some, strict=True):
                    total[top : top + window, left : left + window] += loss
                    times[top : top + window, left : left + window] += 1
            maps.append(total / times.clamp_min(1))
        return torch.stack(maps).float()


def _starts(side: int, window: int, stride: int) -> list[int]:
    """Where windows begin, so that they cover the side."""
    last = max(0, side - window)
    return [*range(0, last, stride), last]
