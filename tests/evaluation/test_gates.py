"""Limits that fail a build, and the comparison of two models on the same images."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hubel
import hubel.export
from dark_and_light import draw_dark_and_light
from hubel.core.errors import DataError, OptionError, UnknownNameError
from hubel.data.loading import Images
from hubel.evaluation.evaluate import evaluate_file
from hubel.evaluation.gates import Gates, compare_evaluations, failed_gates, parse_min_recall
from hubel.metrics.classification import measure_classification
from hubel.tasks.classify_evaluation import ClassificationEvaluation
from hubel.tasks.regress import RegressionEvaluation, measure_regression
from hubel.weights.model_file import load_model, save_model

CLASSES = ("hat", "shirt", "shoe")


class Counted(Images):
    """Images of which only the number is asked."""

    def __init__(self, n: int) -> None:
        self.rows = np.arange(n)


def evaluated(predicted: list[int], labels: list[int]) -> ClassificationEvaluation:
    p, truth = np.eye(3)[predicted], np.array(labels)
    metrics = measure_classification(p, truth, CLASSES)
    return ClassificationEvaluation(metrics=metrics, probabilities=p, targets=truth, images=Counted(len(truth)))


def test_limits() -> None:
    found = evaluated([0, 0, 1, 1, 1, 1, 1, 1, 1, 0], [0, 0, 0, 1, 1, 1, 1, 1, 1, 1])
    assert failed_gates(Gates(min_accuracy=0.8, min_recall={"shirt": 0.85}), found, None) == ()
    gates = Gates(min_accuracy=0.81, min_recall={"hat": 0.7, "shoe": 0.1, "shirt": 0.1})
    assert failed_gates(gates, found, None) == (
        "the accuracy is 80.00% of 10 images (95% interval 49.02 to 94.33%), below the limit of 81.00%",
        "the recall of hat is 66.67% of 3 images (95% interval 20.77 to 93.85%), below the limit of 70.00%",
        "the recall of shoe is unknown, because none of the images has it; the limit is 10.0%",
    )


def test_worse_than_another_model() -> None:
    labels = [0, 1] * 30
    good = evaluated(labels, labels)
    bad = evaluated([0] * 60, labels)
    near = evaluated([*labels[:58], 2, 2], labels)
    lost = compare_evaluations(bad, good, "old.onnx")
    assert lost.worse
    (line,) = failed_gates(Gates(), bad, lost)
    assert line.startswith(
        "significantly worse than old.onnx: accuracy 50.0%; that of old.onnx on the same 60 images is 100%: a "
        "difference of -50.0 points (95% interval -62.3 to -37.7"
    )
    assert line.endswith(", McNemar's p 1.9e-09)")
    won, even = compare_evaluations(good, bad, "x"), compare_evaluations(near, good, "x")
    assert not won.worse
    assert not won.paired.may_be_chance
    assert not even.worse, "two images more may be chance"
    assert even.sentence().endswith("it may be chance")
    assert failed_gates(Gates(), near, even) == failed_gates(Gates(), good, won) == ()
    json.dumps([lost.to_json(), even.to_json()], allow_nan=False)


def test_errors_of_numbers() -> None:
    def measured(error: float, n: int = 50) -> RegressionEvaluation:
        truth = np.arange(float(n))
        found = truth + error * np.where(truth % 2, 1.0, -1.1)
        metrics = measure_regression(found, truth)
        return RegressionEvaluation(metrics=metrics, predictions=found, targets=truth, images=Counted(n))

    worse = compare_evaluations(measured(2), measured(1), "x")
    assert worse.worse
    assert "mean absolute error 2.1; that of x on the same 50 images is 1.05: a difference of +1.05" in worse.sentence()
    assert not compare_evaluations(measured(1), measured(2), "x").worse
    assert not compare_evaluations(measured(1), measured(1), "x").worse
    single = compare_evaluations(measured(2, 1), measured(1, 1), "x")
    assert not single.worse
    assert "on the same image is 1.1: a difference of +1.1 (95% interval -inf to +inf); it may" in single.sentence()
    assert json.loads(json.dumps(single.to_json(), allow_nan=False))["interval"] is None


def test_mistakes_in_limits() -> None:
    with pytest.raises(OptionError, match=r"--min-accuracy is a share from 0 to 1, not 90; for 90% write 0\.9"):
        Gates(min_accuracy=90)
    with pytest.raises(OptionError, match="--min-recall hat is a share from 0 to 1, not nan"):
        Gates(min_recall={"hat": float("nan")})
    for text in ("hat", "=0.5", "hat=high", ""):
        with pytest.raises(OptionError, match="--min-recall is CLASS=NUMBER"):
            parse_min_recall([text])
    assert parse_min_recall(["hat=.75", "x = y=1"]) == {"hat": 0.75, "x = y": 1.0}
    with pytest.raises(OptionError, match=r"--min-recall: hat has two limits, 0\.5 and \.75"):
        parse_min_recall(["hat=0.5", "hat=.75"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, dark and light, with a model that tells them apart, one that cannot, and a regression."""
    folder = tmp_path_factory.mktemp("world")
    draw_dark_and_light(folder / "photos", 30)
    rows = [f"photos/{name}/{i:02}.png,{v}\n" for name, v in (("dark", 1), ("light", 3)) for i in range(30)]
    (folder / "numbers.csv").write_text("image_path,label\n" + "".join(rows))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HUBEL_CACHE", str(folder / "cache"))
        recipe = {"model": "linear", "epochs": 3, "threads": 1, "loading_threads": 0, "precision": "float32"}
        hubel.train(folder / "photos", recipe, out=folder / "run")
        hubel.train(folder / "numbers.csv", recipe | {"task": "regress"}, out=folder / "numbers")
    network, card = load_model(folder / "run" / "model.safetensors")
    state = {name: 0 * value for name, value in network.state_dict().items()}
    save_model(folder / "blind.safetensors", state, card)
    hubel.export.export(folder / "blind.safetensors", folder / "blind.onnx")
    return folder


