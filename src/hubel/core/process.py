"""Settings of the process itself: the allocator, the waiting of threads.

These must be made before torch is imported, and only by the command line: a library does not change the process of
the program that imports it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

__all__ = ["give_back", "tune"]

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8
_LARGE = 8 * 2**20  # bytes; Pillow's blocks of large images have just below 16 MiB


def tune() -> None:
    """Keep freed memory inside the process instead of handing it back after every layer; wait for a short time only.

    Activations of a training step are tens of MiB that are freed and asked for again. glibc gives such blocks back to
    the kernel at once, and each return costs page faults on the next use. Measured in `benchmarks/LOG.md`.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # Threads that wait for each other look for work this often before they sleep. libgomp's default of minutes is what
    # makes two threads slower than one when another program takes a core.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    _allocate({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1})


def give_back() -> None:
    """Give large blocks back to the system as soon as they are free: for a process that serves strangers.

    `tune` keeps them, each thread for itself, which is quicker while everything has the same size: here a single large
    photo would take its memory for ever.
    """
    _allocate({_M_ARENA_MAX: 1, _M_MMAP_MAX: 2**16, _M_MMAP_THRESHOLD: _LARGE, _M_TRIM_THRESHOLD: 4 * _LARGE})


def _allocate(settings: dict[int, int]) -> None:
    """Set up the allocator, where it can be."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc: nothing to tune
            libc = ctypes.CDLL(None)
            for setting, value in settings.items():
                libc.mallopt(setting, value)
