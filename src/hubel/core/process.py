"""Process settings: memory allocator, spinning of threads, and the end.

They must be made before torch is imported, and only by the command line: a library does not change the process of the
program that imports it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import os
import sys

__all__ = ["give_back", "open_missing_streams", "tune_process"]

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8
_LARGE = 8 * 2**20  # bytes; Pillow's blocks of large images have just below 16 MiB


def open_missing_streams() -> None:
    """Open the null device for each standard stream that is closed, or that is a file of another use.

    Otherwise the next file that is opened gets its number, and with it what C libraries print to that stream. It has
    happened where a shell script calls hubel: the shell's own file, opened to be read, is its standard error then.
    """
    for number in range(3):
        try:
            if number:
                os.write(number, b"")
            else:
                os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:  # it is open; where it is closed, the lowest free number is this one
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def tune_process() -> None:
    """Keep freed memory in the process, let idle threads sleep soon, and end without a last look at every object.

    Activations of a training step are tens of MiB that are freed and allocated again. glibc returns such blocks to the
    kernel at once, which costs page faults on the next use. Measured in `benchmarks/LOG.md`.

    Python looks for cycles among all objects when it ends: of torch and what comes with it 0.3 to 1.5 s, after the
    result is there.
    """
    atexit.register(gc.freeze)
    # matplotlib ends with a ValueError at a value that it does not know. hubel opens no window and dates no figure.
    for name in ("MPLBACKEND", "SOURCE_DATE_EPOCH"):
        os.environ.pop(name, None)
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # Waiting threads poll this often before they sleep. libgomp's default of minutes makes two threads slower than one
    # when another program uses a core.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    _allocate({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1})


def give_back() -> None:
    """Return large blocks to the system as soon as they are freed: for a server.

    `tune` keeps them in each thread, which is faster while all blocks have the same size; in a server a single large
    image would occupy its memory forever.
    """
    _allocate({_M_ARENA_MAX: 1, _M_MMAP_MAX: 2**16, _M_MMAP_THRESHOLD: _LARGE, _M_TRIM_THRESHOLD: 4 * _LARGE})


def _allocate(settings: dict[int, int]) -> None:
    """Set options of glibc's allocator; do nothing on other systems."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc: nothing to tune
            libc = ctypes.CDLL(None)
            for setting, value in settings.items():
                libc.mallopt(setting, value)
