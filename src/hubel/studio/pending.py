"""Images that wait for their result in the threads of the server."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["PendingImage"]

Answer = TypeVar("Answer")


class PendingImage(Generic[Answer]):
    """An image and the future of its result. Cancelling the future releases the image at once.

    Attributes:
        data: the encoded image; None once the future is done.
        pixels: the network's input, uint8 `(h, w, c)`; None before decoding and once the future is done.
        size: height and width of the image, upright, in pixels; 0 before decoding.
        damage: why parts of the pixels are not those of the photo; "" for a whole one, and before decoding.
        since: time of creation, by `time.monotonic`.
        answer: future of the result.
    """

    def __init__(self, data: bytes) -> None:
        self.data: bytes | None = data
        self.pixels: NDArray[np.uint8] | None = None
        self.size = (0, 0)
        self.damage = ""
        self.since = time.monotonic()
        self.answer: Future[Answer] = Future()
        self.answer.add_done_callback(self._release)

    def _release(self, answer: Future[Answer]) -> None:
        self.data = self.pixels = None

    def succeed(self, answer: Answer) -> None:
        """Set the result, unless the future is cancelled."""
        if self.answer.set_running_or_notify_cancel():
            self.answer.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Set the error, unless the future is cancelled."""
        if self.answer.set_running_or_notify_cancel():
            self.answer.set_exception(error)
