"""`hubel data check`, and that `hubel data` is still there beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Call = Callable[..., Any]


def test_finds_what_was_planted(hubel: Call, model: Path, photos: Path) -> None:
    shutil.copy(photos / "red" / "3.png", photos / "blue" / "red.png")
    answer = hubel("data", "check", photos, "--model", model, "--out", "made")
    assert answer.code == 0
    for words in ("may be wrong", "blue/red.png", "of these with different labels", "made/data-check.html"):
        assert words in answer.out
    assert {path.name for path in Path("made").glob("[!.]*")} == {
        "data-check.html",
        "data-check.csv",
        "data-check.json",
    }
    assert len(Path("made/data-check.csv").read_text().splitlines()) == 32


def test_json(hubel: Call, model: Path, photos: Path) -> None:
    answer = hubel("data", "check", photos, "--model", model, "--json")
    assert answer.code == 0
    told = json.loads(answer.out)
    assert (told["images"], told["leaks"], told["duplicates"]) == (30, 0, [])
    assert json.loads(Path("runs/check-photos-1/data-check.json").read_text()) == told


def test_help_shows_both(hubel: Call) -> None:
    both = " ".join(hubel("data", "--help").out.split())
    for words in ("SOURCE", "--unreadable", "check", "Find probable label errors", "hubel data digits"):
        assert words in both
    one = " ".join(hubel("data", "check", "--help").out.split())
    for words in ("SOURCE", "--model", "efficientnet_lite0", "hubel data check PHOTOS"):
        assert words in one


def test_looking_at_data_is_as_it_was(hubel: Call, photos: Path) -> None:
    assert "red" in hubel("data", photos).out
    assert hubel("data", photos, "--unreadable").out == ""


def test_mistakes(hubel: Call, model: Path, photos: Path) -> None:
    for words, message in (
        (["check"], "data check needs SOURCE; see hubel data check --help"),
        (["check", photos, "--modle", "x"], "data check has no option --modle; did you mean --model?"),
        (["check", "nowhere"], "nowhere"),
        (["check", photos, "--model", "resnet21"], "no model file, run or network is called 'resnet21'"),
    ):
        answer = hubel("data", *words)
        assert (answer.code, answer.out) == (2, "")
        (line,) = answer.err.splitlines()
        assert message in line
    for name in ("blue", "green"):
        shutil.rmtree(photos / name)
    assert "only one class" in hubel("data", "check", photos, "--model", model).err
    assert not Path("runs").exists()
