"""The allocator of a process that serves strangers."""

from __future__ import annotations

import contextlib
import ctypes
import sys

__all__ = ["give_back"]

_LARGE = 8 * 2**20  # bytes; Pillow's blocks of large images have just below 16 MiB
# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8


def give_back() -> None:
    """Give large blocks back to the system as soon as they are free.

    `hubel.core.process.tune` keeps them, each thread for itself, which is quicker while everything has the same size:
    here a single large photo would take its memory for ever. Only for the command line, as `tune` is.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
            libc = ctypes.CDLL(None)
            libc.mallopt(_M_ARENA_MAX, 1)
            libc.mallopt(_M_MMAP_MAX, 2**16)
            libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
            libc.mallopt(_M_TRIM_THRESHOLD, 4 * _LARGE)
