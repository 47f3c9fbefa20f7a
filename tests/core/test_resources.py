"""Memory and cores that a process may use, with and without limits of a container."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hubel.core import resources
from hubel.core.resources import available_memory, cgroup_memory_limits, usable_cores


def cgroups(root: Path, membership: str, limits: dict[str, str]) -> list[int]:
    """Return the limits that are found in files of these contents."""
    for name, text in limits.items():
        (root / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "fs" / name).write_text(text)
    (root / "self").write_text(membership)
    return sorted(cgroup_memory_limits(root / "fs", root / "self"))


def test_version_2_counts_the_groups_above(tmp_path: Path) -> None:
    limits = {"memory.max": "max\n", "a/memory.max": "5000\n", "a/b/memory.max": "9000\n", "other/memory.max": "1\n"}
    assert cgroups(tmp_path, "0::/a/b\n", limits) == [5000, 9000]


def test_version_1_counts_the_memory_controller_only(tmp_path: Path) -> None:
    limits = {
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/job/memory.limit_in_bytes": "7000\n",
        "memory/cpu/memory.limit_in_bytes": "1\n",
        "job/memory.max": "2\n",
    }
    found = cgroups(tmp_path, "9:cpu,cpuacct:/cpu\n8:memory:/job\n", limits)
    assert found == [7000, 9223372036854771712]


def test_a_container_finds_its_limit_at_the_mount(tmp_path: Path) -> None:
    assert cgroups(tmp_path, "0::/../../outside\n", {"memory.max": "4096"}) == [4096]
    (tmp_path / "self").unlink()
    assert cgroup_memory_limits(tmp_path / "fs", tmp_path / "self") == [4096]


@pytest.mark.parametrize("membership", ["", "nonsense\n", "0::\n", "\udcff"])
def test_no_groups_are_no_limits(membership: str, tmp_path: Path) -> None:
    (tmp_path / "self").write_bytes(membership.encode("utf-8", "surrogateescape"))
    assert cgroup_memory_limits(tmp_path / "fs", tmp_path / "self") == []


def test_the_smallest_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "cgroup_memory_limits", list)
    whole = available_memory()
    assert 2**28 < whole < 2**46
    monkeypatch.setattr(resources, "cgroup_memory_limits", lambda: [2**20, 2**63])
    assert available_memory() == 2**20


def test_a_system_that_states_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "cgroup_memory_limits", list)
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert available_memory() == 8 * 2**30


def test_usable_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "300000 100000\n"}, 3),
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu.max": "nonsense"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "50000\n"}, 4),
        ({}, 8),
    ],
)
def test_the_quota_of_a_container(
    files: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="ascii")
    monkeypatch.setattr(resources, "_CGROUP", tmp_path)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert usable_cores() == cores
