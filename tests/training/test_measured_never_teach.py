"""What is measured never taught: the rows that reach head, steps and report, over many layouts and flags."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.torch import save_file

from hubel.core.errors import DataError
from hubel.data.sources import ArraySource
from hubel.data.taught import Taught
from hubel.features.extractor import Features
from hubel.training import execute as execution
from hubel.training import fitted_head, run_report, transfer
from hubel.training.execute import execute
from hubel.training.loop import Loop
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.training.run_report import evaluate_run
from hubel.training.trainer import Trainer
from hubel.weights.create import create_model
from hubel.weights.model_file import read_card

pytestmark = pytest.mark.usefixtures("cache")

SMALL = Recipe(
    epochs=1, batch_size=8, views=2, engine="torch", threads=1, loading_threads=0, precision="float32", cache="off"
)
OPTIONS = {"depths": "1,1,1"}


@dataclass(kw_only=True)
class Seen:
    """Rows that taught, selected and measured, as they reached who does it, and the name of the last."""

    taught: list[NDArray[np.int64]] = field(default_factory=list)
    selected: list[NDArray[np.int64]] = field(default_factory=list)
    measured: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    name: str = ""


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Record rows at the very places where they are used; features are replaced by the numbers of their rows."""
    found = Seen()

    def numbers(features: Features) -> NDArray[np.float32]:
        values = np.zeros((len(features), *features.views[0].take(np.arange(0)).shape[1:]), np.float32)
        values[:, 0] = features.images.rows
        return values

    def wrapped(owner: Any, name: str, record: Callable[..., Any]) -> None:
        original = getattr(owner, name)

        def recorded(*args: Any, **kwargs: Any) -> Any:
            record(*args, **kwargs)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, recorded)

    def step(_: Trainer, data: Any, batch: Any, *rest: Any) -> None:
        images = getattr(data.images, "images", data.images)
        found.taught += [images.rows[at] for at in (batch.positions, batch.others) if at is not None]

    def head(features: NDArray[np.float32]) -> None:
        found.taught.append(features[:, 0].astype(np.int64))

    def write(folder: Path, evaluation: Any, *, split: str, **_: Any) -> Path:
        found.measured, found.name = evaluation.images.rows, split
        return folder

    monkeypatch.setattr(fitted_head, "_floats", numbers)
    wrapped(transfer, "fit_head", lambda plan, _, network, features, note: head(features.train))
    wrapped(execution, "_memorise", lambda _, train: found.taught.append(train.images.rows))
    wrapped(Trainer, "step", step)
    wrapped(Loop, "_validate", lambda _, network, val, stop: select(found, val))
    wrapped(transfer, "validation_score", lambda logits, plan, val: select(found, val))
    wrapped(execution, "_finished", lambda trained, plan, folder: None if plan.val is None else select(found, plan.val))
    monkeypatch.setattr(run_report, "write_evaluation", write)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr("hubel.features.probe._FOLDS", 2)
    monkeypatch.setattr("hubel.features.probe._STRENGTHS", (3.0,))
    return found


def select(found: Seen, val: Any) -> None:
    found.selected.append(getattr(val.images, "images", val.images).rows)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "resnet20.safetensors"
    save_file(create_model("resnet20", num_classes=10, options=OPTIONS).state_dict(), path)
    return str(path)


def images(labels: list[str], own: list[int] | None = None, copies: dict[int, int] | None = None) -> ArraySource:
    """Noise with labels; `copies` gives rows the pixels of other rows."""
    pixels = np.random.default_rng(len(labels)).integers(0, 256, (len(labels), 8, 8, 3), np.uint8)
    for row, original in (copies or {}).items():
        pixels[row] = pixels[original]
    return ArraySource(pixels, labels, own)


def layout(rng: np.random.Generator) -> ArraySource:
    """A data set with some of the splits, classes of unequal size, and copies within and between all of them."""
    counts = rng.integers(1, 12, rng.integers(2, 5))
    labels = [name for name, n in zip("abcd", counts.tolist(), strict=False) for _ in range(n)]
    codes = [[], [1], [1, 3], [1, 2], [1, 2, 3], [0, 1, 3], [0, 1, 2, 3]][rng.integers(7)]
    own = rng.choice(codes, len(labels), p=shares(rng, len(codes))).tolist() if codes else None
    some = rng.integers(0, len(labels), (int(rng.integers(0, 6)), 2)) * (rng.random() < 0.5)
    return images(labels, own, dict(some.tolist()))


