"""Folds: the predictions are scikit-learn's, every image is in one, and nothing is measured by what it taught."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

import hubel
from hubel.core.errors import OptionError
from hubel.data.samples import Labelled
from hubel.evaluation.folds import assign_folds, evaluate_folds, measure_folds
from hubel.features.logits import last_layer_features
from hubel.tasks.catalogue import find_task
from hubel.tasks.losses import LossSettings
from hubel.weights.create import load_pretrained
from hubel.weights.model_file import load_model, read_card, save_model

N = 90
NAMES = ("dark", "light", "mixed")
RECIPE = hubel.Recipe(
    model="efficientnet_lite0", freeze="all", size="48", engine="torch", threads=1, loading_threads=0, folds=3
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 noisy photos of each of three classes that overlap."""
    folder, rng = tmp_path_factory.mktemp("world") / "photos", np.random.default_rng(0)
    for label, name in enumerate(NAMES):
        (folder / name).mkdir(parents=True)
        for i in range(N // 3):
            pixels = (90 + 40 * label + rng.normal(0, 70, 3) + rng.normal(0, 30, (24, 24, 3))).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def run(photos: Path) -> Any:
    """A run with folds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBEL_CACHE", str(photos.parent / "cache"))
        return hubel.train(photos, RECIPE, out=photos.parent / "run", quiet=True)


@pytest.fixture
def measured(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of the run."""
    monkeypatch.setenv("HUBEL_CACHE", str(photos.parent / "cache"))


class Scaled(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Mean 0 of each feature, and variances that add up to 1."""

    def fit(self, x: NDArray[Any], y: Any = None) -> Scaled:
        self.mean_, self.spread_ = x.mean(0), np.sqrt(x.var(0).sum())
        return self

    def transform(self, x: NDArray[Any]) -> NDArray[Any]:
        return (x - self.mean_) / self.spread_


def test_predictions_are_those_of_cross_val_predict(photos: Path, run: Any, measured: None) -> None:
    network, card = load_pretrained("efficientnet_lite0", "default")
    card = dataclasses.replace(card, classes=NAMES, preprocess=read_card(run.model).preprocess)
    dataset = hubel.data.open_dataset(str(photos))
    images = dataset.images(card.preprocess)
    features, targets = last_layer_features(network, images, card=card), dataset.targets(NAMES)
    task, loss = find_task("classify"), LossSettings(name="cross_entropy")
    strength = task.fit_head(features, targets, card, loss, 3).strength
    for folds in (3, 5):
        result = measure_folds(task, features, Labelled(images, targets), card, folds, seed=3)
        model = make_pipeline(Scaled(), LogisticRegression(C=strength, tol=1e-3, max_iter=200))
        splitter = StratifiedKFold(folds, shuffle=True, random_state=3)
        expected = cross_val_predict(model, features, targets, cv=splitter, method="predict_proba")
        np.testing.assert_array_equal(result.evaluation.probabilities.argmax(1), expected.argmax(1))
        np.testing.assert_allclose(result.evaluation.probabilities, expected, atol=2e-3)
        shares = [(expected[held].argmax(1) == targets[held]).mean() for _, held in splitter.split(features, targets)]
        assert result.accuracies == pytest.approx(shares)
        assert 0.4 < np.mean(shares) < 1


def test_a_run_with_folds_accounts_for_every_image(photos: Path, run: Any) -> None:
    with (run.folder / "folds" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["path"] for row in rows} == {str(path.relative_to(photos)) for path in photos.rglob("*.png")}
    assert len(rows) == N
    assert {row["split"] for row in rows} == {"fold 1", "fold 2", "fold 3"}
    numbers = json.loads((run.folder / "folds" / "metrics.json").read_text())
    right = np.mean([row["label"] == row["prediction"] for row in rows])
    assert numbers["top1"] == pytest.approx(right)
    assert (numbers["n"], numbers["used_in_training"], numbers["folds"]["number"]) == (N, 0, 3)
    for number, share in enumerate(numbers["folds"]["accuracies"], start=1):
        own = [row for row in rows if row["split"] == f"fold {number}"]
        assert share == pytest.approx(np.mean([row["label"] == row["prediction"] for row in own]))
    assert "over 3 folds, standard deviation" in run.folds.sentence()
    assert (run.folder / "folds" / "report.html").is_file()
    assert run.seconds["folds"] > 0


def test_sets_are_calibrated_on_images_that_have_not_taught(run: Any) -> None:
    """Where only a head is trained, these are the training images in cross-validation and the validation images."""
    card = read_card(run.model)
    config = json.loads((run.folder / "config.json").read_text())["images"]
    assert card.coverage is not None
    assert card.coverage.images == config["train"] + config["val"]
    assert card.provenance["frozen"] == "all"


def test_a_model_is_evaluated_in_folds(photos: Path, run: Any, measured: None, tmp_path: Path) -> None:
    """Its frozen features have learned nothing from these images."""
    done = evaluate_folds(run.model, str(photos), 3, out=tmp_path / "out")
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written == done.to_json()
    assert (written["n"], written["split"]) == (N, "left-out")
    assert done.folds.accuracies == pytest.approx(run.folds.accuracies, abs=0.1)


def test_layers_that_have_seen_the_images_are_refused(photos: Path, run: Any, measured: None, tmp_path: Path) -> None:
    network, card = load_model(run.model)
    for provenance in (
        {**card.provenance, "frozen": "stage2"},
        {name: value for name, value in card.provenance.items() if name != "frozen"},
    ):
        save_model(
            tmp_path / "tuned.safetensors", network.state_dict(), dataclasses.replace(card, provenance=provenance)
        )
        with pytest.raises(OptionError, match=r"have trained .* hubel evaluate efficientnet_lite0 .* --folds 3"):
            evaluate_folds(tmp_path / "tuned.safetensors", str(photos), 3, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_copies_stay_in_one_fold() -> None:
    rng = np.random.default_rng(0)
    digests = np.frombuffer(rng.bytes(16 * 40), "V16").repeat(2)
    targets = (np.arange(40) % 4).repeat(2)
    for labels, stratify in ((targets, True), (rng.uniform(size=(80, 1)), False)):
        fold = assign_folds(digests, labels, 5, seed=1, stratify=stratify)
        assert (fold[::2] == fold[1::2]).all()
        assert set(fold) == {1, 2, 3, 4, 5}


def test_the_seed_divides() -> None:
    digests = np.frombuffer(np.random.default_rng(0).bytes(16 * 60), "V16")
    targets = np.arange(60) % 3
    one, same, other = (assign_folds(digests, targets, 5, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert (np.bincount(one) == [0, 12, 12, 12, 12, 12]).all()


def test_too_few_images_are_refused() -> None:
    digests = np.frombuffer(np.random.default_rng(0).bytes(16 * 6), "V16")
    with pytest.raises(OptionError, match="5 folds need at least 5 images of a class, and there are 3 at most"):
        assign_folds(digests, np.arange(6) % 2, 5)
    with pytest.raises(OptionError, match="7 different images"):
        assign_folds(digests, np.ones((6, 1)), 7, stratify=False)
    with pytest.raises(OptionError, match="folds is at least 2"):
        assign_folds(digests, np.arange(6) % 2, 1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "convnet", "folds": 5}, "5 trainings would be needed"),
        ({"weights": "none", "folds": 5}, "starts from scratch"),
        ({"folds": 5, "max_minutes": 1}, "no --max-minutes"),
        ({"folds": 99}, "99 folds need at least 99 images of a class, and there are 30 at most"),
    ],
)
def test_runs_that_cannot_have_folds_are_refused_at_once(
    settings: dict[str, Any], words: str, photos: Path, measured: None, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=words):
        hubel.train(photos, settings, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
