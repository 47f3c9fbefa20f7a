"""Ray as the launcher: what it needs, what a rank leaves, and a run on a cluster of two nodes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hubel.core.errors import OptionError
from hubel.training.processes import on_ray
from hubel.training.processes.launch import is_launched
from hubel.training.processes.on_ray import Ended
from hubel.training.recipe import MachineSettings

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "processes_ray.py"


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OptionError, match=r'--launcher ray needs Ray Train: pip install "hubel\[ray\]"'):
        on_ray.check_ray()


@pytest.mark.parametrize("processes", ["none", "auto"])
def test_ray_is_told_how_many(processes: str) -> None:
    with pytest.raises(OptionError, match=f"--processes 4, not {processes}"):
        is_launched(MachineSettings(launcher="ray", processes=processes))


def test_one_process_is_launched_where_ray_is_asked_for() -> None:
    assert is_launched(MachineSettings(launcher="ray", processes="1"))
    assert not is_launched(MachineSettings(processes="1"))


@pytest.mark.parametrize(("code", "lost"), [(0, False), (2, False), (130, False), (75, True), (-9, True)])
def test_a_rank_leaves_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, lost: bool) -> None:
    def run(command: list[str], **given: object) -> subprocess.CompletedProcess[bytes]:
        assert command[1:] == ["-m", "hubel.training.processes.worker"]
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("RANK", "3")
    config = {"job": str(tmp_path), "folder": str(tmp_path)}
    if lost:
        with pytest.raises(RuntimeError, match="rank 3"):
            on_ray._run_rank(config)
    else:
        on_ray._run_rank(config)
    assert on_ray._ended(tmp_path) == (Ended(3, code) if code else None)
    if code:
        monkeypatch.setenv("RANK", "1")
        if lost:
            with pytest.raises(RuntimeError):
                on_ray._run_rank(config)
        assert on_ray._ended(tmp_path) == Ended(3, code), "the first one stays"


def test_what_ranks_print_is_printed_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "output.txt"
    file.write_text("of an earlier start\n")
    with on_ray._following(file), file.open("a") as written:
        written.write("epoch 1\n")
    assert capsys.readouterr().err == "epoch 1\n"


@pytest.mark.slow
def test_a_killed_rank_on_two_nodes() -> None:
    pytest.importorskip("ray.train.torch", exc_type=ImportError)
    ended = subprocess.run([sys.executable, str(BENCHMARK)], capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "killed; the next checkpoint" in ended.stdout
