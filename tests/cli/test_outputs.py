"""No verb writes over its input, over a file of another kind, or into a folder of other files."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hubel.cli.verbs import VERBS
from hubel.models.catalogue import build_model

Call = Callable[..., Any]
PHOTO = "photos/red/1.png"

# A line for each verb that writes what a user names: its words without the output, the flag, an input, another file.
FILES = {
    "export": ("export RUN", "--output", "RUN/model.safetensors", "photo.jpg"),
    "ensemble": ("ensemble RUN convnet", "--output", "RUN/model.safetensors", "photo.jpg"),
    "walkthrough": ("walkthrough xo", "--out", None, "photo.jpg"),
    "draw": ("draw RUN/model.safetensors", "--out", "RUN/model.safetensors", "photo.png"),
    "compare": ("compare RUN/model.safetensors", "--figure", "RUN/model.safetensors", "photo.jpg"),
    "similar": (f"similar RUN photos {PHOTO}", "--sheet", PHOTO, "photo.jpg"),
    "search": ("search photos dog", "--page", PHOTO, "photo.jpg"),
    "conv": (f"conv --kernel sharpen {PHOTO}", "--out", PHOTO, "photo.png"),
    "weights convert": ("weights convert mine.pth --model resnet20", "--out", "mine.pth", "photo.jpg"),
    "data": ("data shapes:count=3", "--out", None, "photo.png"),
    "data preview": ("data preview photos", "--out", PHOTO, "photo.png"),
    "generate": ("generate RUN", "--out", None, "photo.jpg"),
    "predict": ("predict RUN list.csv", "--output", "list.csv", "photo.csv"),
}
FOLDERS = {
    "train": ("train photos", "photos"),
    "tune": ("tune photos", "photos"),
    "evaluate": ("evaluate RUN photos", "RUN"),
    "lr-find": ("lr-find photos", "photos"),
    "explain": ("explain RUN photos", "photos"),
    "embed": ("embed RUN photos", "photos"),
    "robust": ("robust RUN photos", "RUN"),
    "data check": ("data check photos --model RUN", "photos"),
    "demo": ("demo", "photos"),
}
OUTPUTS = {"out": "--out", "output": "--output", "figure": "--figure", "sheet": "--sheet", "page": "--page"}


@pytest.fixture
def place(here: Path, photos: Path) -> Path:
    for name in ("photo.jpg", "photo.png", "photo.csv"):
        Path(name).write_bytes(b"somebody's")
    Path("list.csv").write_text("image_path\nphotos/red/1.png\n")
    torch.save(build_model("resnet20", num_classes=3).state_dict(), "mine.pth")
    return here


def contents(*folders: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_the_tables_have_every_verb_with_an_output() -> None:
    writing = {
        verb.name: flag
        for verb in VERBS
        for name, flag in OUTPUTS.items()
        if name in inspect.signature(verb.function()).parameters
    }
    assert writing == {verb: line[1] for verb, line in FILES.items()} | dict.fromkeys(FOLDERS, "--out")


@pytest.mark.parametrize("verb", FILES)
def test_files(hubel: Call, model: Path, place: Path, verb: str) -> None:
    words, flag, source, other = FILES[verb]
    before = contents(place, model)
    for target in (source, other, "photos", "photos/."):
        if target is not None:
            answer = hubel(*(f"{words} {flag} {target}".replace("RUN", str(model)).split()))
            assert (answer.code, answer.out) == (2, ""), (target, answer)
            assert len(answer.err.splitlines()) == 1
            assert contents(place, model) == before
    empty = hubel(*words.replace("RUN", str(model)).split(), flag, "")
    assert (empty.code, f"{flag} is empty" in empty.err) == (2, True)


@pytest.mark.parametrize("verb", FOLDERS)
def test_folders(hubel: Call, model: Path, place: Path, verb: str) -> None:
    words, source = FOLDERS[verb]
    before = contents(place, model)
    Path("others").mkdir()
    Path("others/metrics.json").write_text("{}")
    before = contents(place, model)
    for target in (source, "photo.jpg", "others", ""):
        answer = hubel(*words.replace("RUN", str(model)).split(), "--out", target.replace("RUN", str(model)))
        assert (answer.code, answer.out) == (2, ""), (target, answer)
        assert len(answer.err.splitlines()) == 1
        assert contents(place, model) == before


def test_earlier_results_are_replaced_and_it_is_said(hubel: Call, model: Path, photos: Path) -> None:
    for words in (
        ("compare", "resnet18", "--figure", "a.png"),
        ("conv", "--kernel", "sharpen", photos / "red" / "1.png", "--out", "b.png"),
        ("export", model, "-o", "c.onnx"),
        ("export", model, "-o", "d.pt", "--format", "torchscript"),
        ("evaluate", model, photos, "--split", "all", "--out", "results"),
    ):
        assert "replaced" not in hubel(*words).err
        again = hubel(*words)
        assert again.code == 0, again.err
        assert "replaced" in again.err


@pytest.mark.parametrize(
    "words", ["predict RUN |", "data |", "similar RUN | photo.jpg", "embed RUN |", "explain RUN |"]
)
def test_an_empty_argument_is_not_the_current_folder(hubel: Call, model: Path, place: Path, words: str) -> None:
    """As a shell's variable that is not set would have it."""
    before = contents(place, model)
    answer = hubel(*("" if word == "|" else word for word in words.replace("RUN", str(model)).split()))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"hubel: an argument of hubel {words.split()[0]} is empty; give a name or a path\n"
    assert contents(place, model) == before