@pytest.fixture
def measure(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))

    def measured(model: str, data: str = "photos", **gates: Any) -> Any:
        done = evaluate_file(world / model, str(world / data), out=tmp_path / "out", gates=Gates(**gates))
        assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == done.to_json()
        return done

    return measured


def test_a_model_against_another_file(measure: Any, world: Path) -> None:
    """A run, a model file and an exported file are measured on the same images, in either role."""
    done = measure("blind.onnx", no_worse_than=world / "run", min_accuracy=0.4)
    assert [line.split(":")[0] for line in done.failed] == [f"significantly worse than {world / 'run'}"]
    assert done.comparison.here == done.evaluation.accuracy == 0.5
    numbers = done.to_json()
    assert numbers["failed"] == list(done.failed)
    assert numbers["compared_with"]["worse"]
    assert f"failed: {done.failed[0]}".split("'")[0] in " ".join(done.report.read_text().split())
    better = measure("run", no_worse_than=world / "blind.onnx", min_recall={"dark": 0.9, "light": 0.9})
    assert (better.failed, better.comparison.worse) == ((), False)
    assert better.comparison.there == 0.5
    assert measure("run", no_worse_than=world / "run" / "model.safetensors").comparison.paired.may_be_chance


def test_gates_need_no_torch(world: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['torch'] = sys.modules['scipy'] = sys.modules['sklearn'] = None\n"
        "from hubel.cli import main; main(sys.argv[1:])"
    )
    words = ["evaluate", "blind.onnx", "photos", "--no-worse-than", "blind.onnx", "--min-recall", "light=0.5"]
    done = subprocess.run(
        [sys.executable, "-c", script, *words, "--out", str(tmp_path / "out")],
        cwd=world, capture_output=True, text=True, timeout=100,
        env=os.environ | {"HUBEL_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert done.stderr.splitlines()[-1].startswith("failed: the recall of light is 0.00% of ")
    assert (tmp_path / "out" / "predictions.csv").is_file()


def test_gates_that_do_not_suit(measure: Any, world: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no class is called 'drak'; did you mean dark"):
        measure("run", min_recall={"drak": 0.9})
    with pytest.raises(OptionError, match="--min-accuracy: the task regress has no classes; --no-worse-than"):
        measure("numbers", "numbers.csv", min_accuracy=0.9)
    with pytest.raises(
        OptionError, match=r"--no-worse-than .*numbers: its task is regress, that of the model is classify"
    ):
        measure("run", no_worse_than=world / "numbers")
    assert not (tmp_path / "out").exists()
    network, card = load_model(world / "run" / "model.safetensors")
    object.__setattr__(card, "classes", ("black", "white"))
    save_model(tmp_path / "others.safetensors", network.state_dict(), card)
    with pytest.raises(DataError, match="the data has a class 'dark' that the model does not know"):
        measure("run", no_worse_than=tmp_path / "others.safetensors")


def test_a_baseline_that_was_taught_these_images(measure: Any, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "run", tmp_path / "run")
    network, card = load_model(world / "run" / "model.safetensors")
    free = {name: v for name, v in card.provenance.items() if name not in ("taught", "fingerprint")}
    object.__setattr__(card, "provenance", free)
    save_model(world / "free.safetensors", network.state_dict(), card)
    done = measure("free.safetensors", no_worse_than=world / "run")
    assert any("of these images taught" in note and "unfair advantage" in note for note in done.notes)
