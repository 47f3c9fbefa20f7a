"""The order of an epoch over images in archives or tables, of which each process reads some from end to end.

A random order over all images would read each archive at random from every process, and load each group of a table's
rows as often as it has rows. Here parts (archives, groups of rows) are put into a random order; what follows is divided
into as many streams, equal in length, as a batch has shards, and shard s of each batch takes the next images of stream
s. Within a stream, images of a window of parts are shuffled. So the order is a function of seed, epoch and the number
of shards, and never of the number of processes; a process reads the parts of its streams, and no others, but for those
that a border cuts in two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import bits, permutation
from hubel.data.shares import shard_sizes, step_sizes

__all__ = ["WINDOW_BYTES", "order_by_parts"]

WINDOW_BYTES = 2**26  # of encoded images; a part that is larger is a window by itself
_ORDER_OF_PARTS, _ORDER_IN_WINDOW = 121, 122  # keep these draws independent of others


def order_by_parts(
    rows: NDArray[np.int64],
    ends: NDArray[np.int64],
    sizes: NDArray[np.int64],
    *,
    steps: int,
    shards: int,
    keys: tuple[int, int],
    window: int = WINDOW_BYTES,
) -> NDArray[np.int64]:
    """Return the positions of an epoch's images in the order in which batches take them, int64 `(n,)`.

    Args:
        rows: of the images, int64 `(n,)`.
        ends: of the parts: the row after the last of each, ascending.
        sizes: bytes of each image, int64 `(n,)`.
        steps: batches of the epoch.
        shards: of each batch.
        keys: seed and epoch.
        window: bytes of parts among which images are shuffled.

    >>> order_by_parts(np.arange(8), np.array([4, 8]), np.ones(8, np.int64), steps=2, shards=2, keys=(0, 1)).tolist()
    [6, 5, 0, 2, 4, 7, 3, 1]
    """
    part = np.searchsorted(ends, rows, side="right")
    turn = np.empty(len(ends), np.int64)
    turn[permutation(len(ends), *keys, _ORDER_OF_PARTS)] = np.arange(len(ends))
    sequence = np.argsort(turn[part], kind="stable")
    # Slots of the epoch by the shard that they are in: those of a shard, one batch after the other, are its stream.
    batches = step_sizes(len(rows), steps)
    of_batch = {n: np.repeat(np.arange(shards), shard_sizes(n, shards)) for n in set(batches)}
    shard = np.concatenate([of_batch[n] for n in batches])
    stream = np.sort(shard)
    read = np.cumsum(sizes[sequence]) - sizes[sequence]
    starts = np.flatnonzero(np.diff(stream * len(ends) + turn[part[sequence]], prepend=-1))  # of a part in a stream
    # Parts whose starts lie in one window's bytes of a stream make a window.
    begun = read[starts] - read[np.searchsorted(stream, stream[starts])]
    number = stream[starts] * (int(sizes.sum()) // window + 2) + begun // window
    windows = np.repeat(number, np.diff(starts, append=len(rows)))
    sequence = sequence[np.lexsort((bits(*keys, _ORDER_IN_WINDOW, rows[sequence]), windows))]
    order = np.empty_like(sequence)
    order[np.argsort(shard, kind="stable")] = sequence
    return order
