"""Decoded pictures that are kept from the first epoch on: in memory, or in one file that is mapped into it.

What has to be decoded again in each epoch costs more than all that is done with it afterwards. The shape of every
picture follows from the index, so the place of each is known before the first one is decoded. A file is written under
another name, and gets its own when it is whole; until then no other run sees it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import weakref
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hubel.core.cache import LIMIT_VARIABLE, cache_limit, make_room
from hubel.core.errors import OptionError
from hubel.core.files import beside, cache_root, remove_leftovers
from hubel.core.progress import say

__all__ = ["PICTURES", "Keep", "Kept", "Plan", "plan", "reduced", "reduced_sizes"]

Keep = Literal["auto", "off", "ram", "disk"]

PICTURES = "pictures"  # the folder within hubel's cache
_VERSION = 1  # of what a file's bytes mean
_RAM_BYTES = 2 * 2**30  # at most, and at most this share of the memory:
_RAM_SHARE = 0.25
_WORTH_A_WORD = 2**26  # bytes
_CLEARLY = 0.75  # of a picture's sides; making it smaller by less gains little, and blurs it


def reduced_sizes(
    width: NDArray[np.integer], height: NDArray[np.integer], least: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Widths and heights at which pictures of these sizes are kept: they still cover `least`, a width and a height.

    >>> [size.tolist() for size in reduced_sizes(np.array([3000, 500]), np.array([2000, 375]), (379, 379))]
    [[569, 500], [379, 375]]
    """
    width, height = width.astype(np.int64), height.astype(np.int64)
    scale = np.maximum(least[0] / width, least[1] / height)
    scale = np.where(scale <= _CLEARLY, scale, 1.0)
    return np.ceil(width * scale - 1e-6).astype(np.int64), np.ceil(height * scale - 1e-6).astype(np.int64)


