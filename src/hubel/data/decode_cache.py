"""The cache of decoded images, filled in the first epoch: in memory, or in one memory-mapped file.

Decoding an image again in each epoch costs more than all later steps together. The shape of every image follows from
the index, so the offset of each is known before the first one is decoded. A file is written under a temporary name and
renamed when it is complete; until then no other run sees it. It ends with the SHA-256 of its pixels, by which the next
run verifies it.
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

from hubel.core.cache import LIMIT_VARIABLE, cache_folder, cache_limit, make_room
from hubel.core.errors import OptionError
from hubel.core.files import fsync_folder, unfinished
from hubel.core.group import current_group
from hubel.core.progress import say
from hubel.core.resources import available_memory

__all__ = ["DECODED", "CacheLayout", "CacheMode", "DecodeCache", "plan_cache", "reduce_image", "reduced_sizes"]

CacheMode = Literal["auto", "off", "ram", "disk"]

DECODED = "decoded"  # the folder within hubel's cache
_VERSION = 2  # of what a file's bytes mean
_RAM_BYTES = 2 * 2**30  # at most, and at most this share of the memory:
_RAM_SHARE = 0.25
_ANNOUNCED = 2**26  # bytes
_SEAL_BYTES = 32  # of the SHA-256 behind the pixels
_LARGEST_SCALE = 0.75  # of an image's sides; shrinking it by less saves little, and blurs it


def reduced_sizes(
    width: NDArray[np.integer], height: NDArray[np.integer], cover: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the widths and heights at which images of these sizes are cached.

    They are the smallest that still cover `cover`, a width and a height, or those of the whole image.

    >>> [size.tolist() for size in reduced_sizes(np.array([3000, 500]), np.array([2000, 375]), (379, 379))]
    [[569, 500], [379, 375]]
    """
    width, height = width.astype(np.int64), height.astype(np.int64)
    scale = np.maximum(cover[0] / width, cover[1] / height)
    scale = np.where(scale <= _LARGEST_SCALE, scale, 1.0)
    return np.ceil(width * scale - 1e-6).astype(np.int64), np.ceil(height * scale - 1e-6).astype(np.int64)


