"""The part of an image that shows one of its objects, for tasks that look at each object by itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hubel.data.preprocess import Preprocess

__all__ = ["Part", "around_object", "cut_out", "size_of_whole"]

_MARGIN = 0.125  # of an object's box, on each side of it


class Part(NamedTuple):
    """A part of an image, in whole pixels of the image."""

    left: int
    top: int
    right: int
    bottom: int


def around_object(box: NDArray[np.float64], image_size: tuple[int, int], preprocess: Preprocess) -> Part:
    """Return the part of an image that shows an object, with a margin around its box.

    Where the input is padded, the part has the input's shape as far as the image goes, so that the image's own
    surroundings stand there.

    Args:
        box: left, top, right, bottom in pixels of the image.
        image_size: height and width.
        preprocess: size of the input, and how images are brought into it.

    >>> around_object(np.array([40.0, 10, 60, 90]), (100, 200), Preprocess(64, 64, resize="pad"))
    Part(left=0, top=0, right=100, bottom=100)
    """
    sides = (box[2:] - box[:2]) * (1 + 2 * _MARGIN)
    if preprocess.resize == "pad":
        shape = np.array([preprocess.width, preprocess.height], np.float64)
        sides = np.maximum(sides, shape * (sides / shape).max())
    centre, size = (box[:2] + box[2:]) / 2, np.array(image_size[::-1])
    low = np.clip(np.floor(centre - sides / 2), 0, size - 1).astype(int)
    high = np.clip(np.ceil(centre + sides / 2), low + 1, size).astype(int)
    return Part(int(low[0]), int(low[1]), int(high[0]), int(high[1]))


def size_of_whole(part: Part, size: tuple[int, int], min_size: tuple[int, int]) -> tuple[int, int]:
    """Return width and height to decode an image with, so that its part has at least a width and height.

    Args:
        part: of the image.
        size: width and height of the image.
        min_size: width and height that the part needs.

    >>> size_of_whole(Part(0, 0, 100, 50), (400, 300), (50, 50))
    (200, 300)
    """
    sides = (part.right - part.left, part.bottom - part.top)
    width, height = (-(-least * whole // side) for least, whole, side in zip(min_size, size, sides, strict=True))
    return width, height


def cut_out(pixels: NDArray[np.uint8], part: Part, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the pixels of a part of an image that may have been decoded at a reduced scale.

    Args:
        pixels: of the decoded image, `(h, w)` or `(h, w, 3)`.
        part: in pixels of the image at its own size; at least one pixel remains.
        size: width and height of the image at its own size.
    """
    across, down = pixels.shape[1] / size[0], pixels.shape[0] / size[1]
    rows = slice(int(part.top * down), max(int(part.top * down) + 1, round(part.bottom * down)))
    columns = slice(int(part.left * across), max(int(part.left * across) + 1, round(part.right * across)))
    return np.ascontiguousarray(pixels[rows, columns])