def reduced(picture: NDArray[np.uint8], full: tuple[int, int], least: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture at the size at which it is kept, each pixel the mean of the area that it covers.

    Args:
        picture: `(h, w)` or `(h, w, 3)`, perhaps decoded at a reduced scale.
        full: width and height of the whole picture.
        least: see `reduced_sizes`.
    """
    across, down = (int(size) for size in reduced_sizes(np.array(full[0]), np.array(full[1]), least))
    if picture.shape[:2] == (down, across):
        return picture
    return np.asarray(Image.fromarray(picture).resize((across, down), Image.Resampling.BOX))


@dataclass(frozen=True)
class Plan:
    """Where pictures are to be kept.

    Attributes:
        shapes: height, width and channels of each, int32 `(n, 3)`.
        key: what they depend on, as a hash.
        where: "ram" or "disk".
    """

    shapes: NDArray[np.int32]
    key: str
    where: Literal["ram", "disk"]

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each picture begins among the bytes, and where the last one ends."""
        return np.concatenate([[0], np.cumsum(self.shapes.prod(1, dtype=np.int64))])

    @property
    def bytes(self) -> int:
        """Of all pictures together."""
        return int(self.starts[-1])


def plan(shapes: NDArray[np.int32], digests: NDArray[np.void], how: Keep, *, made: str = "") -> Plan | None:
    """Whether, and where, pictures are kept; None where they are not. Says so where that takes much.

    "auto" takes the memory for up to 2 GiB or a quarter of it, then the disk, for what hubel's cache has room for.

    Args:
        shapes: height, width and channels of each, `(n, 3)`.
        digests: of the encoded images, `(n,)`.
        how: one of `Keep`.
        made: how they are made from the images; other ways make other files.

    Raises:
        OptionError: "disk" where there is no room, or no such way.
    """
    if how not in get_args(Keep):
        raise OptionError(f"pictures are kept in one of {', '.join(get_args(Keep))}, not {how!r}")
    if how == "off" or not len(shapes):
        return None
    hashed = hashlib.blake2b(f"{_VERSION} {made}".encode(), digest_size=16)
    for array in (shapes, digests):
        hashed.update(np.ascontiguousarray(array).tobytes())
    found = Plan(shapes, hashed.hexdigest(), "ram")
    if how == "ram" or (how == "auto" and found.bytes <= min(_RAM_BYTES, _RAM_SHARE * _memory())):
        return _said(found, "memory")
    found = Plan(shapes, found.key, "disk")
    if _file(found).exists() or make_room(PICTURES, "*.bin", found.bytes):
        return _said(found, "the cache on the disk; `hubel cache` clears it")
    size, most = (f"{number / 2**30:.1f} GiB" for number in (found.bytes, cache_limit(PICTURES)))
    if how == "disk":
        raise OptionError(f"decoded, the images take {size}; the cache may take {most}: set {LIMIT_VARIABLE} to more")
    say(f"decoded, the images would take {size}, more than there is room for: each epoch decodes them again")
    return None


def _said(found: Plan, where: str) -> Plan:
    if found.bytes >= _WORTH_A_WORD:
        say(f"keeping {len(found.shapes):,} decoded images, {found.bytes / 2**20:,.0f} MiB, in {where}")
    return found


class Kept:
    """Pictures at their places. Threads may put and get at the same time, each picture being put by one of them.

    Args:
        planned: where they are.
    """

    def __init__(self, planned: Plan) -> None:
        self._planned = planned
        n = len(planned.shapes)
        self._partial: Path | None = None
        if planned.where == "ram":
            self.pixels: NDArray[np.uint8] = np.empty(planned.bytes, np.uint8)
            self.there = np.zeros(n, bool)
            return
        file = _file(planned)
        if file.exists() and file.stat().st_size == planned.bytes:
            os.utime(file)  # what is used stays longest
            self.pixels, self.there = np.memmap(file, np.uint8, "r"), np.ones(n, bool)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # Windows removes no file that another run has mapped
            remove_leftovers(file.parent)
        self._partial = beside(file)
        _allocate(self._partial, planned.bytes)
        self._remove = weakref.finalize(self, _unlink, self._partial)
        self.pixels, self.there = np.memmap(self._partial, np.uint8, "r+"), np.zeros(n, bool)

    def get(self, number: int) -> NDArray[np.uint8] | None:
        """A picture `(h, w)` or `(h, w, 3)`; None if it has not been put yet."""
        return self._place(number) if self.there[number] else None

    def put(self, number: int, picture: NDArray[np.uint8]) -> None:
        """Keep a picture, of the shape that was planned."""
        place = self._place(number)
        place[...] = picture.reshape(place.shape)
        self.there[number] = True

    def _place(self, number: int) -> NDArray[np.uint8]:
        height, width, channels = self._planned.shapes[number].tolist()
        start, end = self._planned.starts[number : number + 2].tolist()
        return self.pixels[start:end].reshape((height, width) if channels == 1 else (height, width, channels))

    def publish(self) -> None:
        """Give the file its name, once all pictures are there; before that, and for memory, nothing happens."""
        if self._partial is None or not self.there.all():
            return
        assert isinstance(self.pixels, np.memmap)
        self.pixels.flush()
        with self._partial.open("rb+") as file:
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # Windows renames no file that is mapped: it serves this run only
            self._partial.replace(_file(self._planned))
            self._remove.detach()
            self._partial = None


def _file(planned: Plan) -> Path:
    return cache_root() / PICTURES / f"{planned.key}.bin"


def _allocate(file: Path, size: int) -> None:
    """A file of so many bytes that the disk really has: else a full one would kill whoever writes into the map."""
    try:
        with file.open("wb") as out:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(out.fileno(), 0, size)
                return
            zeros = bytes(2**20)
            for start in range(0, size, len(zeros)):
                out.write(zeros[: size - start])
    except OSError as error:
        file.unlink(missing_ok=True)
        free = shutil.disk_usage(file.parent).free
        raise OptionError(
            f"decoded images need {size / 2**30:.1f} GiB on the disk, which has {free / 2**30:.1f}: {error.strerror}; "
            "use --cache off"
        ) from None


def _unlink(file: Path) -> None:
    with contextlib.suppress(OSError):  # the next run removes it where this one has it mapped still
        file.unlink(missing_ok=True)


def _memory() -> float:
    """Bytes of this machine's memory; without end where nobody says."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")
