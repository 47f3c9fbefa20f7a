"""The lesson on gradient descent: its landscape, its initial weights and its live runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hubel.core.errors import OptionError
from hubel.teach.course.digit_pictures import LEVELS, digit_pictures
from hubel.teach.course.lesson import lesson_data
from hubel.teach.course.lessons.training.initial import root_mean_squares
from hubel.teach.course.lessons.training.lesson import LESSON
from hubel.teach.course.lessons.training.networks import SmallRun, read_runs
from hubel.teach.course.lessons.training.two_weights import BLOCK_SIDE, BLOCKS, CLASSES, bowl

TRAIN, TEST = digit_pictures()


@pytest.fixture(scope="module")
def data() -> Any:
    return lesson_data(LESSON)


def test_inputs_are_means_of_the_marked_squares(data: Any) -> None:
    chosen = [row for row, label in enumerate(TRAIN.labels) if label in CLASSES]
    for row, x, target in zip(chosen, data["x"], data["targets"], strict=True):
        for (top, left), value in zip(BLOCKS, x, strict=True):
            square = [TRAIN.levels[row][top + i][left + j] for i in range(BLOCK_SIDE) for j in range(BLOCK_SIDE)]
            assert value == pytest.approx(sum(square) / len(square) / LEVELS, abs=1e-5)
        assert target == (1 if TRAIN.labels[row] == CLASSES[0] else -1)
    assert [data["targets"][row] for row in data["example_rows"]] == [1, -1]
    n = len(chosen)
    assert [sorted(data["orders"][i : i + n]) for i in (0, n)] == [list(range(n))] * 2


@pytest.mark.parametrize("name", ["raw", "centred"])
def test_landscape(data: Any, name: str) -> None:
    x, targets = np.array(data["x"]), np.array(data["targets"])
    if name == "centred":
        x = x - x.mean(0)
    found = data[name]
    minimum, squares = np.linalg.lstsq(x, targets, rcond=None)[:2]
    assert found["minimum"] == pytest.approx(minimum, rel=1e-4)
    assert found["lowest"] == pytest.approx(squares[0] / len(x) / 2, rel=1e-4)
    steps = np.linalg.svd(x, compute_uv=False) ** 2 / len(x)
    assert found["eigenvalues"] == pytest.approx(steps, rel=1e-4)
    assert found["largest_rate"] == pytest.approx(2 / steps[0], rel=1e-4)
    assert found["condition"] == pytest.approx(steps[0] / steps[1], rel=1e-4)


def test_subtraction_makes_the_valley_round(data: Any) -> None:
    assert data["raw"]["condition"] > 3 * data["centred"]["condition"]
    assert data["centred"]["lowest"] == pytest.approx(data["raw"]["lowest"], rel=0.05)  # nothing is lost by it


def test_decay_is_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    x, targets = rng.random((30, 2)), rng.choice([-1.0, 1.0], 30)
    rows = np.concatenate([x, np.sqrt(0.2 * len(x)) * np.eye(2)])
    minimum = np.linalg.lstsq(rows, np.concatenate([targets, [0, 0]]), rcond=None)[0]
    assert np.allclose(bowl(x, targets, 0.2).minimum, minimum)


def test_size_of_the_values(data: Any) -> None:
    sizes = np.array(data["sizes"])
    assert sizes[0] == pytest.approx(1)
    assert 0.6 < sizes.min() < sizes.max() < 1.6  # He's weights keep it
    flat = TRAIN.levels.reshape(len(TRAIN.levels), -1) / LEVELS
    pictures = (flat - flat.mean()) / flat.std()
    assert np.allclose(root_mean_squares(3 * pictures), 3 * sizes, rtol=1e-4)  # as the page's slider supposes


def request(*runs: dict[str, Any], epochs: int = 2, pictures: int | None = 100) -> list[Any]:
    return list(LESSON.live["train"]({"runs": list(runs), "epochs": epochs, "pictures": pictures}))


def test_runs_grow_side_by_side() -> None:
    rows = request({"rate": 0.02}, {"initial": "zeros"})
    assert [(row["epoch"], row["run"]) for row in rows] == [(epoch, run) for epoch in range(3) for run in range(2)]
    learns, zeros = rows[-2:]
    assert learns["train"]["loss"] < rows[0]["train"]["loss"]
    frequent = np.bincount(TEST.labels).max() / len(TEST.labels)
    assert zeros["test"]["accuracy"] <= frequent
    assert zeros["test"]["loss"] == pytest.approx(np.log(10), abs=0.05)
    assert rows == request({"rate": 0.02}, {"initial": "zeros"})


def test_a_run_that_diverges_says_so_and_ends() -> None:
    rows = request({"optimizer": "sgd", "rate": 100, "decay": 10}, {}, epochs=3)
    first = [row for row in rows if row["run"] == 0]
    assert first[-1]["train"]["loss"] is None
    assert len(first) < 5
    assert len([row for row in rows if row["run"] == 1]) == 4


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "runs is a list of 1 to 4 tables"),
        ({"runs": [{}] * 5}, "runs is a list of 1 to 4 tables"),
        ({"runs": [{"speed": 1}]}, "speed"),
        ({"runs": [{"rate": "fast"}]}, "rate is a value like 0.05, not 'fast'"),
        ({"runs": [{"subtract_mean": 1}]}, "subtract_mean is a value like True, not 1"),
        ({"runs": [{"rate": 0}]}, "rate is at least 1e-06, not 0"),
        ({"runs": [{"optimizer": "adm"}]}, "adam"),
        ({"runs": [{}], "epochs": 1000}, "epochs is from 1 to 40, not 1000"),
        ({"runs": [{}], "pictures": 1}, "pictures is at least 50, not 1"),
    ],
)
def test_requests_that_cannot_be_served(asked: Any, said: str) -> None:
    with pytest.raises((OptionError, LookupError), match=said):
        read_runs(asked)


def test_momentum_is_that_of_hubel() -> None:
    settings = SmallRun(optimizer="momentum").optimizer_settings
    assert (settings.name, settings.momentum) == ("sgd", 0.9)
    assert SmallRun(optimizer="sgd").optimizer_settings.momentum == 0


@pytest.mark.slow
def test_what_the_page_says_of_the_runs() -> None:
    torch.set_num_threads(1)
    runs = [{"optimizer": "sgd", "rate": rate} for rate in (0.002, 0.1, 2)]
    slow, right, fast = request(*runs, epochs=10, pictures=None)[-3:]
    guess = np.log(10)
    assert right["train"]["loss"] < 0.5
    assert slow["train"]["loss"] > 0.9 * guess
    assert fast["train"]["loss"] is None or fast["train"]["loss"] > 0.9 * guess
