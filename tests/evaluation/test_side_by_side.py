"""Models side by side: the numbers against scikit-learn and torch, pictures, exported files, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

import hubel
from hubel.cli import main
from hubel.core.errors import OptionError
from hubel.data.sources.builtin import XO
from hubel.evaluation.side_by_side import compare_models


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two small networks of other sizes, and the digits that both hold out."""
    folder = tmp_path_factory.mktemp("runs")
    common = {"epochs": 2, "threads": 1, "loading_threads": 0, "precision": "float32", "images": 300}
    made = {}
    for name, filters in (("large", "8,16"), ("small", "4,4")):
        recipe = {"model": "convnet", "options": {"filters": filters, "repeat": "1"}, **common}
        made[name] = hubel.train("digits", recipe, out=folder / name, quiet=True).folder
    hubel.export.export(made["small"], folder / "small.onnx")
    return {**made, "exported": folder / "small.onnx"}


def test_numbers_are_those_of_each_model(runs: dict[str, Path], tmp_path: Path) -> None:
    found = compare_models([runs["large"], runs["small"], runs["exported"]], "digits", out=tmp_path / "out")
    dataset = hubel.data.open_dataset("digits")
    models = [hubel.load(path) for path in (runs["large"], runs["small"], runs["exported"])]
    rows = dataset.evaluation_rows(models[0].card.provenance).rows
    predicted = [
        model.predict(dataset.images(model.card.preprocess, rows).pixels(np.arange(len(rows)))) for model in models
    ]
    labels = dataset.labels(rows)
    for row, own in zip(found.rows, predicted, strict=True):
        assert row.accuracy == pytest.approx(accuracy_score(labels, own))
        assert row.agreement == pytest.approx(accuracy_score(predicted[0], own))
        assert row.latency_ms > 0
    large, small, exported = found.rows
    assert small.params == exported.params == hubel.summary(runs["small"]).params
    assert small.macs == exported.macs == hubel.summary(runs["small"]).macs
    assert large.params is not None
    assert small.params is not None
    assert large.params > small.params
    assert small.size_mib == pytest.approx((runs["small"] / "model.safetensors").stat().st_size / 2**20)
    assert exported.size_mib == pytest.approx(runs["exported"].stat().st_size / 2**20)
    assert (found.split, found.images, large.agreement) == ("test", len(rows), 1.0)
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
    recipe = {"model": "linear", "epochs": 1, "threads": 1, "loading_threads": 0}
    other = hubel.train("xo", recipe, xo=XO(size=9, count=40), out=tmp_path / "xo", quiet=True)
    with pytest.raises(OptionError, match="has other classes than"):
        compare_models([runs["large"], other.folder], "digits")