def reduce_image(pixels: NDArray[np.uint8], full: tuple[int, int], cover: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an image at the size at which it is cached, each pixel the mean of the area that it covers.

    Args:
        pixels: `(h, w)` or `(h, w, 3)`, perhaps decoded at a reduced scale.
        full: width and height of the whole image.
        cover: see `reduced_sizes`.
    """
    across, down = (int(size) for size in reduced_sizes(np.array(full[0]), np.array(full[1]), cover))
    if pixels.shape[:2] == (down, across):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((across, down), Image.Resampling.BOX))


@dataclass(frozen=True)
class CacheLayout:
    """The layout of a decode cache.

    Attributes:
        shapes: height, width and channels of each image, int32 `(n, 3)`.
        key: hash of everything that the cached bytes depend on.
        medium: "ram" or "disk".
    """

    shapes: NDArray[np.int32]
    key: str
    medium: Literal["ram", "disk"]

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Return the offset in bytes of each image, and of the end of the last one, `(n + 1,)`."""
        return np.concatenate([[0], np.cumsum(self.shapes.prod(1, dtype=np.int64))])

    @property
    def bytes(self) -> int:
        """Return the size of all images together."""
        return int(self.offsets[-1])


def plan_cache(
    shapes: NDArray[np.int32], digests: NDArray[np.void], mode: CacheMode, *, variant: str = ""
) -> CacheLayout | None:
    """Return the layout of the cache, or None where nothing is cached; announce a large one.

    "auto" uses memory for up to 2 GiB or a quarter of what is available, then the disk within the limit of hubel's
    cache. Several processes on one machine share that memory, and leave the disk to what is complete there.

    Args:
        shapes: height, width and channels of each image, `(n, 3)`.
        digests: of the encoded images, `(n,)`.
        mode: one of `CacheMode`.
        variant: how the cached pixels are computed from the images; each variant has a file of its own.

    Raises:
        OptionError: the mode is unknown, or "disk" without room for it.
    """
    if mode not in get_args(CacheMode):
        raise OptionError(f"the cache of decoded images is one of {', '.join(get_args(CacheMode))}, not {mode!r}")
    if mode == "off" or not len(shapes):
        return None
    hashed = hashlib.blake2b(f"{_VERSION} {variant}".encode(), digest_size=16)
    for array in (shapes, digests):
        hashed.update(np.ascontiguousarray(array).tobytes())
    layout = CacheLayout(shapes, hashed.hexdigest(), "ram")
    group = current_group()
    room = min(_RAM_BYTES, _RAM_SHARE * available_memory() / group.local_world)
    if mode == "ram" or (mode == "auto" and layout.bytes <= room):
        return _announced(layout, "memory")
    layout = CacheLayout(shapes, layout.key, "disk")
    # A file of each rank would have its share of the images only, and never be complete.
    own = mode == "disk" or group.world == 1
    if _file(layout).exists() or (own and make_room(DECODED, "*.bin", layout.bytes)):
        return _announced(layout, "the cache on the disk; `hubel cache` clears it")
    size, most = (f"{number / 2**30:.1f} GiB" for number in (layout.bytes, cache_limit(DECODED)))
    if mode == "disk":
        raise OptionError(f"decoded, the images take {size}; the cache may take {most}: set {LIMIT_VARIABLE} to more")
    say(f"decoded, the images would take {size}, more than there is room for: each epoch decodes them again")
    return None


def _announced(layout: CacheLayout, medium: str) -> CacheLayout:
    if layout.bytes >= _ANNOUNCED:
        say(f"caching {len(layout.shapes):,} decoded images, {layout.bytes / 2**20:,.0f} MiB, in {medium}")
    return layout


class DecodeCache:
    """Decoded images by their numbers. Threads may put and get at the same time if each image is put by one of them.

    Args:
        layout: shapes and medium.

    Attributes:
        pixels: the bytes of all images, `(layout.bytes,)`.
        filled: whether each image has been put, bool `(n,)`.
    """

    def __init__(self, layout: CacheLayout) -> None:
        self._layout = layout
        n = len(layout.shapes)
        self._partial: Path | None = None
        size = layout.bytes
        if layout.medium == "ram":
            self.pixels: NDArray[np.uint8] = np.empty(size, np.uint8)
            self.filled = np.zeros(n, bool)
            return
        if (pixels := _verified(layout)) is not None:
            self.pixels, self.filled = pixels, np.ones(n, bool)
            return
        making = contextlib.ExitStack()
        self._partial = making.enter_context(unfinished(_file(layout)))
        self._close = weakref.finalize(self, making.close)
        _allocate(self._partial, size + _SEAL_BYTES)
        self.pixels, self.filled = np.memmap(self._partial, np.uint8, "r+", shape=size), np.zeros(n, bool)

    def get(self, number: int) -> NDArray[np.uint8] | None:
        """Return an image `(h, w)` or `(h, w, 3)`, or None if it has not been put yet."""
        return self._view(number) if self.filled[number] else None

    def put(self, number: int, pixels: NDArray[np.uint8]) -> None:
        """Store an image of the planned shape."""
        view = self._view(number)
        view[...] = pixels.reshape(view.shape)
        self.filled[number] = True

    def _view(self, number: int) -> NDArray[np.uint8]:
        height, width, channels = self._layout.shapes[number].tolist()
        start, end = self._layout.offsets[number : number + 2].tolist()
        return self.pixels[start:end].reshape((height, width) if channels == 1 else (height, width, channels))

    def publish(self) -> None:
        """Rename the file to its final name once all images are in it; do nothing before that, or in memory."""
        if self._partial is None or not self.filled.all():
            return
        assert isinstance(self.pixels, np.memmap)
        self.pixels.flush()
        with self._partial.open("rb+") as file:
            file.seek(self._layout.bytes)
            file.write(_seal(self.pixels))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # Windows renames no file that is mapped: it serves this run only
            self._partial.replace(_file(self._layout))
            self._partial = None
            self._close()
            fsync_folder(_file(self._layout).parent)


def _file(layout: CacheLayout) -> Path:
    return cache_folder(DECODED) / f"{layout.key}.bin"


def _verified(layout: CacheLayout) -> NDArray[np.uint8] | None:
    """Return the pixels that an earlier run has cached; None where there are none. A damaged file is removed."""
    file = _file(layout)
    with contextlib.suppress(FileNotFoundError):
        if file.stat().st_size == layout.bytes + _SEAL_BYTES:
            os.utime(file)  # the file that was not used for longest is removed first
            whole = np.memmap(file, np.uint8, "r")
            pixels, seal = whole[: layout.bytes], whole[layout.bytes :]
            if _seal(pixels) == seal.tobytes():
                return pixels
            del whole, pixels, seal  # Windows removes no file that is mapped
        with contextlib.suppress(OSError):
            file.unlink()
    return None


def _seal(pixels: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(pixels.data).digest()


def _allocate(file: Path, size: int) -> None:
    """Create a file with all blocks allocated: writing into a map of a sparse file kills the process on a full disk."""
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
