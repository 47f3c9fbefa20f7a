"""The processor, its load, and the memory of this process, as far as the system states them; needs no torch."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import sys
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["ProcessorUsage", "others_share", "peak_memory_mib", "processor_name", "processor_usage"]


def processor_name() -> str:
    """Return the name of the processor as the system states it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine() or "an unknown processor"


def peak_memory_mib() -> float | None:
    """Return the peak resident memory of this process in MiB; None where the system does not state it."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        # Of this program alone; getrusage on Linux includes the program that started it, from before the exec.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    with contextlib.suppress(ImportError, OSError):  # Windows has no such module
        resource = importlib.import_module("resource")
        peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
    return None


class ProcessorUsage(NamedTuple):
    """Processor time used until now.

    Attributes:
        clock: time of a monotonic clock, in seconds.
        busy: time of all cores of the machine while busy, added up, in seconds.
        own: processor time of this process, in seconds.
        cores: number of cores that `busy` is added up over: all of the machine, not only those usable here.
    """

    clock: float
    busy: float
    own: float
    cores: int


def processor_usage() -> ProcessorUsage | None:
    """Read the processor time used until now; None where the system does not state it."""
    with contextlib.suppress(OSError, ValueError):
        lines = [line.split() for line in Path("/proc/stat").read_text(encoding="ascii").splitlines()]
        (times,) = ([int(number) for number in words[1:9]] for words in lines if words[0] == "cpu")
        idle = times[3] + times[4]  # idle, and waiting for a disk
        cores = sum(words[0].startswith("cpu") for words in lines) - 1
        return ProcessorUsage(
            time.perf_counter(), (sum(times) - idle) / os.sysconf("SC_CLK_TCK"), time.process_time(), cores
        )
    return None


def others_share(before: ProcessorUsage | None, after: ProcessorUsage | None) -> float | None:
    """Compute the share of all cores that other programs used between two readings, 0 to 1.

    >>> others_share(ProcessorUsage(0, 0, 0, 2), ProcessorUsage(10, 12, 7, 2))
    0.25
    """
    if before is None or after is None:
        return None
    others = (after.busy - before.busy) - (after.own - before.own)
    return min(1.0, max(0.0, others / (after.cores * (after.clock - before.clock))))
