"""`hubel drift`: photos like the training's do not differ, darker ones do, and the answer says so."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hubel.weights.model_file import load_model, save_model

Call = Callable[..., Any]
COLOURS = {"blue": (40, 60, 200), "green": (40, 200, 60), "red": (200, 50, 40)}
QUICK = ["--epochs", "2", "--size", "12", "--options.filters", "4,8", "--options.repeat", "1", "--threads", "1"]


def _draw(folder: Path, seed: int, light: float = 1.0, each: int = 40, kind: str = "png") -> Path:
    rng = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = np.array(colour) * rng.uniform(0.7, 1) * light + rng.normal(0, 20, (20, 20, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number}.{kind}")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drift")


@pytest.fixture(scope="module")
def photos(place: Path) -> Path:
    return _draw(place / "photos", 0)


@pytest.fixture
def run(place: Path, photos: Path, hubel: Call) -> Path:
    """The folder of a run, made once."""
    if not (place / "run").exists():
        assert hubel("train", photos, "--out", place / "run", "--val-share", "0.3", *QUICK).code == 0
    return place / "run"


def test_darker_photos_differ(hubel: Call, run: Path, place: Path) -> None:
    dark = _draw(place / "dark", 1, light=0.6)
    said = hubel("drift", run, dark)
    assert said.code == 0
    last = said.out.splitlines()[-1]
    assert last.startswith("differs: ")
    assert "darker (mean brightness 0." in last
    assert "the network's features" in last
    found = json.loads(hubel("drift", run, dark, "--json", "--strict").out)
    assert hubel("drift", run, dark, "--strict").code == 4
    brightness = next(test for test in found["tests"] if test["name"] == "brightness")
    assert brightness["adjusted"] <= 0.05
    assert brightness["effect"] < -0.5
    assert brightness["new"] < 0.8 * brightness["reference"]
    assert [test["adjusted"] for test in found["tests"]] == sorted(test["adjusted"] for test in found["tests"])
    assert all(test["p"] <= test["adjusted"] <= 1 for test in found["tests"])


def test_new_photos_of_the_same_kind_do_not(hubel: Call, run: Path, place: Path) -> None:
    said = hubel("drift", run, _draw(place / "same", 2, each=20), "--strict")
    assert said.code == 0
    assert said.out.splitlines()[-1].startswith("no difference found: 60 images against ")


def test_file_formats_and_classes(hubel: Call, run: Path, place: Path) -> None:
    red = _draw(place / "jpeg", 3, kind="jpg") / "red"
    found = json.loads(hubel("drift", run, red, "--json").out)
    tests = {test["name"]: test for test in found["tests"]}
    assert tests["file formats"]["adjusted"] <= 0.05
    assert tests["file formats"]["finding"] == "JPEG is 100% of the file formats, against 0%"
    assert tests["predicted classes"]["finding"].startswith("red is ")


def test_an_exported_file_compares_its_scores(hubel: Call, run: Path, place: Path) -> None:
    hubel("export", run, "--output", place / "model.onnx")
    dark = _draw(place / "dark2", 4, light=0.6, each=20)
    exported, own = (json.loads(hubel("drift", model, dark, "--json").out) for model in (place / "model.onnx", run))
    assert "scores" in {test["name"] for test in exported["tests"]}
    same = {test["name"]: test["p"] for test in own["tests"] if test["kind"] == "cause"}
    assert same == {test["name"]: test["p"] for test in exported["tests"] if test["kind"] == "cause"}


def test_old_models_need_the_data(hubel: Call, run: Path, photos: Path, place: Path) -> None:
    network, card = load_model(run / "model.safetensors")
    old = place / "old.safetensors"
    save_model(old, network.state_dict(), dataclasses.replace(card, reference={}))
    said = hubel("drift", old, photos)
    assert said.code == 2
    assert "keeps no statistics of its training images; name these: hubel drift" in said.err
    assert hubel("drift", old, photos, "--data", photos).code == 0


def test_too_few_and_unreadable(hubel: Call, run: Path, place: Path) -> None:
    few = _draw(place / "few", 5, each=3)
    said = hubel("drift", run, few)
    assert said.code == 2
    assert "9 readable images are too few to compare; 10 are the least" in said.err
    (few / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    _draw(few / "more", 6, each=3)
    said = hubel("drift", run, few)
    assert said.code == 3
    assert "broken.png" in said.err


def test_the_same_images_give_the_same_numbers(hubel: Call, run: Path, photos: Path) -> None:
    first, second = (hubel("drift", run, photos, "--json", "--most", "30", "--seed", "7").out for _ in range(2))
    assert first == second
