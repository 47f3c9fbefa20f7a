"""Costs of a file or of the model lead to the same decisions in every way to predict, and are measured."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import hubel as package
from hubel.export.run import export
from hubel.inference.costs import cheapest, expected_costs
from hubel.inference.engines.registry import installed_onnx_engines
from hubel.weights.model_file import load_model, save_model
from small_card import CARD, CLASSES

Call = Callable[..., Any]
COSTS = ((0.0, 0.1, 5.0), (1.0, 0.0, 1.0), (50.0, 0.1, 0.0))
CSV = "true,blue,green,red\nblue,0,0.1,5\ngreen,1,0,1\nred,50,0.1,0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model without costs, nine photos in class folders, and a file of costs."""
    torch.manual_seed(1)
    save_model(tmp_path / "model.safetensors", CARD.create().state_dict(), CARD)
    generator = np.random.default_rng(0)
    for number in range(9):
        path = tmp_path / "photos" / CLASSES[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (12, 10, 3), np.uint8)).save(path)
    (tmp_path / "costs.csv").write_text(CSV)
    return tmp_path


def test_all_ways_to_predict_agree(folder: Path, hubel: Call) -> None:
    plain = package.load("model.safetensors")
    scores = plain.predict_proba("photos")
    wanted = [CLASSES[i] for i in cheapest(scores, COSTS)]
    assert wanted != plain.predict("photos").tolist()
    network, card = load_model(folder / "model.safetensors")
    save_model(folder / "priced.safetensors", network.state_dict(), dataclasses.replace(card, costs=COSTS))
    file = export(folder / "priced.safetensors").path
    for model in (
        package.load("model.safetensors", costs="costs.csv"),
        package.load("priced.safetensors"),
        *(package.load(file, engine=engine) for engine in installed_onnx_engines()),
    ):
        assert model.predict("photos").tolist() == wanted
        np.testing.assert_allclose(model.predict_proba("photos"), scores, atol=1e-5)
    assert package.load(file, costs="none").predict("photos").tolist() == plain.predict("photos").tolist()
    answer = hubel("predict", "priced.safetensors", "photos", "--jsonl")
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert [row["class"] for row in rows] == wanted
    expected = expected_costs(scores, COSTS).min(1)
    np.testing.assert_allclose([row["expected_cost"] for row in rows], expected, atol=1e-5)
    for row, one in zip(rows, scores, strict=True):
        rest = [entry["score"] for entry in row["top"][1:]]
        assert rest == sorted(rest, reverse=True)
        assert row["score"] == pytest.approx(one[CLASSES.index(row["class"])], abs=1e-5)
    assert "the class of least expected cost comes first" in answer.err
    table = hubel("predict", "model.safetensors", "photos", "--costs", "costs.csv")
    assert "expected cost" in table.out
    assert "expected_cost" not in hubel("predict", "priced.safetensors", "photos", "--json", "--costs", "none").out
    csv = hubel("predict", file, "photos", "--csv").out.splitlines()
    assert csv[0] == "path,class,score,class2,score2,class3,score3,expected_cost,error"
    assert [line.split(",")[1] for line in csv[1:]] == wanted


def test_evaluation_measures_decisions(folder: Path, hubel: Call) -> None:
    scores = package.load("model.safetensors").predict_proba("photos")
    truth = np.repeat(np.arange(3), 3)
    answer = hubel("evaluate", "model.safetensors", "photos", "--costs", "costs.csv", "--json")
    found = json.loads(answer.out)
    decided = cheapest(scores, COSTS)
    assert found["top1"] == pytest.approx((decided == truth).mean())
    assert found["costs"]["mean"] == pytest.approx(np.array(COSTS)[truth, decided].mean())
    assert found["costs"]["of_most_probable"] == pytest.approx(np.array(COSTS)[truth, scores.argmax(1)].mean())
    assert (found["costs"]["constant"], found["costs"]["of_constant"]) == ("green", pytest.approx(0.2 / 3))
    shown = hubel("evaluate", "model.safetensors", "photos", "--costs", "costs.csv").out
    assert "mean cost of always green" in shown
    assert "costs" not in json.loads(hubel("evaluate", "model.safetensors", "photos", "--json").out)
