"""Stream images from tar archives, for datasets that are too large to scan first.

Nothing is indexed: archives are read from one end to the other, as suits disks and networks, and a buffer shuffles
the images. The order is a function of the archives and of `(seed, epoch, rank, world, buffer)`, and over all ranks
every image comes exactly once.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hubel.core.errors import DecodeError, OptionError
from hubel.core.files import user_path
from hubel.core.random import bits, permutation
from hubel.data.sources.labels import LabelReader
from hubel.data.sources.listing import natural_key
from hubel.data.sources.samples import archive_samples
from hubel.data.sources.tarfiles import Shards, find_shards
from hubel.data.sources.webdataset import numbered_names, open_archive, read_sample

__all__ = ["Streamed", "stream_shards"]

_ORDER_OF_SHARDS, _ORDER_IN_BUFFER, _ORDER_AT_END = 111, 112, 113  # keep these draws independent of others
_WORDS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Streamed:
    """An encoded image from an archive.

    Attributes:
        name: the archive, and the path of the image in it.
        data: the bytes of the image file, for `hubel.data.decode.decode`.
        label: the name of its class; None without a label.
    """

    name: str
    data: bytes
    label: str | None


def stream_shards(
    paths: str | Path | Sequence[str | Path],
    *,
    seed: int,
    epoch: int,
    buffer: int = 1000,
    rank: int = 0,
    world: int = 1,
    multi_label: bool = False,
    skip: Callable[[str, str], None] | None = None,
) -> Iterator[Streamed]:
    """Yield the images of WebDataset archives for one of several processes, in the order of one epoch.

    Whole archives are dealt to the ranks, in an order drawn for the epoch, so that each is read by one of them; ranks
    may then differ by the images of one archive. With fewer archives than ranks, single images are dealt: each rank
    walks over all archives, and counts differ by at most one.

    Args:
        paths: a folder, an archive, a pattern, or a list of archives, whose order does not matter.
        seed: another seed gives another order.
        epoch: another epoch gives another order.
        buffer: how many images wait, encoded, for one of them to be drawn; 1 leaves each archive in its own order.
        rank: which of the processes this is, from 0.
        world: how many processes there are.
        multi_label: a label names any number of classes; their names have "|" between them.
        skip: called with the name and the reason of each member that is passed over.

    Yields:
        Images with the names of their classes.

    Raises:
        OptionError: a setting is out of range.
        DataError: there is no archive, one is damaged, or a label is a number without a name.
    """
    if world < 1 or not 0 <= rank < world:
        raise OptionError(f"rank {rank} of {world} is no process; ranks go from 0 to {world - 1}")
    if buffer < 1:
        raise OptionError(f"a buffer holds at least 1 image, not {buffer}")
    shards = find_shards(paths) if isinstance(paths, str | Path) else _listed(paths)
    dealt = _dealt(shards, (seed, epoch), rank, world, skip or _ignore, multi_label=multi_label)
    return _shuffled(dealt, buffer, (seed, epoch, rank, world))


def _ignore(name: str, reason: str) -> None:
    pass


def _listed(paths: Sequence[str | Path]) -> Shards:
    if not paths:
        raise OptionError("there are no archives in the list")
    files = sorted({user_path(path).resolve() for path in paths}, key=lambda path: natural_key(str(path)))
    root = Path(os.path.commonpath([path.parent for path in files]))
    return Shards(root.name, str(root), root, tuple(files), (0,) * len(files))


def _dealt(
    shards: Shards,
    keys: tuple[int, int],
    rank: int,
    world: int,
    skip: Callable[[str, str], None],
    *,
    multi_label: bool,
) -> Iterator[Streamed]:
    names = numbered_names(shards)
    order = permutation(len(shards.paths), *keys, _ORDER_OF_SHARDS).tolist()
    by_shard = len(order) >= world
    entries = list(shards)
    number = 0
    for shard in order[rank::world] if by_shard else order:
        path, called, _ = entries[shard]
        labels = LabelReader(where=path, names=names, multi_label=multi_label)
        with open_archive(path) as file:
            for sample in archive_samples(file, str(path), called, labels, skip):
                mine = by_shard or number % world == rank
                number += 1
                if not mine:
                    continue
                name = f"{called}/{sample.name}"
                try:
                    data = read_sample(file, sample.offset, sample.size, name)
                except DecodeError as error:
                    skip(name, error.reason)
                else:
                    yield Streamed(name, data, sample.label)


def _shuffled(images: Iterator[Streamed], buffer: int, keys: tuple[int, ...]) -> Iterator[Streamed]:
    """Yield an image drawn from the buffer for each one that enters it; at the end, the rest in a drawn order."""
    waiting = list(itertools.islice(images, buffer))
    for image, word in zip(images, _words(keys), strict=False):
        drawn = word % buffer
        yield waiting[drawn]
        waiting[drawn] = image
    for drawn in permutation(len(waiting), *keys, _ORDER_AT_END).tolist():
        yield waiting[drawn]


def _words(keys: tuple[int, ...]) -> Iterator[int]:
    """Yield random words without end, computed many at once."""
    for first in itertools.count(0, _WORDS_AT_ONCE):
        yield from bits(*keys, _ORDER_IN_BUFFER, np.arange(first, first + _WORDS_AT_ONCE)).tolist()
