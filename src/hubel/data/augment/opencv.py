"""OpenCV, imported when it is first needed: whoever only predicts never waits for it."""

from __future__ import annotations

import math
import threading
from functools import cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

__all__ = ["floats", "opencv", "scratch"]

_MOST_CACHED = 2**24  # bytes of a thread's buffer; a huge image gets memory of its own
_own = threading.local()


@cache
def opencv() -> ModuleType:
    """Import `cv2`, set to compute each image with one thread.

    We call it from threads of our own, one image each; a pool below each of them would only wait for cores. The setting
    is the whole process's: a program that wants more threads for its own use of cv2 can set them again, which changes
    the speed and no result.
    """
    import cv2

    cv2.setNumThreads(1)
    return cv2


def scratch(name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return memory of this thread for an intermediate result, uint8; the next call with this name overwrites it.

    Fresh memory of this size comes from the kernel, page by page, and costs as much as what is computed in it.
    """
    size = math.prod(shape)
    if size > _MOST_CACHED:
        return np.empty(shape, np.uint8)
    buffer: NDArray[np.uint8] | None = getattr(_own, name, None)
    if buffer is None or buffer.size < size:
        buffer = np.empty(size, np.uint8)
        setattr(_own, name, buffer)
    return buffer[:size].reshape(shape)


def floats(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the same as `scratch`, float32."""
    return scratch(name, (*shape[:-1], 4 * shape[-1])).view(np.float32)
