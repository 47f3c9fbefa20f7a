"""Models side by side: the numbers against scikit-learn and torch, pictures, exported files, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

import hubel
from hubel.cli import main
from hubel.core.errors import OptionError
from hubel.data.preprocess import Preprocess
from hubel.evaluation.side_by_side import compare_models
from hubel.weights.card import ModelCard
from hubel.weights.model_file import load_model, save_model


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubel.evaluation.side_by_side._TIMED_SECONDS", 0.01)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Networks of two sizes with random weights."""
    folder = tmp_path_factory.mktemp("models")
    made = {}
    for name, filters in (("large", "8,16"), ("small", "4,4")):
        torch.manual_seed(len(made))
        options = {"filters": filters, "repeat": "1"}
        card = ModelCard("convnet", tuple("0123456789"), Preprocess(8, 8, 1, mean=(0.5,), std=(0.3,)), options)
        made[name] = folder / f"{name}.safetensors"
        save_model(made[name], card.create().state_dict(), card)
    return made


@pytest.mark.parametrize("exports", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_numbers_are_those_of_each_model(runs: dict[str, Path], tmp_path: Path, exports: bool) -> None:
    names = [runs["large"], runs["small"]]
    if exports:
        hubel.export.export(runs["small"], tmp_path / "small.onnx")
        names.append(tmp_path / "small.onnx")
    found = compare_models(names, "digits", out=tmp_path / "out")
    dataset = hubel.data.open_dataset("digits")
    models = [hubel.load(path) for path in names]
    rows = dataset.evaluation_rows(models[0].card.provenance).rows
    predicted = [
        model.predict(dataset.images(model.card.preprocess, rows).pixels(np.arange(len(rows)))) for model in models
    ]
    labels = dataset.labels(rows)
    for row, own in zip(found.rows, predicted, strict=True):
        assert row.accuracy == pytest.approx(accuracy_score(labels, own))
        assert row.agreement == pytest.approx(accuracy_score(predicted[0], own))
        assert row.latency_ms > 0
    large, small, *exported = found.rows
    summary = hubel.summary(runs["small"])
    assert all((row.params, row.macs) == (summary.params, summary.macs) for row in (small, *exported))
    assert large.params is not None
    assert small.params is not None
    assert large.params > small.params
    sizes = [path.stat().st_size / 2**20 for path in names]
    assert [row.size_mib for row in found.rows] == pytest.approx(sizes)
    assert (found.split, found.images, large.agreement) == ("labelled", len(rows), 1.0)
    assert len(found.disagreements) == int((predicted[0] != predicted[1]).sum()) > 0
    one = found.disagreements[0]
    assert one.first[0] != one.second[0]
    surest = [min(each.first[1], each.second[1]) for each in found.disagreements]
    assert surest == sorted(surest, reverse=True)
    written = json.loads((tmp_path / "out" / "side-by-side.json").read_text())
    assert [model["accuracy"] for model in written["models"]] == [row.accuracy for row in found.rows]
    page = found.report.read_text()
    assert all(cell in page for row in found.rows for cell in row.cells()[2:])
    assert (tmp_path / "out" / "disagreements.png").read_bytes()[:4] == b"\x89PNG"


def test_the_verb_shows_a_table(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hubel.cli.tune_process", lambda: None)
    words = ["evaluate", runs["large"], "digits", "--beside", runs["small"], "--out", tmp_path / "out"]
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert not ended.value.code
    said = capsys.readouterr().out
    assert "agreement" in said
    assert str(tmp_path / "out" / "beside" / "side-by-side.html") in said


def test_other_classes_and_one_model_alone_are_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="two models or more"):
        compare_models([runs["large"]], "digits")
    network, card = load_model(runs["small"])
    save_model(tmp_path / "xo.safetensors", network.state_dict(), replace(card, classes=tuple("abcdefghij")))
    with pytest.raises(OptionError, match="has other classes than"):
        compare_models([runs["large"], tmp_path / "xo.safetensors"], "digits")
