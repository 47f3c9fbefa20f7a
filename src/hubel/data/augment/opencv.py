"""OpenCV, imported when it is first needed: whoever only predicts never waits for it."""

from __future__ import annotations

import math
import threading
from functools import cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

__all__ = ["floats", "opencv", "scratch"]

_MOST_KEPT = 2**24  # bytes of a thread's buffer; a huge picture gets memory of its own
_own = threading.local()


@cache
def opencv() -> ModuleType:
    """`cv2`, told to compute each image with one thread.

    We call it from threads of our own, one image each; a pool below each of them would only wait for cores. The setting
    is the whole process's: a program that wants more threads for its own use of cv2 can set them again, which changes
    the speed and no result.
    """
    import cv2

    cv2.setNumThreads(1)
    return cv2


def scratch(name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Memory of this thread for a step between, uint8; it is overwritten by the next call with this name.

    Fresh memory of this size comes from the kernel, page by page, and costs as much as what is computed in it.
    """
    size = math.prod(shape)
    if size > _MOST_KEPT:
        return np.empty(shape, np.uint8)
    kept: NDArray[np.uint8] | None = getattr(_own, name, None)
    if kept is None or kept.size < size:
        kept = np.empty(size, np.uint8)
        setattr(_own, name, kept)
    return kept[:size].reshape(shape)


def floats(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The same, float32."""
    return scratch(name, (*shape[:-1], 4 * shape[-1])).view(np.float32)
