"""An image on its way through the threads of a server."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ticket"]

Answer = TypeVar("Answer")


class Ticket(Generic[Answer]):
    """An image and the answer to it. Whoever cancels the answer has the image forgotten at once.

    Attributes:
        data: the encoded image; None where nobody waits for the answer any more.
        pixels: what the network will see, as soon as it is known; likewise.
        since: when the ticket was made, by `time.monotonic`.
        answer: to come.
    """

    def __init__(self, data: bytes) -> None:
        self.data: bytes | None = data
        self.pixels: NDArray[np.uint8] | None = None
        self.since = time.monotonic()
        self.answer: Future[Answer] = Future()
        self.answer.add_done_callback(self._forget)

    def _forget(self, answer: Future[Answer]) -> None:
        self.data = self.pixels = None

    def succeed(self, answer: Answer) -> None:
        """Answer, if somebody waits for it."""
        if self.answer.set_running_or_notify_cancel():
            self.answer.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Say why there is no answer, if somebody waits for it."""
        if self.answer.set_running_or_notify_cancel():
            self.answer.set_exception(error)
