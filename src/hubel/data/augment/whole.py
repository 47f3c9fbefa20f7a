"""Moves by whole pixels, mirror images and erased squares for whole batches at once; nothing is interpolated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import uniform
from hubel.data.augment.changes import draw_colours
from hubel.data.augment.colour import coloured
from hubel.data.augment.policy import Policy

__all__ = ["augment", "erased"]

# The numbers of the draws, as in `changes`.
_DOWN, _RIGHT, _MIRROR, _ERASE_Y, _ERASE_X, _ERASE, _FLIP = range(7)


def augment(
    images: NDArray[np.uint8], policy: Policy, *, seed: int, epoch: int | NDArray[Any], samples: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Images uint8 `(n, h, w, c)`, whose numbers in the data set are `samples`, changed as a policy says.

    What a move brings in is black. What the policy would interpolate is left out: see `Policy.keeps_pixels`.

    Args:
        images: of the network's size; not changed.
        policy: the policy.
        seed: of the run.
        epoch: one number, or one for each image.
        samples: `(n,)`.

    Returns:
        A new array, except under a policy that changes nothing.
    """
    luck = _Luck(seed, epoch, samples)
    out = (
        images
        if policy.keeps_place and not (policy.mirror or policy.flip or policy.shift)
        else _moved(images, policy, luck)
    )
    if not policy.keeps_colours and len(samples):
        coloured_ones = np.empty_like(out)
        changes = draw_colours(policy, seed, epoch, samples)
        for image, (steps, key), place in zip(out, changes, coloured_ones, strict=True):
            coloured(image, steps, key, out=place)
        out = coloured_ones
    if policy.erase:
        places = np.stack([luck(_ERASE_Y), luck(_ERASE_X)], 1)
        out = erased(out, policy.erase, places, luck(_ERASE) < policy.erase_odds)
    return out


class _Luck:
    """The draws of a batch."""

    def __init__(self, seed: int, epoch: int | NDArray[Any], samples: NDArray[np.int64]) -> None:
        self._keys = seed, epoch, samples

    def __call__(self, number: int) -> NDArray[np.float64]:
        return uniform(*self._keys, number)

    def whole(self, number: int, most: int) -> NDArray[np.int64]:
        """A number from -most to most for each image."""
        return np.floor(self(number) * (2 * most + 1)).astype(np.int64) - most


def _moved(images: NDArray[np.uint8], policy: Policy, luck: _Luck) -> NDArray[np.uint8]:
    """Each image copied to its place in a black one, its pixels as single items: that is faster than any gathering."""
    n, height, width, channels = images.shape
    out = np.zeros(images.shape, np.uint8)
    if not out.size:
        return out
    item = np.dtype((np.void, channels))
    source = np.ascontiguousarray(images).view(item)[..., 0]
    target = out.view(item)[..., 0]
    down = luck.whole(_DOWN, round(policy.shift * height)).tolist()
    right = luck.whole(_RIGHT, round(policy.shift * width)).tolist()
    mirrored = (luck(_MIRROR) < 0.5).tolist() if policy.mirror else [False] * n
    flipped = (luck(_FLIP) < 0.5).tolist() if policy.flip else [False] * n
    for i, (y, x) in enumerate(zip(down, right, strict=True)):
        to = target[i]
        if mirrored[i]:
            to = to[:, ::-1]
        if flipped[i]:
            to = to[::-1]
        to[max(0, y) : height + y, max(0, x) : width + x] = source[i, max(0, -y) : height - y, max(0, -x) : width - x]
    return out


def erased(
    images: NDArray[np.uint8], side: float, places: NDArray[np.float64], happens: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Images `(n, h, w, c)` with a square set to the mean of each channel, rounded down.

    Args:
        images: not changed.
        side: of the square, as a share of the smaller side.
        places: y and x of each square's centre, as shares, `(n, 2)`.
        happens: to which images, `(n,)`.
    """
    height, width = images.shape[1:3]
    half = side * min(height, width) / 2
    y, x = places[:, :1] * height, places[:, 1:] * width
    near_y = (np.abs(np.arange(height) + 0.5 - y) < half) & happens[:, None]
    near_x = np.abs(np.arange(width) + 0.5 - x) < half
    mean = images.mean((1, 2), keepdims=True).astype(np.uint8)
    return np.where((near_y[:, :, None] & near_x[:, None, :])[..., None], mean, images)
