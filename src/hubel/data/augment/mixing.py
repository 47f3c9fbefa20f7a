"""Pictures of a batch, mixed with those of another order of it: a function of `(seed, epoch, step)`."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import permutation, scalar, uniform
from hubel.data.augment.policy import Policy

__all__ = ["mix"]

_MIXING = 4  # keeps these draws apart from those of the order


def mix(
    pixels: NDArray[np.uint8], policy: Policy, seed: int, epoch: int, step: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None, float]:
    """Images uint8 `(n, h, w, c)`, each with a part of another one, as mixup or CutMix do it.

    Returns:
        The images; for each the place in the batch of the other one, `(n,)`, or None where nothing is mixed; and the
        share that each keeps of itself, from 0 to 1.
    """
    known = [(alpha, way) for alpha, way in ((policy.mixup, _blended), (policy.cutmix, _pasted)) if alpha]
    if not known or len(pixels) < 2:
        return pixels, None, 1.0
    keys = seed, epoch, step, _MIXING
    alpha, way = known[int(float(uniform(*keys, 0)) * len(known))]
    share = float(np.random.Generator(np.random.PCG64(scalar(*keys, 1))).beta(alpha, alpha))
    others = permutation(len(pixels), *keys, 2)
    place = float(uniform(*keys, 3)), float(uniform(*keys, 4))
    mixed, share = way(pixels, pixels[others], share, place)
    return mixed, others, share


Mixed = tuple[NDArray[np.uint8], float]


def _blended(first: NDArray[np.uint8], second: NDArray[np.uint8], share: float, place: tuple[float, float]) -> Mixed:
    """Each value the weighted mean of two (mixup)."""
    out = first.astype(np.float32)
    out *= np.float32(share)
    out += second * np.float32(1 - share)
    return np.rint(out, out=out).astype(np.uint8), share


def _pasted(first: NDArray[np.uint8], second: NDArray[np.uint8], share: float, place: tuple[float, float]) -> Mixed:
    """A rectangle of the other image, of the images' shape, cut at their edges; what it covers decides the share."""
    height, width = first.shape[1:3]
    side = math.sqrt(1 - share)
    rows, columns = int(height * side), int(width * side)
    y, x = int(place[0] * height), int(place[1] * width)
    down = slice(max(0, y - rows // 2), min(height, y - rows // 2 + rows))
    across = slice(max(0, x - columns // 2), min(width, x - columns // 2 + columns))
    out = first.copy()
    out[:, down, across] = second[:, down, across]
    covered = (down.stop - down.start) * (across.stop - across.start)
    return out, 1 - covered / (height * width)
