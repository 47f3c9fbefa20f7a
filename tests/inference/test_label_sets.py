"""Prediction sets of images: the same in Python, on the command line, in files, over HTTP, from exported files."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import parquet

import hubel
from hubel.cli import main
from hubel.core.errors import OptionError
from hubel.data.inputs import collect
from hubel.export.run import export
from hubel.inference.bulk_job import BulkJob
from hubel.inference.engines.registry import installed_onnx_engines
from hubel.inference.exported import Exported
from hubel.studio.server import running_server
from hubel.studio.settings import ServerSettings
from hubel.weights.coverage import CoverageTable
from hubel.weights.model_file import read_card, save_model
from small_card import CARD, CLASSES

# Among the scores of the random network on noise. "blue" has a threshold of its own.
TABLE = CoverageTable(
    levels=(0.6, 0.9),
    images=40,
    thresholds=(0.38, 0.24),
    class_thresholds=((0.37, 0.36), (), ()),
)
SETS = dataclasses.replace(CARD, coverage=TABLE, temperature=0.3)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file with such a table, its export, and 40 photos, one of them broken."""
    folder = tmp_path_factory.mktemp("sets")
    torch.manual_seed(0)
    save_model(folder / "model.safetensors", SETS.create().state_dict(), SETS)
    export(folder / "model.safetensors")
    generator = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for number in range(40):
        level = generator.integers(0, 256, 3)
        pixels = np.clip(level + generator.normal(0, 60, (14, 11, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number:02}.png")
    (folder / "photos" / "99.png").write_bytes(b"no picture")
    return folder


def expected(place: Path, coverage: float = 0.9) -> list[dict[str, float]]:
    """The sets of the good photos: classes whose score reaches their threshold, or the best one."""
    photos = sorted((place / "photos").glob("[0-4]*.png"))
    p = hubel.load(place / "model.safetensors", device="cpu").predict_proba(photos)
    column = TABLE.levels.index(coverage)
    thresholds = [(row or TABLE.thresholds)[column] for row in TABLE.class_thresholds]
    found = []
    for row in p:
        chosen = {name: score for name, score, least in zip(CLASSES, row, thresholds, strict=True) if score >= least}
        best = CLASSES[int(row.argmax())]
        found.append(chosen or {best: float(row.max())})
    return found


def test_the_sets_differ(place: Path) -> None:
    """Otherwise the tests below would compare nothing."""
    assert {len(one) for one in expected(place)} >= {1, 2, 3}
    assert len({tuple(one) for one in expected(place, 0.6)}) > 2


@pytest.mark.parametrize("name", ["model.safetensors", "onnxruntime", pytest.param("openvino", marks=pytest.mark.peer)])
def test_in_python(name: str, place: Path) -> None:
    if name != "model.safetensors" and name not in installed_onnx_engines():
        pytest.skip(f"needs {name}")
    path = place / "model.safetensors"
    model = hubel.load(path, device="cpu") if path.name == name else Exported(place / "model.onnx", engine=name)
    for coverage in (0.6, 0.9):
        ranked = [prediction for _, prediction in model.rank(collect([place / "photos"]), coverage=coverage)]
        for prediction, wanted in zip(ranked[:-1], expected(place, coverage), strict=True):
            assert prediction.label_set is not None
            scores = dict(zip(prediction.label_set, prediction.set_scores, strict=True))
            assert scores == pytest.approx(wanted, abs=1e-5)
            assert list(prediction.set_scores) == sorted(prediction.set_scores, reverse=True)
        assert (ranked[-1].label_set, ranked[-1].ranking) == (None, ())
    (_, plain), *_ = model.rank(collect([place / "photos"]))
    assert (plain.label_set, plain.set_scores) == (None, ())


def test_on_the_command_line(place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def run(*words: object, code: int = 3) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["predict", str(place / "model.safetensors"), str(place / "photos"), *map(str, words)])
        assert ended.value.code == code
        said = capfd.readouterr()
        return said.out if code == 3 else said.err

    wanted = [list(one) for one in expected(place)]
    rows = [json.loads(line) for line in run("--coverage", 0.9, "--jsonl").splitlines()]
    assert [sorted(entry["class"] for entry in row["set"]) for row in rows[:-1]] == [sorted(one) for one in wanted]
    assert "set" not in rows[-1]
    run("--coverage", 0.9, "-o", tmp_path / "rows.parquet")
    stored = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [row["set"] for row in stored] == [row.get("set") for row in rows]
    lines = list(csv.DictReader(run("--coverage", 0.9, "--csv").splitlines()))
    assert [sorted(line["set"].split("|")) for line in lines[:-1]] == [sorted(one) for one in wanted]
    assert "90% set" in run("--coverage", 0.9)
    assert "set" not in json.loads(run("--json"))[0]
    assert "a number, not" not in run("--coverage", 95, code=2)
    assert run("--coverage", 0.99, code=2).endswith("this model has, 40; the most that they allow is 0.9\n")


def test_a_job_is_resumed_with_its_coverage_only() -> None:
    plain, sets = (BulkJob("no file", coverage=coverage).identity() for coverage in (None, 0.9))
    assert (plain["--coverage"], sets["--coverage"]) == (None, 0.9)


def test_over_http(place: Path) -> None:
    photos = sorted((place / "photos").glob("[0-4]*.png"))
    models: dict[str, Any] = {
        "sets": hubel.load(place / "model.onnx"),
        "none": hubel.load("efficientnet_lite0", device="cpu"),
    }
    with running_server(models, ServerSettings(port=0)) as address:

        def ask(photo: Path, query: str) -> Any:
            request = Request(f"{address}/v1/predict?{query}", photo.read_bytes(), {"Content-Type": "image/png"})
            with urlopen(request, timeout=30) as response:
                return json.load(response)["images"][0]

        for photo, wanted in zip(photos[:8], expected(place)[:8], strict=True):
            image = ask(photo, "model=sets&top=1&coverage=0.9")
            assert {one["class"]: one["score"] for one in image["set"]} == pytest.approx(wanted, abs=1e-5)
            assert len(image["top"]) == 1
        assert "set" not in ask(photos[0], "model=sets")
        for query, text in (
            ("model=sets&coverage=95", "from 0.5 to 0.999"),
            ("model=sets&coverage=nan", "from 0.5 to 0.999"),
            ("model=sets&coverage=", "from 0.5 to 0.999"),
            ("model=sets&coverage=0.999", "more calibration images"),
            ("model=none&coverage=0.9", "no calibration"),
        ):
            with pytest.raises(OSError, match="422") as refused:
                ask(photos[0], query)
            assert text in json.load(refused.value)["error"]["message"]  # type: ignore[call-overload]


def test_a_card_keeps_its_table(place: Path) -> None:
    assert read_card(place / "model.safetensors").coverage == TABLE
    assert hubel.load(place / "model.onnx").card.coverage == TABLE
    assert "coverage" not in CARD.to_json()
    with pytest.raises(OptionError, match="3 classes"):
        dataclasses.replace(CARD, coverage=dataclasses.replace(TABLE, class_thresholds=((), ())))


def test_models_without_a_table_say_how_to_get_one() -> None:
    with pytest.raises(OptionError, match="no calibration for prediction sets; `hubel train`"):
        CARD.coverage_table()
