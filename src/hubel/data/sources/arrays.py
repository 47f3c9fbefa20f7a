"""Images in memory, or named one by one: arrays, and lists of paths, PIL images, bytes, tensors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from hubel.core.errors import DataError
from hubel.data.pixels import as_array, as_pixels, is_image, is_path, is_table, one_image, stack_of_images
from hubel.data.reading import read_regular
from hubel.data.sources.kind import SourceKind, SourceRequest
from hubel.data.sources.labels import LabelReader
from hubel.data.sources.listing import SPLITS, Listing, ListingBuilder

__all__ = ["KIND", "ArraySource", "ListSource", "column_of", "memory_source"]


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
        self.labels = _labels(labels, n, name, multi_label=multi_label)
        self._splits = _splits(splits, n)

    def listing(self) -> Listing:
        """Return one row an image, named by its number."""
        rows = ListingBuilder()
        rows.notes += self._notes
        for row, (label, split) in enumerate(zip(self.labels, self._splits, strict=True)):
            rows.add(f"{self.name}[{row}]", label, split)
        return rows.build()

    def read(self, row: int, path: str) -> NDArray[np.uint8]:
        """Return the pixels of one image."""
        return np.asarray(self._images[row])


class ListSource:
    """Images of any kind, with their labels: paths, arrays of any size, PIL images, bytes, open files, tensors.

    Args:
        images: n images; see `hubel.data.pixels.one_image`.
        labels: as of `ArraySource`.
        splits: as of `ArraySource`.
        multi_label: as of `ArraySource`.

    Raises:
        DataError: there are not as many labels as images, or one of the images is none.
    """

    name, location = "images", ""

    def __init__(
        self, images: Sequence[Any], labels: Any = None, splits: ArrayLike | None = None, *, multi_label: bool = False
    ) -> None:
        n = len(images)
        self._names = [os.fspath(image) if is_path(image) else f"images[{row}]" for row, image in enumerate(images)]
        # A path is read when its image is needed; an open file can be read only once.
        self._images = [
            image if is_path(image) or isinstance(image, Image.Image) else one_image(image, name)
            for image, name in zip(images, self._names, strict=True)
        ]
        self.labels = _labels(labels, n, self.name, multi_label=multi_label)
        self._splits = _splits(splits, n)

    def listing(self) -> Listing:
        """Return one row an image."""
        rows = ListingBuilder()
        for name, label, split in zip(self._names, self.labels, self._splits, strict=True):
            rows.add(name, label, split)
        return rows.build()

    def read(self, row: int, path: str) -> bytes | NDArray[np.uint8]:
        """Return the bytes or the pixels of one image."""
        image: Any = self._images[row]
        return read_regular(Path(image)) if is_path(image) else one_image(image, path)


def memory_source(
    images: Any, labels: Any = None, splits: ArrayLike | None = None, *, multi_label: bool = False
) -> ArraySource | ListSource:
    """Return a source of images in an array or tensor, or in a list of images of any kind.

    Raises:
        DataError: it is neither, or there are not as many labels as images.
    """
    array = as_array(images)
    if array is not None and array.dtype.kind not in "OUS":
        stack = array if array.ndim == 3 else stack_of_images(images)
        return ArraySource(array if stack is None else stack, labels, splits, multi_label=multi_label)
    if is_path(images) or is_image(images) or is_table(images) or not isinstance(images, Iterable):
        wanted = "an array (n, h, w) or (n, h, w, 3), or a list of images"
        raise DataError(f"images with labels are {wanted}, not {type(images).__name__}")
    return ListSource(list(images), labels, splits, multi_label=multi_label)


def _labels(values: Any, n: int, where: str, *, multi_label: bool) -> list[str | None]:
    reader = LabelReader(where=where, multi_label=multi_label)
    found = [None] * n if values is None else column_of("labels", values, n)
    return [reader.read(value, f"label {row}") for row, value in enumerate(found)]


def _splits(values: Any, n: int) -> list[int]:
    codes = [0] * n if values is None else column_of("splits", values, n)
    if not set(codes) <= set(range(len(SPLITS))):
        raise DataError(f"splits are numbers from 0 to {len(SPLITS) - 1}, for none, train, val and test")
    return [int(code) for code in codes]


def column_of(name: str, values: Any, n: int) -> list[Any]:
    """Return the n values of a list or of anything that is an array in one dimension.

    Raises:
        DataError: there are more or fewer, or they are not in one dimension.
    """
    given = values
    if isinstance(values, list | tuple):
        shape: tuple[int, ...] = (len(values),)
    else:
        if not isinstance(values, np.ndarray):
            values = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
        shape, values = values.shape, values.tolist()
    if shape != (n,):
        given = f"an array of shape {shape}" if shape else type(given).__name__
        raise DataError(f"{n} images need {n} {name} in one dimension, not {given}")
    return list(values)


def _open(request: SourceRequest) -> ArraySource | ListSource:
    if not 1 <= len(request.data) <= 3:
        parts = len(request.data)
        raise DataError(f"data is a pair (images, labels), or (images, labels, splits); it has {parts} parts")
    return memory_source(*request.data, multi_label=request.multi_label)


KIND = SourceKind(
    name="a pair (images, labels) of arrays or lists",
    recognises=lambda request: isinstance(request.data, tuple),
    open=_open,
    multi_label=True,
)
