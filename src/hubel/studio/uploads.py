"""Decoding of uploaded images within a memory limit, large images one at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DecodeError
from hubel.data.decode import decode
from hubel.data.preprocess import Preprocess
from hubel.data.reading import DEFAULT_LIMITS, Limits, RefusalError
from hubel.studio.decode_memory import bytes_per_pixel

__all__ = ["PreparedUpload", "UploadDecoder"]

_SMALL = 8  # a small image takes at most this part of the memory


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedUpload:
    """An uploaded image, resized for a network.

    Attributes:
        pixels: uint8 `(h, w, c)`, at the network's input size.
        size: height and width of the original, upright, in pixels.
        damage: why parts of the pixels are not those of the photo; "" for a whole one.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    damage: str = ""


class UploadDecoder:
    """Decoder of uploaded images; thread-safe.

    Args:
        memory: bytes that decoding one image may take. Images that take at most an eighth of it are decoded in
            parallel, larger ones one at a time.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._large = threading.Lock()

    def decode(self, data: bytes, preprocess: Preprocess) -> PreparedUpload:
        """Decode and resize an image.

        Raises:
            DecodeError: it cannot be read, or is too large.
        """
        most = int(self._memory / bytes_per_pixel(data, preprocess.min_size))
        try:
            return _decode(data, preprocess, most // _SMALL)
        except DecodeError as error:
            if not isinstance(error.__cause__, RefusalError):
                raise
        with self._large:
            return _decode(data, preprocess, most)


def _decode(data: bytes, preprocess: Preprocess, max_pixels: int) -> PreparedUpload:
    limits = Limits(
        max_pixels=min(max_pixels, DEFAULT_LIMITS.max_pixels),
        max_jpeg_pixels=min(max_pixels, DEFAULT_LIMITS.max_jpeg_pixels),
    )
    decoded = decode(data, name="image", min_size=preprocess.min_size, limits=limits)
    return PreparedUpload(
        pixels=preprocess.apply(decoded.pixels), size=(decoded.height, decoded.width), damage=decoded.damage
    )
