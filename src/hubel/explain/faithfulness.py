"""How well a map tells what a network needs: deletion and insertion (Petsiuk et al. 2018, RISE, arXiv:1806.07421).

Section 4.2 and Algorithm 1: pixels are taken from the image, or put into a blurred one, in the order of the map,
highest first, and the class's score is followed. A faithful map has a low area under the deletion curve, and a high
one under the insertion curve. What is deleted becomes the mean colour; insertion begins with the image blurred by a
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
from hubel.explain.layer import target_logits
from hubel.explain.methods import Method
from hubel.explain.untouched import untouched

__all__ = ["CONTROLS", "blurred", "deletion", "insertion"]

_PIXELS_A_BATCH = 2**20
_COARSE = 7  # pixels along each side of the random map, as many as a class-activation map has
Score = Callable[[Tensor], Tensor]


def softmax_score(logits: Tensor) -> Tensor:
    """Scores `(n, classes)` of classes of which an image has one."""
    return logits.softmax(1)


def insertion(
    network: nn.Module, x: Tensor, targets: Tensor, maps: Tensor, *, steps: int = 32, score: Score = softmax_score
) -> Tensor:
    """The area under the insertion curve of each image, 0 to 1; higher is better.

    Args:
        network: any classifier.
        x: images `(n, c, h, w)`, normalised.
        targets: class numbers `(n,)`.
        maps: `(n, h, w)`.
        steps: in which the pixels come.
        score: makes scores of logits.

    Returns:
        Areas `(n,)`.
    """
    return _areas(network, blurred(x.detach(), min(x.shape[2:]) / 20), x, targets, maps, steps, score)


def deletion(
    network: nn.Module, x: Tensor, targets: Tensor, maps: Tensor, *, steps: int = 32, score: Score = softmax_score
) -> Tensor:
    """The area under the deletion curve of each image, 0 to 1; lower is better. See `insertion`."""
    return _areas(network, x, torch.zeros_like(x), targets, maps, steps, score)


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Images `(n, c, h, w)` blurred by a Gaussian of `sigma` pixels; beyond a border lie the pixels at the border."""
    reach = max(1, round(3 * sigma))
    line = torch.exp(-torch.arange(-reach, reach + 1).to(x).square() / (2 * sigma**2))
    line = (line / line.sum()).expand(x.shape[1], 1, -1)
    wide = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), line[:, :, None, :], groups=x.shape[1])
    return F.conv2d(F.pad(wide, (0, 0, reach, reach), mode="replicate"), line[:, :, :, None], groups=x.shape[1])


def random_map(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Coarse noise, as smooth as a class-activation map; a function of the image."""
    keys = np.array([zlib.crc32(image.detach().cpu().numpy().tobytes()) for image in x])
    coarse = torch.from_numpy(uniform(keys[:, None], np.arange(_COARSE**2)).reshape(-1, 1, _COARSE, _COARSE))
    return F.interpolate(coarse.to(x), x.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def centred_gaussian(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """What a photographer would have pointed at: the middle."""
    rows, columns = (torch.linspace(-2, 2, side).to(x) for side in x.shape[2:])
    return torch.exp(-(rows[:, None].square() + columns.square()) / 2).expand(len(x), -1, -1)


# What a method must beat to be worth anything.
CONTROLS: dict[str, Method] = {"random map": random_map, "centred Gaussian": centred_gaussian}


def _areas(
    network: nn.Module, start: Tensor, end: Tensor, targets: Tensor, maps: Tensor, steps: int, score: Score
) -> Tensor:
    """Areas under the score of images on their way from `start` to `end`, the highest pixels of a map first."""
    h, w = start.shape[2:]
    at_once = max(1, _PIXELS_A_BATCH // (h * w))
    shares = torch.linspace(0, 1, steps + 1)
    with untouched(network) as quiet, torch.no_grad():
        areas = []
        for one, other, target, values in zip(start, end, torch.as_tensor(targets), maps, strict=True):
            rank = _ranks(values).to(start.device)
            curve = []
            for some in torch.split(shares, at_once):
                done = rank < (some.to(rank.device) * h * w).round()[:, None, None, None]
                logits = quiet(torch.where(done, other, one))
                target_logits(logits, target.expand(len(some)))  # says what is wrong, if anything is
                curve.append(score(logits)[:, target])
            areas.append(torch.trapezoid(torch.cat(curve), dx=1 / steps))
        return torch.stack(areas)


def _ranks(values: Tensor) -> Tensor:
    """The place of each pixel `(h, w)` in the order of a map; equal ones in an order that prefers no corner."""
    mixed = torch.from_numpy(permutation(values.numel(), 0))
    order = mixed[torch.argsort(values.detach().flatten().cpu()[mixed], descending=True, stable=True)]
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order))
    return ranks.reshape(values.shape)
