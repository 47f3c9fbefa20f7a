"""The class of least expected cost, against sums written out; files of costs, with every mistake that one can make."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hubel
from hubel.core.errors import HubelError, OptionError, UnknownNameError
from hubel.inference.costs import cheapest, expected_costs, read_costs, with_costs
from hubel.metrics.costs import measure_costs
from hubel.weights.card import ModelCard
from small_card import CARD, CLASSES

# To take red for blue is very dear, to take anything for green is nearly free.
COSTS = ((0.0, 0.1, 5.0), (1.0, 0.0, 1.0), (50.0, 0.1, 0.0))
CSV = "true,blue,green,red\nblue,0,0.1,5\ngreen,1,0,1\nred,50,0.1,0\n"
TOML = "[red]\nblue = 50\ngreen = 0.1\n[blue]\nred = 5\ngreen = 0.1\n[green]\nblue = 1\nred = 1\n"


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=5))
def test_expected_costs_are_the_sums_of_the_definition(rows: list[list[float]]) -> None:
    scores = np.array(rows)
    found = expected_costs(scores, COSTS)
    for image, row in enumerate(rows):
        shares = [score / sum(row) for score in row]
        for predicted in range(3):
            assert found[image, predicted] == pytest.approx(sum(shares[i] * COSTS[i][predicted] for i in range(3)))
    assert (found[np.arange(len(rows)), cheapest(scores, COSTS)] <= found.min(1) + 1e-9).all()
    equal = 1 - np.eye(3)
    assert (cheapest(scores, equal) == scores.argmax(1)).all(), (
        "where all errors cost the same, the most probable class"
    )


def test_of_equal_costs_the_most_probable_class() -> None:
    assert cheapest(np.array([[0.2, 0.5, 0.3]]), np.zeros((3, 3))).tolist() == [1]
    assert np.allclose(expected_costs(np.zeros((1, 3)), COSTS), np.mean(COSTS, axis=0))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", CSV),
        ("a.csv", "\ufeff" + CSV.replace("\n", "\r\n")),
        ("a.csv", "predicted, red ,blue,green\n\nred,0,50,0.1\ngreen,1,1,0\n blue,5,0,0.1\n,,,\n"),
        ("a.toml", TOML),
    ],
)
def test_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert read_costs(tmp_path / name, CLASSES) == COSTS


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("no.csv", None, "no such file; expected CSV or TOML"),
        ("a.csv", "", "expected a header with the predicted classes, and a row for each true class"),
        ("a.csv", CSV.replace("green", "gren"), "no class is called 'gren'; did you mean green?"),
        ("a.csv", CSV.replace("green,1,0,1\n", ""), "the row of green is missing: each class of the model needs one"),
        (
            "a.csv",
            CSV.replace("50", "-50"),
            "the cost of predicting blue where red is true is a number from 0 to 1e+12, not '-50'",
        ),
        ("a.csv", CSV.replace("50", "1.1e12"), "is a number from 0 to 1e+12, not '1.1e12'"),
        ("a.csv", CSV.replace("50", "nan"), "is a number from 0 to 1e+12, not 'nan'"),
        ("a.csv", CSV.replace("50", "1e999"), "is a number from 0 to 1e+12, not '1e999'"),
        ("a.csv", CSV.replace("50", ""), "is a number from 0 to 1e+12, not ''"),
        ("a.csv", CSV.replace("blue,0,0.1,5", "blue,0,0.1"), "the row blue has 2 costs for 3 predicted classes"),
        ("a.csv", CSV + "red,0,0,0\n", "the row red is there twice"),
        ("a.csv", CSV.replace("true,blue,green", "true,blue,blue"), "the column blue is there twice"),
        ("a.toml", TOML.replace("[green]", "[grean]"), "no class is called 'grean'; did you mean green?"),
        ("a.toml", TOML.replace("red = 5\n", ""), "the cost of predicting red where blue is true is missing"),
        ("a.toml", TOML.replace("50", "true"), "is a number from 0 to 1e+12, not True"),
        ("a.toml", "red = 3", "red is a table of costs by predicted class, not 3"),
        ("a.toml", "[red", "no TOML: "),
    ],
)
def test_mistakes(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(HubelError) as error:
        read_costs(tmp_path / name, CLASSES)
    assert message in str(error.value)
    assert str(error.value).startswith(f"--costs {tmp_path / name}: ")
    assert "\n" not in str(error.value)
    assert isinstance(error.value, UnknownNameError if "is called" in message else OptionError)


def test_costs_of_a_card() -> None:
    card = dataclasses.replace(CARD, costs=COSTS)
    assert ModelCard.from_json(json.loads(json.dumps(card.to_json()))) == card
    assert "costs" not in CARD.to_json()
    assert with_costs(card, "none").costs is None
    assert with_costs(card, None) is card
    for wrong in (COSTS[:2], ((0.0, 1.0),) * 3, ((0.0, -1.0, 1.0),) * 3, ((0.0, float("nan"), 1.0),) * 3):
        with pytest.raises(OptionError, match="costs are"):
            dataclasses.replace(CARD, costs=wrong)
    with pytest.raises(OptionError, match="the task multi_label does not"):
        with_costs(dataclasses.replace(CARD, task="multi_label", scores="sigmoid"), "a.csv")


def test_measured_costs() -> None:
    p = np.array([[0.9, 0.0, 0.1], [0.2, 0.3, 0.5], [0.5, 0.0, 0.5]])
    truth = np.array([0, 1, 2])
    found = measure_costs(p, truth, np.array(COSTS), CLASSES)
    # Expected: 0.9 * (0, .1, 5) + 0.1 * (50, .1, 0) = (5, .1, 4.5): green, and so is the second; of the third, too.
    assert cheapest(p, COSTS).tolist() == [1, 1, 1]
    assert found.mean == pytest.approx((0.1 + 0 + 0.1) / 3)
    assert found.of_most_probable == pytest.approx((0 + 1 + 50) / 3)
    assert (found.constant, found.of_constant) == ("green", pytest.approx(0.2 / 3))


def test_training_keeps_the_costs(tmp_path: Path) -> None:
    folder = tmp_path
    (folder / "digits.csv").write_text(
        "true," + ",".join(map(str, range(10))) + "\n"
        + "".join(f"{i}," + ",".join(str(float(i != j)) for j in range(10)) + "\n" for i in range(10))
    )  # fmt: skip
    settings = {"model": "linear", "epochs": 1, "costs": str(folder / "digits.csv"), "threads": 1}
    run = hubel.train("digits", settings, out=folder / "run", quiet=True)
    assert np.array_equal(hubel.load(run.folder).card.costs, 1 - np.eye(10))
    assert json.loads((run.folder / "metrics.json").read_text())["costs"]["mean"] == pytest.approx(1 - run.accuracy)
    (folder / "costs.csv").write_text(CSV)
    with pytest.raises(UnknownNameError, match="no class is called 'blue'"):
        hubel.train("digits", {**settings, "costs": str(folder / "costs.csv")}, out=folder / "other", quiet=True)
