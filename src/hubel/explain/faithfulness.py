"""Faithfulness of attribution maps: deletion and insertion (Petsiuk et al. 2018, RISE, arXiv:1806.07421).

Section 4.2 and Algorithm 1: pixels are deleted from the image, or inserted into a blurred one, in the order of the map,
highest first, while the class's score is recorded. A faithful map has a small area under the deletion curve and a large
one under the insertion curve. Deleted pixels become the mean colour; insertion starts from the image blurred by a
Gaussian whose standard deviation is a twentieth of the shorter side. Deviation: the number of steps is fixed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.random import permutation, uniform
from hubel.explain.layers import target_logits
from hubel.explain.methods import Method
from hubel.explain.untouched import untouched

__all__ = ["CONTROLS", "centred_gaussian", "deletion", "gaussian_blur", "insertion", "random_map", "softmax_score"]

_PIXELS_PER_BATCH = 2**20
_COARSE = 7  # pixels along each side of the random map, as of a typical class activation map
Score = Callable[[Tensor], Tensor]


def softmax_score(logits: Tensor) -> Tensor:
    """Return softmax scores `(n, classes)`."""
    return logits.softmax(1)


def insertion(
    network: nn.Module, x: Tensor, targets: Tensor, maps: Tensor, *, steps: int = 32, score: Score = softmax_score
) -> Tensor:
    """Return the area under each image's insertion curve, 0 to 1; higher is better.

    Args:
        network: any classifier.
        x: images `(n, c, h, w)`, normalised.
        targets: class numbers `(n,)`.
        maps: attribution maps `(n, h, w)`.
        steps: steps in which the pixels are inserted.
        score: function from logits to scores.

    Returns:
        Areas `(n,)`.
    """
    start = gaussian_blur(x.detach(), min(x.shape[2:]) / 20)
    return _areas(network, (start, x), targets, maps, steps=steps, score=score)


def deletion(
    network: nn.Module, x: Tensor, targets: Tensor, maps: Tensor, *, steps: int = 32, score: Score = softmax_score
) -> Tensor:
    """Return the area under each image's deletion curve, 0 to 1; lower is better. See `insertion`."""
    return _areas(network, (x, torch.zeros_like(x)), targets, maps, steps=steps, score=score)


def gaussian_blur(x: Tensor, sigma: float) -> Tensor:
    """Blur images `(n, c, h, w)` by a Gaussian of `sigma` pixels; border pixels are replicated."""
    reach = max(1, round(3 * sigma))
    line = torch.exp(-torch.arange(-reach, reach + 1).to(x).square() / (2 * sigma**2))
    line = (line / line.sum()).expand(x.shape[1], 1, -1)
    wide = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), line[:, :, None, :], groups=x.shape[1])
    return F.conv2d(F.pad(wide, (0, 0, reach, reach), mode="replicate"), line[:, :, :, None], groups=x.shape[1])


def random_map(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Return coarse noise, as smooth as a class activation map; a function of the image."""
    keys = np.array([zlib.crc32(image.detach().cpu().numpy().tobytes()) for image in x])
    coarse = torch.from_numpy(uniform(keys[:, None], np.arange(_COARSE**2)).reshape(-1, 1, _COARSE, _COARSE))
    return F.interpolate(coarse.to(x), x.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def centred_gaussian(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Return a Gaussian at the centre of the image, where photographers put their subject."""
    rows, columns = (torch.linspace(-2, 2, side).to(x) for side in x.shape[2:])
    return torch.exp(-(rows[:, None].square() + columns.square()) / 2).expand(len(x), -1, -1)


# Maps without knowledge of the network, which a useful method must beat.
CONTROLS: dict[str, Method] = {"random map": random_map, "centred Gaussian": centred_gaussian}


def _areas(
    network: nn.Module, ends: tuple[Tensor, Tensor], targets: Tensor, maps: Tensor, *, steps: int, score: Score
) -> Tensor:
    """Return the areas under the score as images turn from one end into the other, highest pixels of the map first."""
    start, end = ends
    h, w = start.shape[2:]
    at_once = max(1, _PIXELS_PER_BATCH // (h * w))
    shares = torch.linspace(0, 1, steps + 1)
    with untouched(network) as frozen, torch.no_grad():
        areas = []
        for one, other, target, values in zip(start, end, torch.as_tensor(targets), maps, strict=True):
            rank = _ranks(values).to(start.device)
            curve = []
            for part in torch.split(shares, at_once):
                done = rank < (part.to(rank.device) * h * w).round()[:, None, None, None]
                logits = frozen(torch.where(done, other, one))
                target_logits(logits, target.expand(len(part)))  # raises if there are no logits, or no such class
                curve.append(score(logits)[:, target])
            areas.append(torch.trapezoid(torch.cat(curve), dx=1 / steps))
        return torch.stack(areas)


def _ranks(values: Tensor) -> Tensor:
    """Return the rank of each pixel `(h, w)` in a map, highest first; ties are ranked in random order."""
    shuffled = torch.from_numpy(permutation(values.numel(), 0))
    order = shuffled[torch.argsort(values.detach().flatten().cpu()[shuffled], descending=True, stable=True)]
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order))
    return ranks.reshape(values.shape)
