"""Find duplicate images: the same file, or the same image re-encoded, resized or mirrored.

Images are compared as small grayscale thumbnails, in two steps. The first, on 16x16 pixels, is one matrix product over
all pairs; the second, on the high-pass detail of 32x32 pixels, tells the same image from another image of a similar
object. No network is needed, and none does it better: the features of an image at a quarter of its size are less
similar to those of the original (cosine .57 to .78) than those of two pairs of trousers to each other (.87).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hubel.core.progress import bar

__all__ = ["Duplicates", "find_duplicates", "thumbnails"]

THUMBNAIL = 32  # pixels each way
_COARSE = 16
# Correlations of coarse thumbnails and of details, measured on the 1,293 photos of clothing: 120 of them against their
# copies, and all 835,278 pairs of different photos. The lowest of the copies, and the highest of different photos:
#             JPEG 50   JPEG 25   half size   quarter size   mirrored   brighter   grey    different   CIFAR   Fashion
#   coarse    .9995     .998      .9998       .997           1.000      .92        .93     .959        .93     .994
#   detail    .997      .992      .998        .90 (5 %: .99) 1.000      .98        .97     .71         .64     .948
# (CIFAR-10 and Fashion-MNIST: 2,000 images each.) In 10,000 images of CIFAR-10 three pairs are found, all of them
# true; in as many of Fashion-MNIST four, two of them doubtful. Crops are not found: at 5 % from each side the detail is
# at .0. Colours are not compared, so that grey copies are found.
_COARSE_THRESHOLD = 0.97
_DETAIL_THRESHOLD = 0.96
_ROWS = 1024  # rows of the correlation matrix at a time: 400 MB at 100,000 images
_PAIRS = 4096  # pairs whose detail is compared at a time
_FLAT = 1.0  # standard deviation, on the scale 0 to 255, below which a thumbnail is too uniform to compare


@dataclass(frozen=True, eq=False, kw_only=True)
class Duplicates:
    """Groups of duplicate images.

    Attributes:
        groups: rows of the images of each group, ascending, at least two; groups are ordered by their first image.
        exact: per group, whether all its files are identical byte for byte.
        group_of: group number of each image `(n,)`; an image without duplicates is a group of its own.
    """

    groups: tuple[NDArray[np.int64], ...]
    exact: tuple[bool, ...]
    group_of: NDArray[np.int64]

    def across(self, values: NDArray[np.integer]) -> list[int]:
        """Return the indices of the groups with more than one of the values `(n,)`, such as splits or labels."""
        return [group for group, rows in enumerate(self.groups) if len(np.unique(values[rows])) > 1]


def thumbnails(images: Iterable[NDArray[np.uint8]], count: int) -> NDArray[np.uint8]:
    """Return grayscale thumbnails, uint8 `(count, 32, 32)`.

    Args:
        images: images, each uint8 `(h, w, 1)` or RGB `(h, w, 3)`.
        count: number of images.
    """
    thumbs = np.empty((count, THUMBNAIL, THUMBNAIL), np.uint8)
    for row, pixels in enumerate(images):
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        thumbs[row] = np.asarray(image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
    return thumbs


def find_duplicates(thumbs: NDArray[np.uint8], digests: NDArray[np.void]) -> Duplicates:
    """Group identical files and duplicate images. Images of a single colour are compared as files only.

    Args:
        thumbs: thumbnails `(n, 32, 32)`, from `thumbnails`.
        digests: hashes of the files `(n,)`.
    """
    n = len(digests)
    parent = list(range(n))
    _, first, same = np.unique(digests, return_index=True, return_inverse=True)
    for row, other in enumerate(first[same].tolist()):
        _join(parent, row, other)
    rows = np.sort(first)  # one of each file
    rows = rows[thumbs[rows].std((1, 2)) >= _FLAT]
    with bar("finding duplicates", len(rows)) as progress:
        for one, other, mirrored in _candidates(thumbs[rows], progress.step):
            one, other = rows[one], rows[other]
            for start in range(0, len(one), _PAIRS):
                pair = slice(start, start + _PAIRS)
                # In a set with many similar images most pairs are in one group by now.
                fresh = [_root(parent, a) != _root(parent, b) for a, b in zip(one[pair], other[pair], strict=True)]
                a, b = one[pair][fresh], other[pair][fresh]
                left, right = (_unit(_detail(thumbs[rows_of_pair])) for rows_of_pair in (a, b))
                if mirrored:
                    left = _unit(_detail(thumbs[a, :, ::-1]))
                alike = (left * right).sum(1) >= _DETAIL_THRESHOLD
                for x, y in zip(a[alike].tolist(), b[alike].tolist(), strict=True):
                    _join(parent, x, y)
    return _grouped(np.array([_root(parent, row) for row in range(n)], np.int64), same)


def _candidates(
    thumbs: NDArray[np.uint8], step: Callable[[int], None]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], bool]]:
    """Yield pairs of rows (one < other) with similar coarse thumbnails, and whether `one` is mirrored for that."""
    half = THUMBNAIL // _COARSE
    coarse = thumbs.reshape(-1, _COARSE, half, _COARSE, half).mean((2, 4), dtype=np.float32)
    plain = _unit(coarse)
    mirrored = _unit(coarse[:, :, ::-1])
    for start in range(0, len(thumbs), _ROWS):
        for flipped, left in ((False, plain), (True, mirrored)):
            alike = left[start : start + _ROWS] @ plain[start:].T >= _COARSE_THRESHOLD
            one, other = np.nonzero(np.triu(alike, 1))
            if len(one):
                yield one + start, other + start, flipped
        step(min(_ROWS, len(thumbs) - start))


def _detail(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Subtract the mean of each pixel's 3x3 neighbourhood from thumbnails."""
    from scipy.ndimage import uniform_filter

    values = thumbs.astype(np.float32)
    return np.asarray(values - uniform_filter(values, (0, 3, 3), mode="nearest"))


def _unit(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows whose dot products are correlations; a constant map becomes 0, which correlates with nothing."""
    rows = maps.reshape(len(maps), maps.shape[1] * maps.shape[2])
    rows = rows - rows.mean(1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6))


def _root(parent: list[int], row: int) -> int:
    """Find the first image of a row's group (union-find with path halving)."""
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


def _join(parent: list[int], one: int, other: int) -> None:
    """Merge the groups of two rows."""
    a, b = _root(parent, one), _root(parent, other)
    parent[max(a, b)] = min(a, b)


def _grouped(root: NDArray[np.int64], same: NDArray[np.int64]) -> Duplicates:
    order = np.argsort(root, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(root[order])) + 1)
    groups = tuple(rows for rows in parts if len(rows) > 1)
    exact = tuple(len(np.unique(same[rows])) == 1 for rows in groups)
    return Duplicates(groups=groups, exact=exact, group_of=np.unique(root, return_inverse=True)[1])