def shares(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    drawn = rng.random(n) + 0.1
    return drawn / drawn.sum()


def flags(rng: np.random.Generator, weights: str) -> dict[str, Any]:
    def one_of(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    network = one_of(
        *[{"model": "resnet20", "options": OPTIONS, "weights": weights, "freeze": freeze, "size": "16"}
          for freeze in ("all", "all", "stage1", "none", None)],
        {"model": "convnet", "options": {"filters": "4", "repeat": "1"}},
        {"model": "knn"},
    )  # fmt: skip
    return {
        **network,
        "seed": int(rng.integers(100)),
        "val_share": one_of(0.01, 0.1, 0.4),
        "test_share": one_of(0.0, 0.2, 0.6),
        "augment": one_of("none", None),
    }


def check_plan(source: ArraySource, settings: dict[str, Any]) -> Any:
    """Return the plan of a run, after a look at what it hands out; None where there is nothing to measure."""
    try:
        plan = plan_training(source, SMALL.with_settings(**settings))
    except DataError as error:
        if not any(text in str(error) for text in ("too few different", "train is empty", "at least two classes")):
            raise
        return None
    digest = plan.dataset.index.digest
    rows = [part.images.rows for part in (plan.train, plan.val, plan.measured) if part is not None]
    train, val, measured = ({*digest[part].tolist()} for part in (rows[0], plan.splits.val, rows[-1]))
    assert not train & val
    assert not train & measured
    assert measured
    assert (plan.splits.measured_name == "test") == (not val & measured)
    known = Taught.read(plan.card.provenance)
    assert known.among(digest).tolist() == [one in train for one in digest.tolist()]
    found = plan.dataset.evaluation_rows(plan.card.provenance)
    assert not known.among(digest[found.rows]).any()
    assert (found.rows.tolist(), found.name) == (rows[-1].tolist(), plan.splits.measured_name)
    return plan


def check_run(source: ArraySource, settings: dict[str, Any], folder: Path, seen: Seen) -> bool:
    """Train and measure; return whether there was something to measure."""
    plan = check_plan(source, settings)
    if plan is None:
        return False
    seen.taught, seen.selected = [], []
    trained = execute(plan, folder)
    done = evaluate_run(folder, plan, trained)
    digest = plan.dataset.index.digest
    nothing = np.empty(0, np.int64)
    taught, selected = ({*digest[np.concatenate([nothing, *rows])].tolist()} for rows in (seen.taught, seen.selected))
    measured = {*digest[seen.measured].tolist()}
    assert taught == {*digest[plan.splits.train].tolist()}, "all that the record has, and nothing else, taught"
    assert not taught & measured
    assert not taught & selected
    assert seen.name == done.split == ("validation" if selected & measured else "test")
    return True


# The three ways in of 0.1.0, and others ------------------------------------------------------------------


TWO = ["a", "b"]
WAYS: dict[str, tuple[ArraySource, dict[str, Any], str]] = {
    "one training image a class": (images(TWO * 21, [1] * 2 + [3] * 40), {"freeze": "all"}, "test"),
    "only a folder train": (images(TWO * 20, [1] * 40), {"freeze": "all"}, "validation"),
    "no test share": (images(TWO * 20), {"freeze": "all", "test_share": 0.0}, "validation"),
    "few to validate": (images(TWO * 20), {"freeze": "stage1"}, "test"),
    "own val": (images(TWO * 20, [1] * 20 + [2] * 20), {"freeze": "all"}, "validation"),
    "test is train again": (images(TWO * 20, [1] * 20 + [3] * 20, {20 + i: i for i in range(20)}), {}, "validation"),
    "copies": (images(TWO * 20, [1] * 20 + [3] * 20, {20 + i: i for i in range(5)}), {"freeze": "all"}, "test"),
    "from scratch": (images(TWO * 21, [1] * 2 + [3] * 40), {"model": "convnet", "weights": "none"}, "test"),
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_in(way: str, weights: str, seen: Seen, tmp_path: Path) -> None:
    source, settings, name = WAYS[way]
    network = {"model": "resnet20", "options": OPTIONS, "weights": weights, "size": "16"}
    if "model" in settings:
        network = {"options": {"filters": "4", "repeat": "1"}}
    assert check_run(source, network | settings, tmp_path, seen)
    assert seen.name == name


def test_images_that_taught_the_initial_weights(weights: str, seen: Seen, tmp_path: Path) -> None:
    """Weights that were trained on some of these images have seen them, whatever the splits of the next run are."""
    source = images(TWO * 20)
    network = {"model": "resnet20", "options": OPTIONS, "size": "16", "freeze": "all"}
    assert check_run(source, {**network, "weights": weights}, tmp_path / "first", seen)
    first = tmp_path / "first" / "model.safetensors"
    taught = Taught.read(read_card(first).provenance)
    plan = plan_training(source, SMALL.with_settings(**network, weights=str(first), seed=1))
    held = plan.dataset.digests(np.concatenate([plan.splits.val, plan.splits.test]))
    assert not taught.among(held).any()
    assert any("taught the initial weights" in note for note in plan.notes)
    both = Taught.read(plan.card.provenance)
    assert both.among(plan.dataset.digests()).sum() == len({*taught.keys, *both.keys})
    same = plan_training(source, SMALL.with_settings(**network, weights=str(first)))
    assert np.array_equal(same.splits.test, seen.measured), "the same seed holds out the same images"


def test_a_plan_that_is_wrong_writes_no_result(weights: str, seen: Seen, tmp_path: Path) -> None:
    """Where the evaluation is written, digests are compared once more."""
    plan = check_plan(images(TWO * 20), {"model": "knn"})
    trained = execute(plan, tmp_path)
    object.__setattr__(plan, "measured", plan.train)
    with pytest.raises(DataError, match="would measure the model that they taught"):
        evaluate_run(tmp_path, plan, trained)
    assert seen.name == ""


# Many layouts and flags -----------------------------------------------------------------------------------


def test_plans_of_many_layouts(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usable = 0
    for number in range(30):
        rng = np.random.default_rng(number)
        monkeypatch.setattr("hubel.training.resolve._ENOUGH_TO_SELECT", int(rng.choice([0, 3, 50])))
        usable += check_plan(layout(rng), flags(rng, weights)) is not None
    assert usable > 20


def test_runs_of_some_layouts(weights: str, seen: Seen, tmp_path: Path) -> None:
    for number in range(3):
        rng = np.random.default_rng([1, number])
        check_run(layout(rng), flags(rng, weights), tmp_path / str(number), seen)


@pytest.mark.slow
def test_runs_of_many_layouts(weights: str, seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usable = 0
    for number in range(600):
        rng = np.random.default_rng([2, number])
        monkeypatch.setattr("hubel.training.resolve._ENOUGH_TO_SELECT", int(rng.choice([0, 3, 50])))
        usable += check_run(layout(rng), flags(rng, weights), tmp_path / str(number), seen)
    assert usable >= 500
