"""Images in arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import DataError
from hubel.data.sources.kind import SourceKind
from hubel.data.sources.labels import LabelReader
from hubel.data.sources.listing import SPLITS, Listing, ListingBuilder

__all__ = ["KIND", "ArraySource", "as_pixels"]


class ArraySource:
    """Arrays of images.

    Args:
        images: `(n, h, w)` grey, `(n, h, w, 1)` grey or `(n, h, w, 3)` RGB; whole numbers from 0 to 255,
            floats from 0 to 1, or booleans.
        labels: n class names or numbers; None, NaN or "" for an image without one; None where there are none.
        splits: n codes of splits (see `hubel.data.sources.listing.SPLITS`); None where there are none.
        name: for reports.
        multi_label: a label is a list of classes, or a text with "|" between them.
        notes: remarks for the user, a line each.

    Raises:
        DataError: shapes or values that are not those of images.
    """

    location = ""

    def __init__(
        self,
        images: ArrayLike,
        labels: Any = None,
        splits: ArrayLike | None = None,
        *,
        name: str = "arrays",
        multi_label: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        self.name, self._notes = name, notes
        self._images = as_pixels(images)
        n = len(self._images)
        reader = LabelReader(where=name, multi_label=multi_label)
        values = [None] * n if labels is None else column_of("labels", labels, n)
        self._labels = [reader.read(value, f"label {row}") for row, value in enumerate(values)]
        self._splits = [0] * n if splits is None else column_of("splits", splits, n)
        if not set(self._splits) <= set(range(len(SPLITS))):
            raise DataError(f"splits are numbers from 0 to {len(SPLITS) - 1}, for none, train, val and test")

    def listing(self) -> Listing:
        """Return one row an image, named by its number."""
        rows = ListingBuilder()
        rows.notes += self._notes
        for row, (label, split) in enumerate(zip(self._labels, self._splits, strict=True)):
            rows.add(f"{self.name}[{row}]", label, int(split))
        return rows.build()

    def read(self, row: int, path: str) -> NDArray[np.uint8]:
        """Return the pixels of one image."""
        return np.asarray(self._images[row])


def column_of(name: str, values: Any, n: int) -> list[Any]:
    """Return the n values of a list or of anything that is an array in one dimension.

    Raises:
        DataError: there are more or fewer, or they are not in one dimension.
    """
    if isinstance(values, list | tuple):
        shape: tuple[int, ...] = (len(values),)
    else:
        if not isinstance(values, np.ndarray):
            values = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
        shape, values = values.shape, values.tolist()
    if shape != (n,):
        raise DataError(f"{n} images need {n} {name} in one dimension, not an array of shape {shape}")
    return list(values)


def as_pixels(images: ArrayLike) -> NDArray[np.uint8]:
    """Convert arrays of images to uint8 `(n, h, w)` or `(n, h, w, 3)`.

    Raises:
        DataError: it has another shape, or values out of range.

    >>> as_pixels(np.array([[[0.0, 0.5, 1.0]]])).tolist()
    [[[0, 128, 255]]]
    """
    try:
        pixels = np.asarray(images)
    except ValueError:
        raise DataError("the images have different sizes; an array holds images of one size") from None
    if pixels.ndim == 4 and pixels.shape[3] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[3] != 3) or 0 in pixels.shape[1:]:
        raise DataError(f"images have the shape (n, h, w), (n, h, w, 1) or (n, h, w, 3), not {pixels.shape}")
    if pixels.dtype.kind == "b":
        return np.where(pixels, np.uint8(255), np.uint8(0))
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    if pixels.dtype.kind not in "fiu" or not np.isfinite(pixels).all():
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


KIND = SourceKind(
    name="a pair of arrays (images, labels)",
    recognises=lambda request: isinstance(request.data, tuple),
    open=lambda request: ArraySource(*request.data, multi_label=request.multi_label),
    multi_label=True,
)
