"""Dynamic batching: a bounded queue of images from many requests, and a thread that classifies them in batches."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DecodeError
from hubel.studio.pending import PendingImage
from hubel.studio.responses import busy
from hubel.studio.settings import ServerSettings
from hubel.studio.uploads import PreparedUpload

__all__ = ["Batcher", "ScoredImage"]

Pixels = NDArray[np.uint8]
Row = NDArray[Any]
_SMOOTHING = 0.2  # weight of the newest batch in the moving average of the time per image


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoredImage:
    """The answer to one image.

    Attributes:
        row: scores `(classes,)`, and the novelty if there is one, see `Classifier.rows`; or the outputs of a model that
            annotates images, see `DenseModel.outputs`.
        size: height and width of the image, upright, in pixels.
        damage: why parts of the image are not those of the photo; "" for a whole one.
    """

    row: Row
    size: tuple[int, int]
    damage: str = ""


class Batcher:
    """Classifier of encoded images in batches; an image's row does not depend on its batch.

    Args:
        prepare: decodes and resizes an encoded image; called in `pool`, and may raise.
        run: computes the rows of a batch; called in one thread.
        pool: threads for `prepare`.
        settings: limits: `queue`, `batch`, `batch_wait` and `max_queue_wait`.
        on_batch: callback that receives the size of each batch.
        on_answers: callback that receives the pixels and scores of images that have been answered; must not raise.

    Attributes:
        in_progress: images submitted and not yet answered.
        seconds_per_image: moving average under load, including decoding and waiting; 0 before the first batch.
    """

    def __init__(
        self,
        prepare: Callable[[bytes], PreparedUpload],
        run: Callable[[Pixels], Row],
        pool: Executor,
        settings: ServerSettings,
        on_batch: Callable[[int], Any] = lambda size: None,
        on_answers: Callable[[Sequence[Pixels], Sequence[Row]], Any] = lambda pixels, rows: None,
    ) -> None:
        self._prepare, self._run, self._pool = prepare, run, pool
        self._settings, self._on_batch, self._on_answers = settings, on_batch, on_answers
        self._ready: queue.SimpleQueue[PendingImage[ScoredImage] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.in_progress = 0
        self.seconds_per_image = 0.0
        self._thread = threading.Thread(target=self._work, name="hubel-batches", daemon=True)
        self._thread.start()

    def submit(self, images: Sequence[bytes]) -> list[Future[ScoredImage]]:
        """Return a future of the answer to each image; cancel it to drop the image.

        Raises:
            RequestError: the queue is full, or the expected wait is too long.
        """
        with self._lock:
            wait = self.in_progress * self.seconds_per_image
            if wait > self._settings.max_queue_wait or self.in_progress + len(images) > self._settings.queue:
                raise busy("too many images are waiting", wait)
            self.in_progress += len(images)
        pending_images = [PendingImage[ScoredImage](data) for data in images]
        for pending in pending_images:
            pending.answer.add_done_callback(self._leave)
            self._pool.submit(self._decode, pending)
        return [pending.answer for pending in pending_images]

    def close(self) -> None:
        """Finish the images that are decoded, then end the thread."""
        self._ready.put(None)
        self._thread.join()

    def _leave(self, answer: Future[ScoredImage]) -> None:
        with self._lock:
            self.in_progress -= 1

    def _decode(self, pending: PendingImage[ScoredImage]) -> None:
        data = pending.data
        if data is None:
            return
        try:
            upload = self._prepare(data)
            pending.damage, pending.size, pending.pixels = upload.damage, upload.size, upload.pixels
        except DecodeError as error:
            pending.fail(DecodeError(error.name, error.reason))  # without the traceback, whose frames hold the image
        except Exception as error:  # becomes the answer to the request
            pending.fail(error)
        else:
            self._ready.put(pending)

    def _work(self) -> None:
        ended = 0.0
        while batch := self._collect():
            # Cancelled images have no pixels any more, or nobody waits for them.
            candidates = [(pending, pending.pixels) for pending in batch if not pending.answer.cancelled()]
            live = [(pending, pixels) for pending, pixels in candidates if pixels is not None]
            if not live:
                continue
            self._answer([pending for pending, _ in live], [pixels for _, pixels in live])
            began = max(ended, min(pending.since for pending, _ in live))
            ended = time.monotonic()
            mean = (ended - began) / len(live)
            before = self.seconds_per_image or mean
            self.seconds_per_image = before + _SMOOTHING * (mean - before)

    def _collect(self) -> list[PendingImage[ScoredImage]]:
        """Wait for the next batch; empty at the end. It does not wait for more images when no other is in progress."""
        first = self._ready.get()
        if first is None:
            return []
        batch, end = [first], time.monotonic() + self._settings.batch_wait
        while len(batch) < min(self._settings.batch, self.in_progress):
            try:
                pending = self._ready.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if pending is None:
                self._ready.put(None)
                break
            batch.append(pending)
        return batch

    def _answer(self, pending_images: list[PendingImage[ScoredImage]], pixels: list[Pixels]) -> None:
        try:
            answered = list(zip(pending_images, self._run(np.stack(pixels)), strict=True))
        except Exception as error:  # becomes the answer to the requests; the thread must go on
            for pending in pending_images:
                pending.fail(error)
        else:
            for pending, row in answered:
                pending.succeed(ScoredImage(row=row, size=pending.size, damage=pending.damage))
            self._on_answers(pixels, [row for _, row in answered])  # nobody waits for this
        self._on_batch(len(pending_images))
