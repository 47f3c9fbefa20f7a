"""Resources that this process may use, including the limits of its container."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

__all__ = ["available_memory", "cgroup_memory_limits", "usable_cores"]

_CGROUP = Path("/sys/fs/cgroup")  # inside a container, the limits of the container itself

_UNKNOWN = 8 * 2**30  # bytes; assumed where the system states none


def available_memory() -> int:
    """Return the bytes of memory that this process may use: those of the machine, or fewer where a cgroup limits them.

    It is the size of the memory, not what is free at the moment; 8 GiB where the system states none.
    """
    known = cgroup_memory_limits()
    with contextlib.suppress(AttributeError, OSError, ValueError):  # Windows has no sysconf
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min((size for size in known if size > 0), default=_UNKNOWN)


def cgroup_memory_limits(
    mount: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """Return the memory limits in bytes of the control groups of this process; empty where there are none.

    Source: Linux kernel documentation, "Control Group v2" (`memory.max`) and "Memory Resource Controller" of version 1
    (`memory.limit_in_bytes`). A group is also bound by the limits of the groups above it.

    Args:
        mount: where the hierarchies are mounted.
        membership: the file that names the groups of this process, `HIERARCHY:CONTROLLERS:PATH` a line.
    """
    # A container without a view of its host's groups finds its own limit at the mount itself.
    files = [mount / "memory.max", mount / "memory" / "memory.limit_in_bytes"]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in membership.read_text(encoding="utf-8").splitlines():
            _, _, rest = line.partition(":")
            controllers, _, group = rest.partition(":")
            path = Path(group.lstrip("/"))
            if ".." in path.parts:  # a group outside of the namespace
                continue
            if not controllers:
                files += [mount / above / "memory.max" for above in (path, *path.parents)]
            elif "memory" in controllers.split(","):
                files += [mount / "memory" / above / "memory.limit_in_bytes" for above in (path, *path.parents)]
    limits = []
    for file in dict.fromkeys(files):
        with contextlib.suppress(OSError, ValueError):  # "max" where a group has no limit
            limits.append(int(file.read_text(encoding="ascii")))
    return limits


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
