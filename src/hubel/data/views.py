"""Views of an image for a network that stays as it is: each is computed once, so there are few, and all are fixed.

View 0 is the image as evaluation sees it, view 1 its mirror image where a mirrored one is another picture of the same
class; the others are crops with mild changes of light. They are functions of the image's bytes and the view's number.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import uniform
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess

__all__ = ["image_key", "image_view", "view"]

_LEAST_AREA = 0.5  # of the picture, in a crop
_ASPECT = math.log(4 / 3)  # a crop's shape differs from the picture's by up to this factor
_LIGHT = 0.2  # brightness and contrast change by up to this share


def image_key(digest: NDArray[np.void]) -> int:
    """The number that stands for an image in the random numbers of its views, from the hash of its bytes."""
    return int.from_bytes(digest.tobytes()[:8], "little")


def view(pixels: NDArray[np.uint8], preprocess: Preprocess, number: int, key: int) -> NDArray[np.uint8]:
    """One view of a decoded image.

    Args:
        pixels: `(h, w)` grey or `(h, w, 3)` RGB.
        preprocess: whose size and fit the view has.
        number: of the view, from 0 on.
        key: of the image; see `image_key`.

    Returns:
        `(height, width, channels)`, not normalised yet.
    """
    if number == 0:
        return preprocess.resize(pixels)
    mirrors = preprocess.channels == 3  # the mirror image of a letter or a digit is another sign
    if number == 1 and mirrors:
        return preprocess.resize(pixels)[:, ::-1]
    area, shape, y, x, brightness, contrast, side = (float(uniform(key, number, draw)) for draw in range(7))
    height, width = pixels.shape[:2]
    area, shape = _LEAST_AREA + (1 - _LEAST_AREA) * area, math.exp((2 * shape - 1) * _ASPECT / 2)
    rows = min(height, max(1, round(height * math.sqrt(area) * shape)))
    columns = min(width, max(1, round(width * math.sqrt(area) / shape)))
    top, left = round(y * (height - rows)), round(x * (width - columns))
    cut = preprocess.resize(np.ascontiguousarray(pixels[top : top + rows, left : left + columns]))
    mean = cut.mean()
    levels = np.arange(256) * (1 + _LIGHT * (2 * brightness - 1))
    levels = (levels - mean) * (1 + _LIGHT * (2 * contrast - 1)) + mean
    changed: NDArray[np.uint8] = np.clip(levels.round(), 0, 255).astype(np.uint8)[cut]
    return changed[:, ::-1] if mirrors and side < 0.5 else changed


def image_view(images: Images, position: int, number: int) -> NDArray[np.uint8]:
    """One view of an image of a data set, uint8 `(height, width, channels)`."""
    digest = images.index.columns["digest"][images.rows[position]]
    return view(images.decoded(position), images.preprocess, number, image_key(digest))
