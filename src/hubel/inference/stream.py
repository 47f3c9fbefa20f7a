"""Stream images from files through a network; decoding runs ahead in threads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DecodeError
from hubel.core.resources import usable_cores
from hubel.core.window import in_order
from hubel.data.inputs import Input
from hubel.data.preprocess import Preprocess
from hubel.inference.tta import view_indices
from hubel.weights.card import ModelCard

__all__ = ["MANY", "batch_size", "exported_batch_size", "stream"]

MANY = 256  # images; fewer are done before the fastest way to do them is found

Row = TypeVar("Row")
_Group = list[tuple[Input, NDArray[np.uint8] | DecodeError]]

_PIXELS_A_BATCH = 2**20  # keeps the activations of one batch within the processor's caches or near it


def batch_size(preprocess: Preprocess) -> int:
    """Return the batch size of inference."""
    return max(1, min(256, _PIXELS_A_BATCH // (preprocess.height * preprocess.width)))


def exported_batch_size(card: ModelCard) -> int:
    """Return the batch size of an exported file, whose graph may make several views of each image."""
    p = card.preprocess
    return max(1, batch_size(p) // (len(view_indices(p.height, p.width, p.channels)) if card.tta else 1))


def stream(
    inputs: Iterable[Input],
    preprocess: Preprocess,
    compute: Callable[[NDArray[np.uint8]], Iterable[Row]],
    *,
    lanes: int = 1,
) -> Iterator[tuple[Input, Row | DecodeError]]:
    """Yield each input with its output, or with the error of reading it, in order.

    Args:
        inputs: images to be.
        preprocess: of the network.
        compute: makes one row for each of a batch's resized images, uint8 `(n, height, width, channels)`.
        lanes: how many threads may call `compute` at once; with 1 only the caller's does.
    """

    def prepare(item: Input) -> tuple[Input, NDArray[np.uint8] | DecodeError]:
        try:
            decoded = item.decode(preprocess.min_size)
            known = replace(item, damage=decoded.damage, width=decoded.width, height=decoded.height)
            return known, preprocess.apply(decoded.pixels)
        except DecodeError as error:
            return item, error

    def rows_of(group: _Group) -> list[tuple[Input, Row | DecodeError]]:
        good = [pixels for _, pixels in group if not isinstance(pixels, DecodeError)]
        rows = iter(compute(np.stack(good)) if good else ())
        return [(item, pixels if isinstance(pixels, DecodeError) else next(rows)) for item, pixels in group]

    size, threads = batch_size(preprocess), usable_cores()
    with ThreadPoolExecutor(threads) as decoders, ThreadPoolExecutor(lanes) as computers:
        prepared = in_order(decoders, prepare, inputs, ahead=lanes * size + threads)
        groups = iter(lambda: list(itertools.islice(prepared, size)), [])
        done = map(rows_of, groups) if lanes == 1 else in_order(computers, rows_of, groups, ahead=lanes + 1)
        for rows in done:
            yield from rows
