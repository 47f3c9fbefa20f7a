"""Divide a batch over several processes: into shards of it, by numbers alone.

A batch is divided into a fixed number of shards, nearly equal in size, whatever the number of processes; each process
owns some that follow each other. So what a shard holds depends on the order of the epoch, and never on how many
processes there are. The shards of a small batch may be empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Share", "numbered_slots", "shard_sizes", "share_of", "step_sizes"]


@dataclass(frozen=True, kw_only=True)
class Share:
    """The shards of each batch that one process owns.

    Attributes:
        shards: into which a batch is divided.
        first: the first one that is owned.
        stop: the one after the last.
    """

    shards: int
    first: int
    stop: int

    def owned(self, n: int) -> list[int]:
        """Return the owned shards of a batch of n images that hold any.

        >>> Share(shards=4, first=2, stop=4).owned(3)
        [2]
        """
        return [shard for shard in range(self.first, self.stop) if shard < n]


def share_of(rank: int, world: int, shards: int) -> Share:
    """Return the share of a rank; numbers of shards differ by at most one.

    >>> [(share.first, share.stop) for share in (share_of(rank, 3, 8) for rank in range(3))]
    [(0, 3), (3, 6), (6, 8)]
    """
    sizes = np.cumsum([0, *shard_sizes(shards, world)])
    return Share(shards=shards, first=int(sizes[rank]), stop=int(sizes[rank + 1]))


def shard_sizes(n: int, shards: int) -> list[int]:
    """Return the number of images of each shard of a batch, the larger ones first.

    >>> shard_sizes(13, 8), shard_sizes(3, 8)
    ([2, 2, 2, 2, 2, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0, 0])
    """
    least, more = divmod(n, shards)
    return [least + (shard < more) for shard in range(shards)]


def step_sizes(n: int, steps: int) -> list[int]:
    """Return the number of images of each step of an epoch over n images."""
    return shard_sizes(n, steps)


def numbered_slots(
    n: int, steps: int, *, start: int = 0, share: Share | None = None
) -> list[tuple[int, NDArray[np.int64]]]:
    """Return the slots of an epoch's order that make each batch, with a number that is a key of its draws.

    Args:
        n: slots in all.
        steps: of the epoch.
        start: the first step that is wanted.
        share: of one process: then these are shards of batches, without those that are empty. None for whole batches.
    """
    slots = np.array_split(np.arange(n), steps)
    if share is None:
        return list(enumerate(slots))[start:]
    found = []
    for number, whole in enumerate(slots[start:], start=start):
        ends = np.cumsum([0, *shard_sizes(len(whole), share.shards)])
        found += [
            (number * share.shards + shard, whole[ends[shard] : ends[shard + 1]]) for shard in share.owned(len(whole))
        ]
    return found
