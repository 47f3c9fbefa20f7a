"""Every verb that takes images takes a table whose paths start elsewhere."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fake_texts
from hubel.cli.data_flags import Root
from hubel.cli.verbs import VERBS

COMMANDS = (
    "data TABLE", "data check TABLE --model RUN", "data preview TABLE --size 16", "embed RUN TABLE",
    "evaluate RUN TABLE --split all",
    "robust RUN TABLE --quick --images 3 --only rotation --split all", "export RUN -o m.onnx --data TABLE",
    "ensemble RUN OTHER --data TABLE -o both.onnx",
    "train TABLE --model linear --epochs 1", "lr-find TABLE --model linear --steps 40",
    "predict RUN TABLE", "search TABLE red --model RUN", "similar RUN TABLE PHOTO", "explain RUN TABLE --unit stage2:3",
    "explain RUN --unit stage2:3 --patches TABLE", "drift RUN TABLE --data TABLE",
    "data bench TABLE --model linear --seconds 0.05",
    "weights convert RUN/model.safetensors --model convnet --options.filters 4,8 --options.repeat 1 --check TABLE "
    "--out c.safetensors",
    "bench RUN --seconds 0.05 --engine onnxruntime --int8 --data TABLE",
)  # fmt: skip
SLOW = ("ensemble RUN", "bench RUN", "weights", "data bench", "lr-find")


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_texts.use(monkeypatch)


@pytest.fixture
def table(photos: Path, tmp_path: Path) -> Path:
    """A table beside which there are no photos."""
    place = tmp_path / "elsewhere" / "t.csv"
    place.parent.mkdir()
    paths = sorted(path.relative_to(photos) for path in photos.rglob("*.png"))
    place.write_text("image_path,label\n" + "".join(f"{path},{path.parent}\n" for path in paths))
    return place


@pytest.mark.parametrize(
    "command", [pytest.param(one, marks=pytest.mark.slow) if one.startswith(SLOW) else one for one in COMMANDS]
)
def test_a_table_whose_paths_start_elsewhere(
    hubel: Callable[..., Any], model: Path, photos: Path, table: Path, command: str
) -> None:
    shutil.copytree(model, "other")
    command = command.replace("OTHER", "other").replace("PHOTO", str(photos / "red" / "1.png"))
    words = [word.replace("RUN", str(model)).replace("TABLE", str(table)) for word in command.split()]
    before = hubel(*words)
    if not command.startswith("data preview"):
        assert before.code == 2, before.out
    after = hubel(*words, "--root", photos)
    assert after.code == 0, after.err


def test_no_verb_is_forgotten() -> None:
    """The verbs with such a flag are those above; train, lr-find and data bench have it as a setting of the recipe."""
    by_recipe = {"train", "lr-find", "data bench"}
    flagged = {verb.name for verb in VERBS if "root" in inspect.signature(verb.function()).parameters}
    tried = {
        verb.name
        for verb in VERBS
        for command in COMMANDS
        if command.startswith((f"{verb.name} TABLE", f"{verb.name} RUN"))
    }
    assert flagged | by_recipe == tried
    for name in flagged:
        verb = next(one for one in VERBS if one.name == name)
        assert inspect.signature(verb.function(), eval_str=True).parameters["root"].annotation == Root
