"""`hubel predict` into files and in parts; what it prints is tested with the other verbs."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

Call = Callable[..., Any]


def test_files_hold_what_is_printed(hubel: Call, model: Path, photos: Path, here: Path) -> None:
    printed = hubel("predict", model, photos, "--jsonl")
    for suffix in ("jsonl", "csv", "parquet"):
        answer = hubel("predict", model, photos, "-o", f"answers.{suffix}")
        assert (answer.code, answer.out) == (0, "")
        assert answer.err.startswith("30 images, 0 unreadable, ")
        assert answer.err.endswith(f" images/s: answers.{suffix}\n")
    assert (here / "answers.jsonl").read_text() == printed.out
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert parquet.read_table("answers.parquet").to_pylist() == rows
    assert (here / "answers.csv").read_text() == hubel("predict", model, photos, "--csv").out
    assert not list(here.glob("*.partial"))


def test_bad_files_and_a_second_call(hubel: Call, model: Path, photos: Path) -> None:
    (photos / "red" / "0.png").write_bytes(b"no picture")
    answer = hubel("predict", model, photos, "--output", "new/answers.csv", "--top", 9)
    assert answer.code == 3
    assert answer.err.startswith("30 images, 1 unreadable, ")
    with Path("new/answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "class", "score", "class2", "score2", "class3", "score3", "error"]
    (bad,) = [row for row in rows if row["error"]]
    assert (Path(bad["path"]).name, bad["class"]) == ("0.png", "")

    again = hubel("predict", model, photos, "-o", "new/answers.csv")
    assert again.code == 2
    assert "answers.csv is there already; " in again.err
    assert "--resume" in again.err
    done = hubel("predict", model, photos, "-o", "new/answers.csv", "--resume")
    assert (done.code, done.err) == (0, "new/answers.csv is finished already\n")


def test_damaged_photos_are_predicted_with_a_mark(hubel: Call, model: Path, here: Path) -> None:
    pytest.importorskip("simplejpeg")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save("whole.jpg")
    data = Path("whole.jpg").read_bytes()
    Path("half.jpg").write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    answer = hubel("predict", model, "half.jpg", "whole.jpg", "--jsonl")
    half, whole = map(json.loads, answer.out.splitlines())
    assert (answer.code, whole["error"], half["error"].partition(" (")[0]) == (3, None, "damaged JPEG data")
    assert half["class"] in ("red", "green", "blue")
    answer = hubel("predict", model, "half.jpg", "whole.jpg")
    assert answer.err.startswith("damaged: half.jpg: damaged JPEG data (")
    assert "half.jpg" in answer.out


def test_what_is_passed_over_is_said(hubel: Call, model: Path, photos: Path, here: Path) -> None:
    for name in ("a.svg", "b.mov", "red/c.MOV"):
        (photos / name).touch()
    answer = hubel("predict", model, photos, "--csv")
    assert (answer.code, answer.err) == (0, "note: 3 files passed over: not images (svg, mov)\n")
    answer = hubel("similar", model, photos, photos / "red" / "0.png")
    assert (answer.code, answer.err) == (0, "note: 3 files passed over: not images (svg, mov)\n")
    answer = hubel("explain", model, photos / "red", "--out", "explained")
    assert (answer.code, answer.err) == (0, "note: 1 file passed over: not images (mov)\n")


def test_goes_on(hubel: Call, model: Path, photos: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hubel("predict", model, photos, "-o", "whole.jsonl", "--resume").code == 0  # there is nothing to go on with
    head = b'{"hubel predict": '
    with monkeypatch.context() as patch:
        patch.setattr("hubel.inference.bulk._publish", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        answer = hubel("predict", model, photos, "-o", "answers.jsonl")
    assert answer.code == 1
    assert answer.err.startswith("hubel: answers.jsonl.partial: no space left on the disk /")
    assert (here / "answers.jsonl.partial").read_bytes().startswith(head)
    other = hubel("predict", model, photos, "-o", "answers.jsonl", "--resume", "--top", 2)
    assert (other.code, "was begun with --top: 3, not 2" in other.err) == (2, True)
    assert hubel("predict", model, photos, "-o", "answers.jsonl", "--resume").code == 0
    assert (here / "answers.jsonl").read_bytes() == (here / "whole.jsonl").read_bytes()


def test_shards_are_together_all(hubel: Call, model: Path, photos: Path) -> None:
    def paths(*words: object) -> list[str]:
        lines = hubel("predict", model, photos, "--jsonl", *words).out.splitlines()
        return [json.loads(line)["path"] for line in lines]

    parts = [paths("--shard", f"{part}/4") for part in (1, 2, 3, 4)]
    assert [len(part) for part in parts] == [8, 8, 7, 7]
    assert sorted(path for part in parts for path in part) == sorted(paths())
    assert parts[1][0] == paths()[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-o answers.txt", "--output answers.txt: the name says the format and ends in .jsonl, .csv or .parquet"),
        ("-o a.csv --jsonl", "choose one of --jsonl and --output"),
        ("--resume", "--resume continues a file: add --output FILE"),
        ("--shard 4/3", "--shard is I/N with I from 1 to N, such as 1/3, 2/3 and 3/3; not '4/3'"),
        ("--engine ray --device cuda", "--engine ray computes on processors, not on cuda"),
    ],
)
def test_mistakes(words: str, message: str, hubel: Call) -> None:
    answer = hubel("predict", "nowhere", "photos", *words.split())
    assert (answer.code, answer.err) == (2, f"hubel: {message}\n")


def test_a_missing_folder_leaves_no_file(hubel: Call, model: Path, here: Path) -> None:
    assert hubel("predict", model, "missing", "-o", "answers.csv").code == 2
    assert list(here.iterdir()) == []


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray(hubel: Call, model: Path, photos: Path, here: Path) -> None:
    answer = hubel("predict", model, photos, "-o", "answers.csv", "--engine", "ray")
    assert (answer.code, answer.err) == (2, 'hubel: --engine ray needs Ray: pip install "hubel[ray]"\n')
    assert list(here.iterdir()) == [photos]


def test_formulas_of_spreadsheets(hubel: Call, model: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos / "red")
    Path("1.png").rename("=cmd|' !A1.png")
    Path("2.png").rename("a=b.png")
    names = ["=cmd|' !A1.png", "a=b.png"]
    for words, expected in (([], names), (["--no-formulas"], [f"'{names[0]}", names[1]])):
        answer = hubel("predict", model, *names, "--csv", *words)
        assert [row["path"] for row in csv.DictReader(answer.out.splitlines())] == expected
        assert hubel("predict", model, *names, "-o", "all.csv", *words).code == 0
        assert [row["path"] for row in csv.DictReader(Path("all.csv").read_text().splitlines())] == expected
        Path("all.csv").unlink()


@pytest.mark.skipif(sys.platform == "win32", reason="no such name is allowed there")
def test_names_do_not_control_a_terminal(
    hubel: Call, model: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "red" / "0.png").rename(photos / "red" / "a\x1b[2Jb.png")
    piped = hubel("predict", model, photos / "red", "--csv").out
    assert "a\x1b[2Jb.png" in piped
    commands = (
        ("predict", model, photos / "red", "--csv"),
        ("similar", model, photos / "red", photos / "red" / "1.png", "--csv"),
        ("predict", model, photos / "red", "--jsonl"),
        ("predict", model, photos / "red"),
    )
    monkeypatch.setattr("hubel.cli.printing.is_terminal", lambda stream: True)
    for words in commands:
        shown = hubel(*words).out
        assert "\x1b" not in shown
        assert "a\\u001b[2Jb.png" in shown
    assert hubel(*commands[0]).out == piped.replace("\x1b", "\\u001b")


def test_tables_for_people_hold_no_formulas(hubel: Call, model: Path, photos: Path, here: Path) -> None:
    (photos / "red").rename(photos / "=1+red")
    assert hubel("data", "check", photos, "--model", model, "--out", "checked").code == 0
    assert hubel("embed", model, photos, "--out", "embedded").code == 0
    small = ["--epochs", 1, "--size", 12, "--options.filters", 4, "--options.repeat", 1, "--threads", 1]
    assert hubel("train", photos, "--model", "convnet", *small, "--out", "run").code == 0
    for table in ("checked/data-check.csv", "embedded/embedding.csv", "run/per_class.csv", "run/confusion.csv"):
        with Path(table).open(newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell.startswith("=")], table
        assert [cell for cell in cells if cell.startswith("'=1+red")], table
