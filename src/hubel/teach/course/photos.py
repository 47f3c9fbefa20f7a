"""Photos of learners on their way to a computation, and pictures on their way to the page."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, OptionError
from hubel.data.decode import decode
from hubel.data.reading import Limits

__all__ = ["pack", "read_photo"]

_LIMITS = Limits(max_bytes=2**20, max_pixels=2**20, max_jpeg_pixels=2**20)


def read_photo(text: Any, name: str = "photo") -> NDArray[np.uint8]:
    """Decode a photo that a page has sent: the base64 form of an image file of at most 1 MiB and 1,048,576 pixels.

    Returns:
        uint8 `(h, w, 3)` RGB.

    Raises:
        OptionError: it is no such text.
        DecodeError: it is no image, damaged, or too large.
    """
    if not isinstance(text, str):
        raise OptionError(f"a photo is sent as base64, not as {type(text).__name__}")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise OptionError(f"the {name} is not base64") from None
    pixels = decode(data, name=name, limits=_LIMITS).pixels
    return np.repeat(pixels[..., None], 3, 2) if pixels.ndim == 2 else np.asarray(pixels)


def pack(pixels: NDArray[Any]) -> dict[str, Any]:
    """Return pixels uint8 `(h, w)`, `(h, w, 1)` or `(h, w, 3)`, or values 0 to 1 `(h, w)`, in the short form for pages.

    Raises:
        DataError: they have another shape.

    >>> pack(np.array([[0.0, 1.0]]))
    {'rows': 1, 'columns': 2, 'channels': 1, 'bytes': 'AP8='}
    """
    if pixels.dtype != np.uint8:
        pixels = np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise DataError(f"a picture is (h, w), (h, w, 1) or (h, w, 3), not {pixels.shape}")
    rows, columns, channels = pixels.shape
    text = base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode()
    return {"rows": rows, "columns": columns, "channels": channels, "bytes": text}
