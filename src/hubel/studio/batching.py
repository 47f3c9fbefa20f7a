"""Images of many requests through one network together: a bounded queue, and a thread that empties it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DecodeError
from hubel.studio.refusal import busy
from hubel.studio.settings import Settings
from hubel.studio.tickets import Ticket

__all__ = ["Batcher"]

Pixels = NDArray[np.uint8]
Scores = NDArray[np.float64]
_NEW = 0.2  # weight of the newest batch in the mean of its kind


class Batcher:
    """Makes scores of encoded images, each as it would be alone.

    Args:
        prepare: makes an image's bytes the network's input, uint8 `(h, w, c)`; runs in `pool`, and may raise.
        run: makes scores `(n, classes)` of a batch; runs in one thread.
        pool: threads for `prepare`.
        settings: `queue`, `batch`, `companions` and `patience` count.
        on_batch: is told the size of each batch.
    """

    def __init__(
        self,
        prepare: Callable[[bytes], Pixels],
        run: Callable[[Pixels], Scores],
        pool: Executor,
        settings: Settings,
        on_batch: Callable[[int], Any] = lambda size: None,
    ) -> None:
        self._prepare, self._run, self._pool = prepare, run, pool
        self._settings, self._on_batch = settings, on_batch
        self._ready: queue.SimpleQueue[Ticket[Scores] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.under_way = 0
        self.seconds_an_image = 0.0  # while there is no pause, decoding and waiting for other work included
        self._thread = threading.Thread(target=self._work, name="hubel-batches", daemon=True)
        self._thread.start()

    def submit(self, images: Sequence[bytes]) -> list[Future[Scores]]:
        """A future row of scores for each image; cancel those that nobody waits for any more.

        Raises:
            RequestError: the queue is full, or so long that the wait would be.
        """
        with self._lock:
            wait = self.under_way * self.seconds_an_image
            if wait > self._settings.patience or self.under_way + len(images) > self._settings.queue:
                raise busy("too many images are waiting", wait)
            self.under_way += len(images)
        tickets = [Ticket[Scores](data) for data in images]
        for ticket in tickets:
            ticket.answer.add_done_callback(self._leave)
            self._pool.submit(self._decode, ticket)
        return [ticket.answer for ticket in tickets]

    def close(self) -> None:
        """Finish what is ready, then end the thread."""
        self._ready.put(None)
        self._thread.join()

    def _leave(self, answer: Future[Scores]) -> None:
        with self._lock:
            self.under_way -= 1

    def _decode(self, ticket: Ticket[Scores]) -> None:
        data = ticket.data
        if data is None:
            return
        try:
            ticket.pixels = self._prepare(data)
        except DecodeError as error:
            ticket.fail(DecodeError(error.name, error.reason))  # the traceback's frames would keep the image
        except Exception as error:  # the request's answer says which
            ticket.fail(error)
        else:
            self._ready.put(ticket)

    def _work(self) -> None:
        ended = 0.0
        while batch := self._collect():
            # Of those who have gone meanwhile, the pixels have gone, or are not wanted.
            taken = [(ticket, ticket.pixels) for ticket in batch if not ticket.answer.cancelled()]
            live = [(ticket, pixels) for ticket, pixels in taken if pixels is not None]
            if not live:
                continue
            self._answer([ticket for ticket, _ in live], [pixels for _, pixels in live])
            began = max(ended, min(ticket.since for ticket, _ in live))
            ended = time.monotonic()
            mean = (ended - began) / len(live)
            before = self.seconds_an_image or mean
            self.seconds_an_image = before + _NEW * (mean - before)

    def _collect(self) -> list[Ticket[Scores]]:
        """The next batch; nothing at the end. It is not held back where no other image is under way."""
        first = self._ready.get()
        if first is None:
            return []
        batch, until = [first], time.monotonic() + self._settings.companions
        while len(batch) < min(self._settings.batch, self.under_way):
            try:
                ticket = self._ready.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if ticket is None:
                self._ready.put(None)
                break
            batch.append(ticket)
        return batch

    def _answer(self, tickets: list[Ticket[Scores]], pixels: list[Pixels]) -> None:
        try:
            answered = list(zip(tickets, self._run(np.stack(pixels)), strict=True))
        except Exception as error:  # the thread must live on; the requests' answers say so
            for ticket in tickets:
                ticket.fail(error)
        else:
            for ticket, row in answered:
                ticket.succeed(row)
        self._on_batch(len(tickets))
