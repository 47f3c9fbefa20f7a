"""Images that are in memory already."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import DataError
from hubel.data.sources.listing import Listing, ListingBuilder

__all__ = ["ArraySource", "as_pixels"]


class ArraySource:
    """Arrays of images.

    Args:
        images: `(n, h, w)` grey, `(n, h, w, 1)` grey or `(n, h, w, 3)` RGB; uint8, or floats from 0 to 1.
        labels: n class names or numbers; None where there are none.
        splits: n codes of splits (see `SPLITS`); None where there are none.
        name: for reports.

    Raises:
        DataError: shapes or values that are no images.
    """

    location = ""

    def __init__(
        self, images: ArrayLike, labels: Any = None, splits: ArrayLike | None = None, *, name: str = "arrays"
    ) -> None:
        self.name = name
        self._images = as_pixels(images)
        self._labels = None if labels is None else [str(label) for label in np.asarray(labels).tolist()]
        self._splits = None if splits is None else np.asarray(splits, np.int8)
        for what, values in (("labels", self._labels), ("splits", self._splits)):
            if values is not None and len(values) != len(self._images):
                raise DataError(f"{len(self._images)} images cannot have {len(values)} {what}")

    def listing(self) -> Listing:
        """One row an image, called by its number."""
        rows = ListingBuilder()
        for row in range(len(self._images)):
            label = None if self._labels is None else self._labels[row]
            rows.add(f"{self.name}[{row}]", label, 0 if self._splits is None else int(self._splits[row]))
        return rows.build()

    def read(self, row: int, path: str) -> NDArray[np.uint8]:
        """The pixels of one image."""
        return np.asarray(self._images[row])


def as_pixels(images: ArrayLike) -> NDArray[np.uint8]:
    """uint8 `(n, h, w)` or `(n, h, w, 3)` from what users have.

    Raises:
        DataError: it has another shape, or values out of range.

    >>> as_pixels(np.array([[[0.0, 0.5, 1.0]]])).tolist()
    [[[0, 128, 255]]]
    """
    pixels = np.asarray(images)
    if pixels.ndim == 4 and pixels.shape[3] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[3] != 3) or 0 in pixels.shape[1:]:
        raise DataError(f"images have the shape (n, h, w), (n, h, w, 1) or (n, h, w, 3), not {pixels.shape}")
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    if pixels.dtype.kind not in "fiub" or not np.isfinite(pixels).all():
        raise DataError(f"pixels are finite numbers, not {pixels.dtype}")
    low, high = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
    if pixels.dtype.kind == "f":
        if low < 0 or high > 1:
            raise DataError(
                f"pixels given as floats lie between 0 and 1, not {low:g} to {high:g}; divide by the maximum"
            )
        return np.asarray(np.rint(pixels * 255), np.uint8)
    if low < 0 or high > 255:
        raise DataError(f"pixels given as integers lie between 0 and 255, not {low:g} to {high:g}")
    return np.asarray(pixels, np.uint8)
