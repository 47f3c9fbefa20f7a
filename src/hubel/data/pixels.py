"""Images as Python objects: arrays, tensors, PIL images, bytes, open files. Each becomes pixels, or bytes to decode."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from hubel.core.errors import DataError, DecodeError
from hubel.data.decode import flatten
from hubel.data.reading import RefusalError, one_line

__all__ = ["as_array", "as_pixels", "is_image", "is_path", "is_table", "one_image", "stack_of_images"]

_COLOURS = (1, 3, 4)  # values of a pixel: grey, RGB, RGB with opacity
_FIRST = (1, 3)  # as the first axis, for which 4 images are more likely than 4 values a pixel
_ACCEPTED = (
    "a path, an array (h, w) or (h, w, 3), a PIL image, a tensor (3, h, w), bytes or a file opened for reading bytes"
)


def is_path(value: Any) -> bool:
    """Return whether a value names a file."""
    return isinstance(value, str | os.PathLike)


def is_image(value: Any) -> bool:
    """Return whether a value is one image: PIL's, encoded bytes, or an open file."""
    return isinstance(value, Image.Image | bytes | bytearray | memoryview) or hasattr(value, "read")


def is_table(value: Any) -> bool:
    """Return whether a value is a table of columns: of pandas, polars or Arrow."""
    return hasattr(value, "columns")


def as_array(value: Any) -> NDArray[Any] | None:
    """Return an array, or a tensor of any device, as an array; None for other values.

    Raises:
        DataError: it is a tensor without plain numbers: sparse, quantised, or on the meta device.
    """
    if isinstance(value, np.ndarray):
        return value
    if not _is_tensor(value):
        return None
    try:
        plain = value.detach().cpu()
        return np.asarray((plain.float() if plain.is_floating_point() else plain).numpy())
    except (RuntimeError, TypeError) as error:
        raise DataError(f"a tensor that is no array of plain numbers: {one_line(error)}") from None


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "cpu")  # open files have a method `detach`, too


def stack_of_images(value: Any) -> NDArray[Any] | None:
    """Return the images of an array or tensor `(n, h, w)` or `(n, h, w, c)`; None where it is one image.

    An array in three dimensions is `n` grey images, unless its last axis can only be that of colours. A tensor of
    floats `(3, h, w)` is one image, as torchvision makes it; one of bytes may be three grey ones as well.

    Raises:
        DataError: its shape is not that of images, or could be that of one as well as that of several.
    """
    array, is_tensor = as_array(value), _is_tensor(value)
    assert array is not None
    shape = array.shape
    if array.ndim == 4:
        return _colours_last(array, 1, is_tensor=is_tensor)
    if array.ndim == 3 and shape[2] not in _COLOURS and shape[0] in _FIRST and is_tensor:
        if array.dtype.kind == "f" or shape[0] == 1:
            return None
        raise DataError(
            f"a tensor {shape} of bytes is one image in colour or {shape[0]} grey ones; give [x] for one image, or "
            "x[:, None] for grey ones"
        )
    if array.ndim == 3:
        return None if shape[2] in _COLOURS else array
    raise DataError(
        f"images have the shape (n, h, w), (n, h, w, 1) or (n, h, w, 3), not {shape}; give one grey image as [image]"
    )


def one_image(value: Any, name: str) -> bytes | NDArray[np.uint8]:
    """Return one image as the bytes of its file, or as pixels uint8 `(h, w)` or `(h, w, 3)`.

    Raises:
        DecodeError: a PIL image that cannot be read, without pixels, or whose colours have no defined white.
        DataError: it is no image.
    """
    if isinstance(value, Image.Image):
        if 0 in value.size:
            raise DecodeError(name, f"an image without pixels, {value.width}x{value.height}")
        try:
            return flatten(value)
        except (RefusalError, OSError, ValueError) as error:  # the last of a closed one
            raise DecodeError(name, one_line(error)) from error
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if hasattr(value, "read"):
        data = value.read()
        if not isinstance(data, bytes):
            raise DataError(f"{name} is a file opened as text; open it for reading bytes: open(path, 'rb')")
        return data
    try:
        array = np.asarray(value) if isinstance(value, list | tuple) else None
    except ValueError:
        raise DataError(f"{name} is a list whose parts have different sizes; an image is {_ACCEPTED}") from None
    array = as_array(value) if array is None else array
    if array is None or array.dtype.kind in "OUS":
        kind = type(value).__name__ if array is None else f"an array of {array.dtype}"
        raise DataError(f"{name} is {kind}; an image is {_ACCEPTED}")
    if array.ndim == 3:
        array = _colours_last(array, 0, is_tensor=_is_tensor(value))
    if array.ndim not in (2, 3):
        raise DataError(f"{name} has the shape {array.shape}; an image has (h, w), (h, w, 1), (h, w, 3) or (3, h, w)")
    if array.ndim == 3 and array.shape[2] == 4:
        planes = as_pixels(np.moveaxis(array, 2, 0))
        return flatten(Image.fromarray(np.ascontiguousarray(np.moveaxis(planes, 0, 2)), "RGBA"))
    pixels: NDArray[np.uint8] = as_pixels(array[None])[0]
    return pixels


def _colours_last(array: NDArray[Any], axis: int, *, is_tensor: bool) -> NDArray[Any]:
    """Return images whose colours are the last axis, where they may be `axis`.

    Raises:
        DataError: they may be both, in a tensor.
    """
    first, last = array.shape[axis] in _FIRST, array.shape[-1] in _COLOURS
    if first and last and is_tensor:
        raise DataError(f"a tensor {array.shape} has its colours first or last; give an array (h, w, c)")
    return np.moveaxis(array, axis, -1) if first and not last else array


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
    if pixels.dtype.kind not in "fiu":
        raise DataError(f"pixels are numbers, not {pixels.dtype}")
    if not np.isfinite(pixels).all():
        raise DataError("pixels are finite numbers; some of these are NaN or infinite")
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
