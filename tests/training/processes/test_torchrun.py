"""Ranks that torchrun starts, and starts again."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

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


SETTINGS = ("--model", "convnet", "--epochs", "1", "--threads", "1", "--xo.size", "9", "--xo.count", "60")
# Each rank runs hubel; rank 1 does first what is said.
HUBEL = """
import os, sys
if os.environ["RANK"] == "1":
    {first}
from hubel.cli import main
main()
"""


def complaints(error: str) -> list[str]:
    return [line for line in error.splitlines() if line.startswith("hubel: ")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "data", "flags", "told"),
    [
        ("pass", "xo", ["--shards", "1"], "2 processes, but a batch of"),
        ("os.chdir('elsewhere')", "photos", [], "photos"),
        ("os.chdir('other')", "photos", [], "rank 1 sees 3 images, rank 0 4"),
        ("import hubel.training.processes.join as j; j.__version__ = '0.0.1'", "xo", [], "rank 1 .* has hubel 0.0.1"),
        ("del os.environ['MASTER_PORT']", "xo", ["--timeout", "10"], "MASTER_PORT is not set"),
    ],
)
def test_a_mistake_is_one_line_and_the_end_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, data: str, flags: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, folder in ((2, tmp_path), (1, tmp_path / "other")):
        for name in ("a", "b"):
            (folder / "photos" / name).mkdir(parents=True)
            for i in range(number if name == "b" else 2):
                Image.new("L", (8, 8), i).save(folder / "photos" / name / f"{i}.png")
    (tmp_path / "elsewhere").mkdir()
    Path("ranks.py").write_text(HUBEL.format(first=first))
    xo = SETTINGS if data == "xo" else SETTINGS[:6]
    ended = torchrun(2, "ranks.py", "train", data, *xo, *flags, "--out", str(tmp_path / "run"))
    assert ended.returncode == 1, "torchrun's own code"
    assert "exitcode  : 2" in ended.stderr
    lines = complaints(ended.stderr)
    assert any(re.search(told, line) for line in lines), ended.stderr
    assert len(lines) == 1, ended.stderr


def train(out: Path, processes: int, shards: int, *settings: str) -> subprocess.CompletedProcess[str]:
    own = ["--processes", str(processes), "--shards", str(shards), "--out", str(out)]
    command = [sys.executable, "-m", "hubel", "train", *settings, *own]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


@pytest.mark.slow
def test_measurements_of_1003_images_of_which_one_is_alone_in_its_class(tmp_path: Path) -> None:
    """Seven classes, no number of which divides another: 1 + 7 + 61 + 149 + 211 + 257 + 317."""
    numbers = np.random.default_rng(0)
    for name, count in zip("abcdefg", (1, 7, 61, 149, 211, 257, 317), strict=True):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(count):
            level = 30 * "abcdefg".index(name)
            pixels = numbers.integers(level, level + 60, (8, 8), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    settings = [str(tmp_path / "photos"), "--model", "convnet", "--epochs", "2", "--batch-size", "29", "--threads", "1"]
    for processes in (1, 3):
        ended = train(tmp_path / f"run{processes}", processes, 4, *settings, "--checkpoint-minutes", "9")
        assert ended.returncode == 0, ended.stderr
    one, three = tmp_path / "run1", tmp_path / "run3"
    assert sha256(one) == sha256(three)
    assert rows(one) == rows(three)
    for file in ("metrics.json", "predictions.csv", "per_class.csv"):
        assert (one / file).read_bytes() == (three / file).read_bytes(), file


@pytest.mark.slow
def test_hubel_starts_ranks_itself(tmp_path: Path) -> None:
    wrong = train(tmp_path / "wrong", 2, 1, "xo", *SETTINGS)
    assert wrong.returncode == 2
    assert len(wrong.stderr.splitlines()) == 1
    assert wrong.stderr.startswith("hubel: 2 processes, but a batch of")
    right = train(tmp_path / "run", 2, 2, "xo", *SETTINGS)
    assert right.returncode == 0, right.stderr
    assert "2 processes, 1 thread each; exact reduction" in right.stderr
    assert "top-1 accuracy (test)" in right.stdout
    assert train(tmp_path / "alone", 1, 2, "xo", *SETTINGS).returncode == 0
    assert sha256(tmp_path / "run") == sha256(tmp_path / "alone")
    assert rows(tmp_path / "run") == rows(tmp_path / "alone")
    measured = [json.loads((tmp_path / run / "metrics.json").read_text()) for run in ("run", "alone")]
    assert measured[0] == measured[1]
