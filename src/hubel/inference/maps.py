"""The class of each pixel of an image, from the class and the score of each pixel of a network's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import IGNORED, Annotation
from hubel.data.augment.geometry import resize_matrix
from hubel.data.preprocess import Preprocess

__all__ = ["decode_maps"]

_PIXELS_AT_ONCE = 2**22  # a large photo is decoded in bands of rows, so that it needs little memory


def decode_maps(
    answer: NDArray[np.float32], preprocess: Preprocess, size: tuple[int, int]
) -> tuple[Annotation, NDArray[np.float64]]:
    """Return the class of each pixel of an image, as an annotation with a mask, and the mean score of these classes.

    The four pixels of the input around a pixel of the image vote for their classes, each with its score and its share
    of a bilinear interpolation: edges are smoother than if classes were enlarged. Pixels that the input does not show,
    beyond a centre crop, are `IGNORED`.

    Args:
        answer: class and score of each pixel of the input, `(2, h, w)`.
        preprocess: how the image became the input.
        size: height and width of the upright image.
    """
    height, width = size
    matrix = resize_matrix(preprocess, 0, 0, width, height)
    numbers, scores = answer[0].astype(np.uint8), answer[1]
    down = _neighbours(height, matrix[1, 1], matrix[1, 2], numbers.shape[0])
    across = _neighbours(width, matrix[0, 0], matrix[0, 2], numbers.shape[1])
    mask = np.empty(size, np.uint8)
    band = max(1, _PIXELS_AT_ONCE // width)
    for start in range(0, height, band):
        rows = slice(start, start + band)
        mask[rows] = _voted(numbers, scores, down.part(rows), across)
    mask[~down.shown], mask[:, ~across.shown] = IGNORED, IGNORED
    seen, seen_across = down.counts(), across.counts()
    total = float(seen @ scores.astype(np.float64) @ seen_across)
    return Annotation(mask=mask), np.array([total / max(1.0, seen.sum() * seen_across.sum())])


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """The pixels of the input around each pixel of one side of an image.

    Attributes:
        first: the nearer one to the start, `(side,)`.
        second: the next one, or the same one where it has no share, `(side,)`.
        share: of the second, 0 to 1, `(side,)`.
        shown: the input shows the pixel, `(side,)`.
        inputs: pixels of the input.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    share: NDArray[np.float32]
    shown: NDArray[np.bool_]
    inputs: int

    def part(self, rows: slice) -> _Neighbours:
        """Return those of some pixels."""
        return _Neighbours(self.first[rows], self.second[rows], self.share[rows], self.shown[rows], self.inputs)

    def counts(self) -> NDArray[np.float64]:
        """Return how often each pixel of the input is the nearest one, `(inputs,)`."""
        nearest = np.where(self.share < 0.5, self.first, self.second)[self.shown]
        return np.bincount(nearest, minlength=self.inputs).astype(np.float64)


def _neighbours(side: int, scale: float, offset: float, inputs: int) -> _Neighbours:
    """Return the neighbours of each pixel of a side.

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
    share = (place - first).astype(np.float32)
    second = np.where(share > 0, np.minimum(first + 1, inputs - 1), first)
    return _Neighbours(first, second, share, shown, inputs)


def _voted(
    numbers: NDArray[np.uint8], scores: NDArray[np.float32], down: _Neighbours, across: _Neighbours
) -> NDArray[np.uint8]:
    """Return the class of most votes at each pixel; the four agree at most pixels, so the others alone are counted."""
    rows, columns = (down.first, down.second), (across.first, across.second)
    four = [numbers[y][:, x] for y in rows for x in columns]
    mask = four[0]
    at, to = np.nonzero((four[1] != mask) | (four[2] != mask) | (four[3] != mask))
    classes = np.stack([part[at, to] for part in four])
    shares = [w * v for w in (1 - down.share[at], down.share[at]) for v in (1 - across.share[to], across.share[to])]
    weights = np.stack(shares) * np.stack([scores[y[at], x[to]] for y in rows for x in columns])
    votes = [(weights * (classes == own)).sum(0) for own in classes]
    mask[at, to] = np.take_along_axis(classes, np.argmax(votes, axis=0)[None], 0)[0]
    return mask
