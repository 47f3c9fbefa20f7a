"""A hierarchy of classes leads to the same answers in every way to predict, and is measured at every level."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import parquet

import hubel as package
from hubel.data import collect
from hubel.export.run import export
from hubel.inference.engines.registry import installed_onnx_engines
from hubel.studio.server import running_server
from hubel.studio.settings import ServerSettings
from hubel.weights.model_file import load_model, save_model
from small_card import CARD, CLASSES

Call = Callable[..., Any]
PARENTS = {"blue": "cold", "green": "cold"}
TEMPERATURE = 0.03  # with which the scores of random weights are unequal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with a hierarchy, and nine photos in folders of this hierarchy."""
    torch.manual_seed(3)
    card = dataclasses.replace(CARD, parents=PARENTS, temperature=TEMPERATURE)
    save_model(tmp_path / "model.safetensors", card.create().state_dict(), card)
    generator = np.random.default_rng(0)
    for number in range(9):
        name = CLASSES[number % 3]
        path = tmp_path / "photos" / PARENTS.get(name, "") / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = generator.integers(0, 200, 3)
        Image.fromarray((colour + generator.integers(0, 50, (12, 10, 3))).astype(np.uint8)).save(path)
    return tmp_path


def expected_answers(scores: np.ndarray[Any, Any], sure: float) -> list[tuple[str | None, float]]:
    """The definition, written out for this hierarchy."""
    found: list[tuple[str | None, float]] = []
    for row in scores:
        best = int(row.argmax())
        if row[best] >= sure:
            found.append((CLASSES[best], row[best]))
        elif row[0] + row[1] >= sure:
            found.append(("cold", row[0] + row[1]))
        else:
            found.append((None, 1.0))
    return found


def test_all_ways_to_predict_agree(folder: Path, hubel: Call) -> None:
    plain = package.load("model.safetensors")
    scores = plain.predict_proba("photos")
    # Such that some answers are classes, some the group, and some none at all.
    best, cold = scores.max(1), scores[:, 0] + scores[:, 1]
    kinds = [(s, {*(best >= s).astype(int) + (np.maximum(best, cold) >= s)}) for s in np.arange(0.5, 0.99, 0.001)]
    sure = next(round(float(s), 3) for s, found in kinds if len(found) == 3)
    wanted = expected_answers(scores, sure)

    def check(names: list[str | None], found: list[float]) -> None:
        assert names == [name for name, _ in wanted]
        np.testing.assert_allclose(found, [score for _, score in wanted], atol=1e-5)

    file = export(folder / "model.safetensors").path
    for model in (plain, *(package.load(file, engine=engine) for engine in installed_onnx_engines())):
        ranked = [one for _, one in model.rank(collect([Path("photos")]), sure=sure)]
        check([one.ancestor for one in ranked], [one.ancestor_score for one in ranked])
    (_, unasked), *_ = plain.rank(collect([Path("photos")]))
    assert (unasked.ancestor, unasked.ancestor_score) == (None, None)

    lines = hubel("predict", file, "photos", "--sure", sure, "--jsonl").out.splitlines()
    rows = [json.loads(line) for line in lines]
    check([row["ancestor"] for row in rows], [row["ancestor_score"] for row in rows])
    table = list(csv.DictReader(io.StringIO(hubel("predict", file, "photos", "--sure", sure, "--csv").out)))
    check([row["ancestor"] or None for row in table], [float(row["ancestor_score"]) for row in table])
    assert list(table[0])[-3:] == ["ancestor", "ancestor_score", "error"]
    hubel("predict", file, "photos", "--sure", sure, "-o", "answers.parquet")
    stored = parquet.read_table("answers.parquet").to_pylist()
    check([row["ancestor"] for row in stored], [row["ancestor_score"] for row in stored])
    shown = hubel("predict", file, "photos", "--sure", "0.5").out
    assert "50% sure" in shown

    with running_server({"m": package.load(file)}, ServerSettings(port=0)) as url:
        address, answers = urlsplit(url), []
        with closing(HTTPConnection("127.0.0.1", address.port or 0)) as connection:
            for item in collect([Path("photos")]):
                connection.request(
                    "POST", f"/v1/predict?sure={sure:.3f}", Path(item.name).read_bytes(), {"content-type": "image/png"}
                )
                answers += json.loads(connection.getresponse().read())["images"]
            check([one["ancestor"] for one in answers], [one["ancestor_score"] for one in answers])
            connection.request("POST", "/v1/predict?sure=2", b"", {"content-type": "image/png"})
            response = connection.getresponse()
            assert response.status == 422
            assert "sure" in json.loads(response.read())["error"]["message"]


def test_a_stopped_prediction_goes_on_as_it_was_asked(folder: Path, hubel: Call) -> None:
    job = package.inference.BulkJob("model.safetensors", sure=0.9)
    assert job.identity() != package.inference.BulkJob("model.safetensors").identity()


def test_a_model_without_a_hierarchy_answers_with_a_class_or_none(folder: Path, hubel: Call) -> None:
    network, card = load_model(folder / "model.safetensors")
    save_model(folder / "flat.safetensors", network.state_dict(), dataclasses.replace(card, parents={}))
    scores = package.load("flat.safetensors").predict_proba("photos")
    rows = json.loads(hubel("predict", "flat.safetensors", "photos", "--sure", "0.5", "--json").out)
    assert [row["ancestor"] for row in rows] == [CLASSES[r.argmax()] if r.max() >= 0.5 else None for r in scores]


def test_evaluation_at_each_level(folder: Path, hubel: Call) -> None:
    scores = package.load("model.safetensors").predict_proba("photos")
    truth = np.repeat(np.arange(3), 3)
    shown = hubel("evaluate", "model.safetensors", "photos", "--sure", "0.5", "--out", "evaluated").out
    assert "accuracy at level 1 of 2" in shown
    assert "50% sure of a group of classes" in shown
    found = json.loads((folder / "evaluated" / "metrics.json").read_text())
    predicted = scores.argmax(1)
    upper = ((predicted == 2) == (truth == 2)).mean()
    assert [one["accuracy"] for one in found["hierarchy"]["levels"]] == pytest.approx([upper, found["top1"]])
    wanted = expected_answers(scores, 0.5)
    answers = found["hierarchy"]["answers"]
    assert answers["of_class"] == pytest.approx(np.mean([name in CLASSES for name, _ in wanted]))
    assert answers["of_group"] == pytest.approx(np.mean([name == "cold" for name, _ in wanted]))
    with (folder / "evaluated" / "predictions.csv").open(newline="") as file:
        assert [row["ancestor"] or None for row in csv.DictReader(file)] == [name for name, _ in wanted]
    assert "Levels of the hierarchy" in (folder / "evaluated" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict", "model.safetensors", "photos", "--sure", "0.2"), "sure is at least 0.5, not 0.2"),
        (("evaluate", "model.safetensors", "photos", "--sure", "1"), "sure is from 0.5 to 0.999, not 1.0"),
        (("evaluate", "model.safetensors", "photos", "--folds", "3", "--sure", "0.9"), "leave out --tta, --engine"),
    ],
)
def test_mistakes(folder: Path, hubel: Call, words: tuple[str, ...], message: str) -> None:
    answer = hubel(*words)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert answer.err.count("\n") == 1
