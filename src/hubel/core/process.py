"""Settings of the process itself: the allocator, the waiting of threads, how many there are.

These must be made before torch is imported, and only by the command line: a library does not change the process of
the program that imports it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

__all__ = ["tune", "usable_cores"]

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def tune() -> None:
    """Keep freed memory inside the process instead of handing it back after every layer; wait for a short time only.

    Activations of a training step are tens of MiB that are freed and asked for again. glibc gives such blocks back to
    the kernel at once, and each return costs page faults on the next use. Measured in `benchmarks/LOG.md`.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # Threads that wait for each other look for work this often before they sleep. libgomp's default of minutes is what
    # makes two threads slower than one when another program takes a core.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc: nothing to tune
            libc = ctypes.CDLL(None)
            libc.mallopt(_M_MMAP_MAX, 0)
            libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def usable_cores() -> int:
    """The number of processor cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
