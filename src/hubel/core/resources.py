"""Limits of the resources that this process may use: processor cores, and what a container grants of them."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

__all__ = ["usable_cores"]

_CGROUP = Path("/sys/fs/cgroup")  # inside a container, the limits of the container itself


def usable_cores() -> int:
    """Return the number of processor cores that this process may use, at least 1.

    These are the cores that it may be scheduled on, or fewer where its container has a quota of processor time:
    threads beyond the quota would only be halted by the kernel, and others wait for them.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = _cpu_quota()
    return cores if quota is None else max(1, min(cores, round(quota)))


def _cpu_quota() -> float | None:
    """Return the cores' worth of processor time that the container grants (cgroup v2 or v1); None without a limit."""
    with contextlib.suppress(OSError, ValueError):  # v2: "max 100000" without a limit
        quota, period = (_CGROUP / "cpu.max").read_text(encoding="ascii").split()
        return int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):  # v1: -1 without a limit
        quota_us = int((_CGROUP / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period_us = int((_CGROUP / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii"))
        return quota_us / period_us if quota_us > 0 else None
    return None
