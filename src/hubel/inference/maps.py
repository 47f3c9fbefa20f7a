"""The class of each pixel of an image, from a network's scores of each pixel of its input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import IGNORED, Annotation
from hubel.data.augment.geometry import resize_matrix
from hubel.data.preprocess import Preprocess

__all__ = ["decode_maps"]

_VALUES_AT_ONCE = 2**22  # scores; a large photo is decoded in bands of rows, so that its scores need little memory


def decode_maps(
    scores: NDArray[np.float32], preprocess: Preprocess, size: tuple[int, int]
) -> tuple[Annotation, NDArray[np.float64]]:
    """Return the class of each pixel of an image, as an annotation with a mask, and the mean score of these classes.

    The scores are interpolated between the centres of the input's pixels, and the highest wins: edges are smoother than
    if classes were enlarged. Pixels that the input does not show, beyond a centre crop, are `IGNORED`.

    Args:
        scores: of each class and pixel of the input, `(classes, h, w)`.
        preprocess: how the image became the input.
        size: height and width of the upright image.
    """
    height, width = size
    matrix = resize_matrix(preprocess, 0, 0, width, height)
    top, bottom, down, rows_shown = _neighbours(height, matrix[1, 1], matrix[1, 2], scores.shape[1])
    left, right, across, columns_shown = _neighbours(width, matrix[0, 0], matrix[0, 2], scores.shape[2])
    mask = np.empty(size, np.uint8)
    total, band = 0.0, max(1, _VALUES_AT_ONCE // (len(scores) * width))
    for start in range(0, height, band):
        rows = slice(start, start + band)
        part = scores[:, top[rows]] * (1 - down[rows, None]) + scores[:, bottom[rows]] * down[rows, None]
        part = part[:, :, left] * (1 - across) + part[:, :, right] * across
        mask[rows] = part.argmax(0)
        total += float(part.max(0)[np.ix_(rows_shown[rows], columns_shown)].sum(dtype=np.float64))
    mask[~rows_shown], mask[:, ~columns_shown] = IGNORED, IGNORED
    shown = rows_shown.sum() * columns_shown.sum()
    return Annotation(mask=mask), np.array([total / max(1, shown)])


def _neighbours(
    side: int, scale: float, offset: float, inputs: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Return for each pixel of a side the two nearest pixels of the input, the share of the second, and if it is shown.

    Args:
        side: pixels of the image.
        scale: pixels of the image in one of the input.
        offset: where the input starts in the image.
        inputs: pixels of the input.
    """
    place = (np.arange(side) + 0.5 - offset) / scale
    shown = (place >= 0) & (place <= inputs)
    place = np.clip(place - 0.5, 0, inputs - 1)
    first = np.minimum(place.astype(np.int64), max(0, inputs - 2))
    return first, np.minimum(first + 1, inputs - 1), (place - first).astype(np.float32), shown
