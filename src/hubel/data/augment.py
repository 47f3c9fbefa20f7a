"""Changes to training images that keep their class: shifts, mirror images, erased squares, for whole batches at once.

The parameters of a sample are a function of `(seed, epoch, sample)`; see `hubel.core.random`. Shifts and mirrors move
whole pixels, so nothing is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import UnknownNameError
from hubel.core.random import uniform

__all__ = ["POLICIES", "Policy", "augment", "policy"]


@dataclass(frozen=True)
class Policy:
    """How far the images of an epoch may differ from those of the index.

    Attributes:
        shift: the largest move in each direction, as a share of height and width; black comes in.
        mirror: whether left and right are exchanged for half of the images.
        erase: the side of a square that is set to the image's mean, as a share of the smaller side; it is placed
            anywhere, half outside included (DeVries & Taylor 2017, arXiv:1708.04552).
    """

    shift: float = 0.0
    mirror: bool = False
    erase: float = 0.0


POLICIES = {
    "none": Policy(),
    "shift": Policy(shift=0.0625),
    "light": Policy(shift=0.125, mirror=True),
    "strong": Policy(shift=0.125, mirror=True, erase=0.35),
}


def policy(name: str, *, channels: int) -> Policy:
    """A policy by name; "auto" is "light" for colour and "shift" for grey, where a mirror image may be another sign.

    Raises:
        UnknownNameError: no policy has this name.
    """
    if name == "auto":
        return POLICIES["light" if channels == 3 else "shift"]
    if name not in POLICIES:
        raise UnknownNameError("augmentation policy", name, ["auto", *POLICIES])
    return POLICIES[name]


def augment(
    images: NDArray[np.uint8], what: Policy, *, seed: int, epoch: int, samples: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Images uint8 `(n, h, w, c)`, whose numbers in the data set are `samples`, changed as a policy says.

    The result is a new array, except under the policy that changes nothing.
    """
    n, height, width, _ = images.shape
    if what == Policy():
        return images

    def whole(draw: int, most: int) -> NDArray[np.int64]:
        """A number from -most to most for each image."""
        return np.floor(uniform(seed, epoch, samples, draw) * (2 * most + 1)).astype(np.int64) - most

    down, right = round(what.shift * height), round(what.shift * width)
    padded = np.pad(images, ((0, 0), (down, down), (right, right), (0, 0)))
    rows = (down - whole(0, down))[:, None] + np.arange(height)
    columns = (right - whole(1, right))[:, None] + np.arange(width)
    if what.mirror:
        mirrored = uniform(seed, epoch, samples, 2) < 0.5
        columns = np.where(mirrored[:, None], columns[:, ::-1], columns)
    result: NDArray[np.uint8] = padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    if what.erase:
        half = what.erase * min(height, width) / 2
        y, x = (uniform(seed, epoch, samples, draw)[:, None] * side for draw, side in ((3, height), (4, width)))
        near_y, near_x = np.abs(np.arange(height) + 0.5 - y) < half, np.abs(np.arange(width) + 0.5 - x) < half
        mean = result.mean((1, 2), keepdims=True).astype(np.uint8)
        result = np.where((near_y[:, :, None] & near_x[:, None, :])[..., None], mean, result)
    return result
