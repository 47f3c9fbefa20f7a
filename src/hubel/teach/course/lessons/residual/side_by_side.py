"""Advance several computations at once, a core each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

__all__ = ["side_by_side"]

T = TypeVar("T")


def side_by_side(computations: Sequence[Iterator[T]]) -> Iterator[list[T]]:
    """Yield the next item of each computation, until one ends.

    Each runs in a thread of its own, in which torch uses one core: layers of small images are too small to be divided,
    and this way the numbers do not depend on how many cores there are.
    """
    before = torch.get_num_threads()
    ended = object()
    try:
        with ThreadPoolExecutor(len(computations), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            while True:
                items = list(pool.map(lambda one: next(one, ended), computations))
                if any(item is ended for item in items):
                    return
                yield items  # type: ignore[misc]  # none of them is the mark of the end
    finally:
        torch.set_num_threads(before)
