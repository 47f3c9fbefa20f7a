"""Ranks that torchrun starts, and starts again."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

SCRIPT = Path(__file__).with_name("rank_of_xo.py")


def torchrun(ranks: int, *command: str, restarts: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command on some ranks."""
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        f"--nproc-per-node={ranks}",
        f"--max-restarts={restarts}",
    ]
    return subprocess.run(
        [*launcher, "--monitor-interval=0.1", *command],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rank_of_xo", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(folder: Path) -> list[dict[str, str]]:
    """The metrics of each epoch, to the last digit, without the speed."""
    with (folder / "metrics.csv").open() as file:
        return [
            {name: value for name, value in row.items() if "per_second" not in name} for row in csv.DictReader(file)
        ]


def sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_two_ranks_one_of_them_killed_make_the_model_of_one_process(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    ended = torchrun(2, str(SCRIPT), str(two), "kill", restarts=1)
    assert ended.returncode == 0, ended.stderr
    script().main(one)
    assert sha256(two) == sha256(one)
    assert rows(two) == rows(one)
