"""Measuring a model again: images that taught it are counted, left out by default, and never called anything else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import hubel
from dark_and_light import draw_dark_and_light
from hubel.core.errors import DataError
from hubel.evaluation.evaluate import evaluate_file
from hubel.weights.model_file import load_model, save_model

FEW = (
    "2 classes have fewer than 10 test images (dark 4, light 4), which say little: the recall of dark may be anything "
    "from 51 to 100%"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 20 dark and 20 light photos, and the run of a model that was trained on it."""
    folder = tmp_path_factory.mktemp("world")
    draw_dark_and_light(folder / "photos", 20)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HUBEL_CACHE", str(folder / "cache"))
        recipe = hubel.Recipe(model="linear", epochs=2, threads=1, loading_threads=0, precision="float32")
        hubel.train(folder / "photos", recipe, out=folder / "run")
    return folder


@pytest.fixture
def measure(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Measure the model of the run; return the result and the content of metrics.json."""
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))

    def measured(data: Path, model: Path = world / "run", **settings: Any) -> tuple[Any, dict[str, Any]]:
        done = evaluate_file(model, str(data), out=tmp_path / "out", **settings)
        written = json.loads((tmp_path / "out" / "metrics.json").read_text())
        assert written == done.to_json()
        return done, written

    return measured


def test_the_run_says_what_it_measured(world: Path) -> None:
    numbers = json.loads((world / "run" / "metrics.json").read_text())
    assert (numbers["n"], numbers["split"], numbers["used_in_training"]) == (8, "test", 0)


def test_after_one_photo_is_added(measure: Any, world: Path, tmp_path: Path) -> None:
    photos = shutil.copytree(world / "photos", tmp_path / "photos")
    done, numbers = measure(photos)
    assert (numbers["n"], numbers["split"], done.notes) == (8, "test", (FEW,)), "the very data: its own test images"
    Image.new("L", (8, 8), 77).save(photos / "dark" / "new.png")
    done, numbers = measure(photos)
    assert (numbers["n"], numbers["split"], numbers["used_in_training"]) == (13, "labelled", 0)
    left_out, _ = done.notes
    assert left_out == "28 of 41 labelled images were used in training: left out; --split all measures them, too"
    done, numbers = measure(photos, split="all")
    assert (numbers["n"], numbers["split"], numbers["used_in_training"]) == (41, "labelled", 28)
    assert done.notes == ("28 of 41 labelled images were used in training: the result is too good for new images",)
    page = done.report.read_text()
    assert "28 of these images" in page
    assert "Used in training" in page


def test_only_images_that_taught(measure: Any, world: Path, tmp_path: Path) -> None:
    """What hubel said of them was 100 %, without a word."""
    _, numbers = measure(world / "photos", split="train")
    assert (numbers["n"], numbers["split"], numbers["used_in_training"]) == (28, "training", 28)
    chosen = evaluate_file(world / "run", str(world / "photos"), split="train", out=tmp_path / "out").evaluation.images
    for position in range(len(chosen)):
        copy = tmp_path / "train" / chosen.path(position)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(world / "photos" / chosen.path(position), copy)
    with pytest.raises(DataError, match="28 of 28 labelled images were used in training") as caught:
        measure(tmp_path / "train")
    assert "\n" not in str(caught.value)
    done, numbers = measure(tmp_path / "train", split="all")
    assert (numbers["n"], numbers["split"], numbers["used_in_training"]) == (28, "training", 28)
    assert "of 28 training images" in done.evaluation.headline(done.split)


def test_files_without_a_record(measure: Any, world: Path, tmp_path: Path) -> None:
    network, card = load_model(world / "run" / "model.safetensors")
    assert set(network.state_dict()) == set(card.create().state_dict()), "the record is no weight"
    old = {name: value for name, value in card.provenance.items() if name not in ("taught", "val_taught", "measured")}
    object.__setattr__(card, "provenance", old)
    save_model(tmp_path / "old.safetensors", network.state_dict(), card)
    done, numbers = measure(world / "photos", tmp_path / "old.safetensors")
    assert (numbers["n"], numbers["split"], done.notes) == (8, "test", (FEW,))
    done, numbers = measure(world / "photos", tmp_path / "old.safetensors", split="all")
    assert (numbers["n"], numbers["used_in_training"]) == (40, 0)
    assert done.notes == ("the model does not record the images of its training; some of these may be among them",)
