"""What the system tells of itself and of this process, as far as it does. Reading this imports no torch."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import sys
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["Used", "others_share", "peak_memory_mib", "processor", "used"]


def processor() -> str:
    """Its name, as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine() or "an unknown processor"


def peak_memory_mib() -> float | None:
    """The most memory that this process has held at once (resident), in MiB; None where the system does not say."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        # Of this program alone; what getrusage says on Linux includes the program that started it, before it was this.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    with contextlib.suppress(ImportError, OSError):  # Windows has no such module
        resource = importlib.import_module("resource")
        peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
    return None


class Used(NamedTuple):
    """Seconds until now: of the clock, of all cores together while they were busy, and of those that were ours."""

    clock: float
    busy: float
    own: float
    cores: int


def used() -> Used | None:
    """What has been used until now; None where the system does not say."""
    with contextlib.suppress(OSError, ValueError):
        lines = [line.split() for line in Path("/proc/stat").read_text(encoding="ascii").splitlines()]
        (times,) = ([int(number) for number in words[1:9]] for words in lines if words[0] == "cpu")
        idle = times[3] + times[4]  # also while waiting for a disk
        cores = sum(words[0].startswith("cpu") for words in lines) - 1
        return Used(time.perf_counter(), (sum(times) - idle) / os.sysconf("SC_CLK_TCK"), time.process_time(), cores)
    return None


def others_share(before: Used | None, after: Used | None) -> float | None:
    """How much of all cores other programs used in between, 0 to 1.

    >>> others_share(Used(0, 0, 0, 2), Used(10, 12, 7, 2))
    0.25
    """
    if before is None or after is None:
        return None
    others = (after.busy - before.busy) - (after.own - before.own)
    return min(1.0, max(0.0, others / (after.cores * (after.clock - before.clock))))
