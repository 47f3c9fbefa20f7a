"""Pictures that are there more than once: the same file, or the same picture saved, resized or mirrored again.

Pictures are compared as small grey thumbnails, in two steps. The first, on 16x16 pixels, is one product of matrices
over all pairs; the second, on what 32x32 pixels show beside their neighbourhood, tells the same picture from another
one of the same thing. No network is needed, and none does it better: features of a picture at a quarter of its size
resemble those of the original (cosine .57 to .78) less than those of two pairs of trousers each other (.87).
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
# (CIFAR-10 and Fashion-MNIST: 2,000 pictures each.) In 10,000 pictures of CIFAR-10 three pairs are found, all of them
# true; in as many of Fashion-MNIST four, two of them doubtful. Crops are not found: at 5 % from each side the detail is
# at .0. Colours are not compared, so that grey copies are found.
_LIKE_COARSE = 0.97
_LIKE_DETAIL = 0.96
_ROWS = 1024  # of the matrix of correlations at a time: 400 MB at 100,000 images
_PAIRS = 4096  # that are looked at closely at a time
_FLAT = 1.0  # standard deviation, in steps of 255, below which a thumbnail shows nothing to compare


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Groups of the same picture.

    Attributes:
        groups: places of the images of each group, ascending, at least two; the groups by their first image.
        exact: per group, whether all its files are the same, byte for byte.
        group_of: per image, the number of its group; an image without duplicates has a number of its own.
    """

    groups: tuple[NDArray[np.int64], ...]
    exact: tuple[bool, ...]
    group_of: NDArray[np.int64]

    def across(self, values: NDArray[np.integer]) -> list[int]:
        """Which groups have images of more than one value, such as a split or a label: places in `groups`."""
        return [place for place, rows in enumerate(self.groups) if len(np.unique(values[rows])) > 1]


def thumbnails(images: Iterable[NDArray[np.uint8]], count: int) -> NDArray[np.uint8]:
    """Grey thumbnails uint8 `(count, 32, 32)`.

    Args:
        images: each uint8 `(h, w, 1)` or RGB `(h, w, 3)`.
        count: how many there are.
    """
    found = np.empty((count, THUMBNAIL, THUMBNAIL), np.uint8)
    for place, pixels in enumerate(images):
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        found[place] = np.asarray(image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
    return found


def find_duplicates(thumbs: NDArray[np.uint8], digests: NDArray[np.void]) -> Duplicates:
    """All groups of equal files and of like pictures. Pictures of one colour are only compared as files.

    Args:
        thumbs: from `thumbnails`, `(n, 32, 32)`.
        digests: hashes of the files `(n,)`.
    """
    n = len(digests)
    parent = list(range(n))
    _, first, same = np.unique(digests, return_index=True, return_inverse=True)
    for row, other in enumerate(first[same].tolist()):
        _join(parent, row, other)
    rows = np.sort(first)  # one of each file
    rows = rows[thumbs[rows].std((1, 2)) >= _FLAT]
    with bar("looking for duplicates", len(rows)) as progress:
        for one, other, mirrored in _candidates(thumbs[rows], progress.step):
            one, other = rows[one], rows[other]
            for start in range(0, len(one), _PAIRS):
                pair = slice(start, start + _PAIRS)
                # In a set with many like pictures most pairs are in one group by now.
                fresh = [_root(parent, a) != _root(parent, b) for a, b in zip(one[pair], other[pair], strict=True)]
                a, b = one[pair][fresh], other[pair][fresh]
                left, right = (_unit(_detail(thumbs[some])) for some in (a, b))
                if mirrored:
                    left = _unit(_detail(thumbs[a, :, ::-1]))
                alike = (left * right).sum(1) >= _LIKE_DETAIL
                for x, y in zip(a[alike].tolist(), b[alike].tolist(), strict=True):
                    _join(parent, x, y)
    return _grouped(np.array([_root(parent, row) for row in range(n)], np.int64), same)


def _candidates(
    thumbs: NDArray[np.uint8], step: Callable[[int], None]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], bool]]:
    """Pairs of rows (one < other) whose coarse thumbnails are alike, and whether that is so once `one` is mirrored."""
    half = THUMBNAIL // _COARSE
    coarse = thumbs.reshape(-1, _COARSE, half, _COARSE, half).mean((2, 4), dtype=np.float32)
    plain = _unit(coarse)
    mirrored = _unit(coarse[:, :, ::-1])
    for start in range(0, len(thumbs), _ROWS):
        for which in (plain, mirrored):
            alike = which[start : start + _ROWS] @ plain[start:].T >= _LIKE_COARSE
            one, other = np.nonzero(np.triu(alike, 1))
            if len(one):
                yield one + start, other + start, which is mirrored
        step(min(_ROWS, len(thumbs) - start))


def _detail(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Thumbnails less the mean of each pixel's neighbourhood of 3x3."""
    from scipy.ndimage import uniform_filter

    values = thumbs.astype(np.float32)
    return np.asarray(values - uniform_filter(values, (0, 3, 3), mode="nearest"))


def _unit(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows whose products are correlations; a map without any variation becomes 0, which is like nothing."""
    rows = maps.reshape(len(maps), maps.shape[1] * maps.shape[2])
    rows = rows - rows.mean(1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6))


def _root(parent: list[int], row: int) -> int:
    """The first image of a row's group (union-find; paths are halved on the way)."""
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


def _join(parent: list[int], one: int, other: int) -> None:
    """Put the groups of two rows together."""
    a, b = _root(parent, one), _root(parent, other)
    parent[max(a, b)] = min(a, b)


def _grouped(root: NDArray[np.int64], same: NDArray[np.int64]) -> Duplicates:
    order = np.argsort(root, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(root[order])) + 1)
    groups = tuple(rows for rows in parts if len(rows) > 1)
    exact = tuple(len(np.unique(same[rows])) == 1 for rows in groups)
    return Duplicates(groups, exact, np.unique(root, return_inverse=True)[1])
