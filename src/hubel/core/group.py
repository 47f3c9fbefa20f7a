"""The processes that work on one job together, as far as those need it who read data and compute features.

A process alone is a group of one. `hubel.training.processes` puts a group of several in its place while a training
runs: then a scan of the images and the passes of a frozen network are divided over the ranks, and whatever depends on
the clock or on what one rank has found is decided by rank 0. Whoever calls a method here calls it on every rank.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Group", "alone", "current_group", "working_as"]


class Group:
    """A process alone.

    Attributes:
        rank: the number of this process in the group, from 0.
        world: how many processes there are.
        local_rank: its number on this machine.
        local_world: how many of the group are on this machine.
        exact: the result does not depend on the number of processes.
    """

    rank, world, local_rank, local_world = 0, 1, 0, 1
    exact = False

    @property
    def first(self) -> bool:
        """This is rank 0, which decides, prints and writes."""
        return self.rank == 0

    def gather(self, content: bytes) -> list[bytes]:
        """Return what each rank brings, in the order of the ranks."""
        return [content]

    def share_arrays(self, arrays: Mapping[str, NDArray[Any]], facts: Any) -> list[tuple[dict[str, NDArray[Any]], Any]]:
        """Return the arrays that each rank brings, by name, and a JSON value beside them, in the order of the ranks."""
        if self.world == 1:
            return [(dict(arrays), facts)]
        content, told = io.BytesIO(), json.dumps(facts).encode()
        np.savez(content, allow_pickle=False, **arrays)
        found = []
        for part in self.gather(len(told).to_bytes(8, "little") + told + content.getvalue()):
            size = 8 + int.from_bytes(part[:8], "little")
            with np.load(io.BytesIO(part[size:]), allow_pickle=False) as theirs:
                found.append((dict(theirs), json.loads(part[8:size])))
        return found

    def agree(self, find: Callable[[], Any]) -> Any:
        """Return the JSON value that rank 0 finds; the others do not look for it."""
        if self.world == 1:
            return find()
        content = b""
        if self.first:
            with alone():
                content = json.dumps(find()).encode()
        return json.loads(self.gather(content)[0])

    def now(self) -> float:
        """Return the clock of rank 0, in seconds of `time.monotonic`."""
        return float(self.agree(time.monotonic))


_ALONE = Group()  # what `alone` puts in the place of any other
_CURRENT: ContextVar[Group] = ContextVar("group", default=_ALONE)


def current_group() -> Group:
    """Return the group that this process works in."""
    return _CURRENT.get()


def alone() -> AbstractContextManager[Group]:
    """Return a context in which this process works for itself: what rank 0 does while the others do not."""
    return working_as(_ALONE)


@contextmanager
def working_as(group: Group) -> Iterator[Group]:
    """Let this process be a rank of a group within the block."""
    token = _CURRENT.set(group)
    try:
        yield group
    finally:
        _CURRENT.reset(token)
