"""Regions of pixels as COCO writes them: polygons, and run lengths in the order of columns.

A region becomes a mask exactly as in COCO's own tools, so that scores compare with those of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError

__all__ = ["decode_runs", "encode_runs", "polygon_mask", "region_mask", "unpack_runs"]

_UPSAMPLED = 5  # the grid on which COCO follows the sides of a polygon
_MOST_POINTS = 2_000_000  # of this grid along one polygon


def region_mask(region: Any, height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels of a COCO segmentation, bool `(h, w)`.

    Args:
        region: polygons `[[x, y, x, y, ...], ...]`, whose union it is; or run lengths `{"size": [h, w], "counts": ...}`
            as a list of numbers or in COCO's compressed text.
        height: of the image, in pixels.
        width: likewise.

    Raises:
        DataError: it is neither, or of another size than the image.
    """
    if isinstance(region, dict):
        size, counts = region.get("size"), region.get("counts")
        if not isinstance(size, list) or size != [height, width]:
            raise DataError(f"a mask of the size {size}, not {[height, width]} (height, width)")
        return decode_runs(counts if isinstance(counts, list) else unpack_runs(counts), height, width)
    if not isinstance(region, list):
        raise DataError("a region that is neither polygons nor run lengths")
    parts = region if region and isinstance(region[0], list | tuple | np.ndarray) else [region]
    mask = np.zeros((height, width), np.bool_)
    for part in parts:
        mask |= polygon_mask(part, height, width)
    return mask


def polygon_mask(corners: Iterable[float], height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels of a polygon, bool `(h, w)`, as `rleFrPoly` of COCO's tools has them.

    The sides are followed on a grid five times as fine; each place where they pass the middle of a column of pixels
    begins or ends a run of pixels in this column.

    Args:
        corners: x, y, x, y, ... in pixels, at least three corners.
        height: of the image, in pixels.
        width: likewise.

    Raises:
        DataError: these are no three corners, or no numbers.
    """
    try:
        xy = np.asarray(list(corners), np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise DataError("a polygon that is no list of x and y") from None
    if len(xy) < 3 or not np.isfinite(xy).all():
        raise DataError("a polygon with fewer than three corners" if len(xy) < 3 else "a polygon without numbers")
    points = np.trunc(_UPSAMPLED * np.clip(xy, -1e6, 1e6) + 0.5).astype(np.int64)
    start, end = points, np.roll(points, -1, axis=0)
    delta = np.abs(end - start)
    steps = delta.max(1)
    if (steps + 1).sum() > _MOST_POINTS:
        raise DataError("a polygon far larger than any image")
    flat = delta[:, 0] >= delta[:, 1]
    main = np.where(flat, 0, 1)
    side = np.arange(len(points))
    turned = start[side, main] > end[side, main]
    low, high = np.where(turned[:, None], end, start), np.where(turned[:, None], start, end)
    slope = (high - low)[side, 1 - main] / np.maximum(steps, 1)
    # All points of all sides, one side after the other.
    of = np.repeat(side, steps + 1)
    t = np.arange(len(of)) - np.repeat(np.cumsum(steps + 1) - steps - 1, steps + 1)
    t = np.where(turned[of], steps[of] - t, t)
    along = low[of, main[of]] + t
    across = np.trunc(low[of, 1 - main[of]] + slope[of] * t + 0.5).astype(np.int64)
    u, v = np.where(flat[of], along, across), np.where(flat[of], across, along)
    changed = np.flatnonzero(u[1:] != u[:-1]) + 1
    before, after = u[changed - 1], u[changed]
    column = (np.where(after < before, after, after - 1) + 0.5) / _UPSAMPLED - 0.5
    row = (np.where(v[changed] < v[changed - 1], v[changed], v[changed - 1]) + 0.5) / _UPSAMPLED - 0.5
    used = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    row = np.ceil(np.clip(row[used], 0, height)).astype(np.int64)
    toggles = np.bincount(column[used].astype(np.int64) * height + row, minlength=height * width + 1)
    inside = np.cumsum(toggles[: height * width]) % 2
    return np.asarray(inside.astype(np.bool_).reshape(width, height).T)


def decode_runs(counts: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask of run lengths: of background and region in turn, down each column, bool `(h, w)`.

    Raises:
        DataError: they do not add up to the size.
    """
    try:
        lengths = np.asarray(counts, np.int64)
    except (TypeError, ValueError, OverflowError):
        raise DataError("run lengths that are no whole numbers") from None
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != height * width:
        raise DataError(f"run lengths that do not add up to {height}x{width} pixels")
    values = np.arange(len(lengths)) % 2 == 1
    return np.asarray(np.repeat(values, lengths).reshape(width, height).T)


def encode_runs(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask `(h, w)` as COCO's run lengths in compressed text: `{"size": [h, w], "counts": "..."}`."""
    flat = np.asarray(mask, np.bool_).T.reshape(-1)
    bounds = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist(), len(flat)]
    lengths = [end - start for start, end in pairwise(bounds)]
    if flat[:1].any():
        lengths.insert(0, 0)  # of background
    return {"size": list(mask.shape), "counts": _packed(lengths)}


def _packed(lengths: Sequence[int]) -> str:
    """Return run lengths as text, as `rleToString` does: six bits a character, each less the one two before it."""
    characters = []
    for i, length in enumerate(lengths):
        value = length - lengths[i - 2] if i > 2 else length
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            characters.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(characters)


def unpack_runs(text: object) -> list[int]:
    """Return the run lengths of COCO's compressed text.

    Raises:
        DataError: it is no such text.
    """
    data = text.encode("latin-1", "replace") if isinstance(text, str) else text
    if not isinstance(data, bytes) or any(not 48 <= code < 112 for code in data):
        raise DataError("run lengths that are neither numbers nor COCO's text")
    lengths: list[int] = []
    value = shift = 0
    for code in data:
        bits = code - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
            value = shift = 0
    if shift:
        raise DataError("run lengths that are cut short")
    return lengths
