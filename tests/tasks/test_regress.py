"""Regression: metrics beside scikit-learn, a standardisation that is undone, and the way from labels to an export."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

import hubel
from hubel.core.errors import DataError, OptionError
from hubel.data.loading import Images
from hubel.data.samples import Batch, Labelled
from hubel.evaluation.evaluate import evaluate_file
from hubel.export.run import export
from hubel.tasks.regress import Regression, RegressionEvaluation, RegressionObjective, measure_regression
from hubel.training.recipe import Recipe
from hubel.weights.model_file import read_card
from small_card import CARD

# Whole thousandths: scikit-learn divides by variances so small that the quotient is infinite.
NUMBERS = arrays(np.float64, st.integers(2, 30), elements=st.integers(-(10**6), 10**6).map(lambda n: n / 1000))


@given(NUMBERS, st.floats(0.1, 10))
def test_metrics_are_those_of_scikit_learn(targets: np.ndarray, noise: float) -> None:
    assume(np.ptp(targets) > 0)
    predictions = targets + noise * np.random.default_rng(0).standard_normal(len(targets))
    found = measure_regression(predictions, targets)
    assert found.mse == pytest.approx(mean_squared_error(targets, predictions))
    assert found.mae == pytest.approx(mean_absolute_error(targets, predictions))
    assert found.r2 == pytest.approx(r2_score(targets, predictions), rel=1e-6)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 7.0, 1_000_000.1])
@pytest.mark.parametrize("n", [1, 3, 6, 7, 10])
def test_equal_targets_leave_nothing_to_be_explained(value: float, n: int) -> None:
    """Their mean may differ from them by rounding; R² is 0 for a wrong constant, and 1 for the right one."""
    targets = np.full(n, value)
    assert measure_regression(targets + 0.01, targets).r2 == 0
    assert measure_regression(targets, targets).r2 == 1


def test_intervals_of_r2_of_few_images_hold_r2() -> None:
    """Replicates of equal targets have no R²: of two images, all; of one, nothing is known of any error either."""
    targets, errors = np.array([0.1, 0.7, 0.3, 0.1]), np.array([0.01, -0.02, 0.03, 0.02])
    for n in (1, 2, 3, 4):
        metrics = measure_regression(targets[:n] + errors[:n], targets[:n])
        found = RegressionEvaluation(
            metrics=metrics, predictions=targets[:n] + errors[:n], targets=targets[:n], images=cast(Images, None)
        )
        assert set(found.intervals) == ({"r2", "mse", "mae"} if n > 2 else {"mse", "mae"} if n == 2 else set())
        for name, (low, high) in found.intervals.items():
            assert low <= getattr(metrics, name) <= high
            # At worst 1 - n 0.03² / (0.2² / 2): the largest error, and the spread of the two nearest targets.
            assert name != "r2" or low > 0.8
        assert [row[2:] == ("",) for row in found.rows("test")[:3]] == [n < 3, n < 2, n < 2]
        assert ("interval" in found.headline("test")) == (n > 2)


def test_the_objective_is_the_squared_error_of_standardised_numbers() -> None:
    objective = RegressionObjective(offset=10.0, scale=4.0)
    data: Labelled[Any] = Labelled(None, np.array([[2.0], [10.0], [18.0]]))
    targets = objective.targets(data, Batch(np.array([2, 0]), np.empty(0)))
    assert targets.tolist() == [[2.0], [-2.0]]
    assert objective.losses(torch.tensor([[1.0], [1.0]]), targets).tolist() == [1.0, 9.0]
    assert objective.row("val", 0.25, 0.0) == {"val_loss": 0.25, "val_r2": 0.75}


@pytest.mark.parametrize("n", [6, 7, 17])
def test_equal_targets_are_not_divided_by_rounding(n: int) -> None:
    data: Labelled[Any] = Labelled(None, np.full((n, 1), 0.1))
    card = Regression().finish_card(CARD, data)
    assert (card.temperature, card.offset) == (1.0, pytest.approx(0.1))


@pytest.fixture
def brightness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images whose label is their mean brightness in per cent, with noise; a table of 120."""
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    rng, rows = np.random.default_rng(0), ["image_path,label"]
    for i, level in enumerate(rng.uniform(20, 80, 120)):
        pixels = rng.normal(2.55 * level, 25, (12, 12)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{level:.3f}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize(
    ("settings", "least"),
    [
        ({"model": "linear"}, 0.9),
        pytest.param({"freeze": "all", "size": "32"}, 0.5, marks=pytest.mark.slow),
    ],
)
def test_from_labels_to_an_exported_file(settings: dict[str, Any], least: float, brightness: Path) -> None:
    common = {"task": "regress", "epochs": 30, "threads": 1, "precision": "float32", "augment": "none"}
    data = str(brightness / "table.csv")
    if "freeze" in settings:
        settings = {**settings, "model": "efficientnet_lite0", "engine": "torch"}
    done = hubel.train(data, Recipe(**common, **settings), out=brightness / "run")
    assert done.evaluation is not None
    assert done.evaluation.metrics.r2 > least
    card = read_card(done.model)
    assert (card.task, card.scores, card.classes) == ("regress", "identity", ("value",))
    assert 40 < card.offset < 60
    assert (done.folder / "figures" / "predictions.png").is_file()
    again = evaluate_file(done.model, data, out=brightness / "again").evaluation
    assert again.to_json()["mae"] == pytest.approx(done.evaluation.to_json()["mae"], rel=1e-3)
    paths = [brightness / done.evaluation.images.path(i) for i in range(5)]
    wanted = hubel.load(done.model).predict_proba(paths)
    np.testing.assert_allclose(wanted[:, 0], done.evaluation.predictions[:5], rtol=1e-3)
    exported = export(done.model, brightness / "m.onnx")
    np.testing.assert_allclose(hubel.load(exported.path).predict_proba(paths), wanted, rtol=1e-3)


def test_mistakes(brightness: Path) -> None:
    rows = ["image_path,label", *(f"{i}.png,{letter}" for i, letter in enumerate("12ab"))]
    (brightness / "letters.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match="the label 'a' is no number, which the task regress needs"):
        hubel.train(str(brightness / "letters.csv"), Recipe(task="regress", model="linear", test_share=0.0))
    with pytest.raises(OptionError, match="balance has no meaning for the task regress"):
        hubel.train(str(brightness / "table.csv"), Recipe(task="regress", balance="inverse"))
