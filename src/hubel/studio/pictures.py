"""Decoding what strangers send: within a stated amount of memory, and large images one at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DecodeError
from hubel.data.decode import decode
from hubel.data.preprocess import Preprocess
from hubel.data.reading import DEFAULT_LIMITS, Limits, RefusalError
from hubel.studio.costs import bytes_a_pixel

__all__ = ["Picture", "Reader"]

_SMALL = 8  # part of the memory that a small image takes at most


@dataclass(frozen=True, eq=False)
class Picture:
    """An image at the network's size, uint8 `(h, w, c)`, and its width by height before."""

    pixels: NDArray[np.uint8]
    aspect: float


class Reader:
    """Reads images, in many threads.

    Args:
        memory: bytes that decoding one image may take. Small images, which take an eighth, are read side by side,
            others wait for each other.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._alone = threading.Lock()

    def read(self, data: bytes, preprocess: Preprocess) -> Picture:
        """An image as a network sees it.

        Raises:
            DecodeError: it cannot be read, or is too large.
        """
        most = int(self._memory / bytes_a_pixel(data, preprocess.min_size))
        try:
            return _read(data, preprocess, most // _SMALL)
        except DecodeError as error:
            if not isinstance(error.__cause__, RefusalError):
                raise
        with self._alone:
            return _read(data, preprocess, most)


def _read(data: bytes, preprocess: Preprocess, max_pixels: int) -> Picture:
    limits = Limits(max_pixels=min(max_pixels, DEFAULT_LIMITS.max_pixels))
    decoded = decode(data, name="image", min_size=preprocess.min_size, limits=limits)
    return Picture(preprocess.apply(decoded.pixels), decoded.width / decoded.height)
