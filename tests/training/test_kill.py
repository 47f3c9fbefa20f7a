"""Runs that are killed, and runs that are asked to stop.

The benchmark forks, which needs a process without threads: so it runs as a program of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubel.cli import main

pytestmark = [
    pytest.mark.usefixtures("cache"),
    pytest.mark.skipif(os.name != "posix", reason="signals and forks are those of POSIX"),
]
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LONG = [
    *("--options.filters=4,8", "--options.repeat=1", "--epochs=5000", "--batch-size=128"),
    *("--threads=1", "--loading-threads=0", "--checkpoint-minutes=1000"),
]


def campaign(name: str, **numbers: int) -> dict[str, int]:
    """The numbers of a campaign's table."""
    flags = (word for name, number in numbers.items() for word in (f"--{name.replace('_', '-')}", str(number)))
    command = [sys.executable, str(BENCHMARKS / "kill.py"), name, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = (line.rsplit(maxsplit=1) for line in done.stdout.splitlines())
    return {name.strip(): int(number) for name, number in rows}


def check(table: dict[str, int], kills: int, in_save: int) -> None:
    assert table["kills"] >= kills
    assert table["of which inside a save"] >= in_save
    assert table["that failed"] == 0
    assert table["runs completed"] == table["of which byte-identical"] > 0


@pytest.mark.slow
def test_a_few_kills() -> None:
    check(campaign("resume", kills=1, in_save=1), 1, 1)


@pytest.mark.slow
def test_many_kills() -> None:
    check(campaign("resume", kills=200, in_save=50), 200, 50)


@pytest.mark.slow
def test_many_kills_and_pairs_in_transfer_training() -> None:
    table = campaign("transfer", kills=100, pairs=20)
    assert (table["kills"], table["pairs"]) == (100, 20)
    assert table["identical"] == table["runs completed"] > 40
    assert (table["leftovers"], table["tracebacks"]) == (0, 0)


@pytest.mark.slow
def test_two_processes_on_one_run(tmp_path: Path) -> None:
    with training(tmp_path / "run") as process:
        command = [sys.executable, "-m", "hubel", "train", "--resume", "--out", str(tmp_path / "run")]
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert process.poll() is None
    assert second.returncode == 2
    assert second.stderr == f"hubel: {tmp_path / 'run'}: another process is training into this folder\n"


@contextlib.contextmanager
def training(out: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that would take minutes, once its first epoch is done."""
    command = [sys.executable, "-m", "hubel", "train", "xo", *LONG, "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("epoch"):
                    break
            yield process
        finally:
            process.kill()


# The rest of SIGINT is in the next test and in tests/core/test_stopping.py; a process costs seconds of imports.
@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(getattr(signal, "SIGHUP", signal.SIGTERM), marks=pytest.mark.slow),
    ],
)
def test_stops_in_good_order(number: signal.Signals, tmp_path: Path) -> None:
    with training(tmp_path / "run") as process:
        started = time.monotonic()
        process.send_signal(number)
        _, told = process.communicate(timeout=20)
        assert time.monotonic() - started < 20
    assert process.returncode == 128 + number
    assert "stopped; all progress is saved" in told
    assert "Traceback" not in told
    assert (tmp_path / "run" / "last" / "pointer").is_file()
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not list((tmp_path / "run").rglob("*.tmp"))


def test_a_second_ctrl_c_at_once(tmp_path: Path) -> None:
    with training(tmp_path / "run") as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.0005)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in told


def test_a_command_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["train", "--resume", "--out", str(tmp_path / "nothing")])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "is not the folder of a run" in error
