"""The table and the JSON of `hubel bench`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubel.cli.verbs import VERBS
from hubel.inference.engines.registry import installed_onnx_engines
from small_speed import SPEED

Call = Callable[..., Any]
QUICK = ["--seconds", "0.05"]


@pytest.fixture
def file(hubel: Call, model: Path, tmp_path: Path) -> Path:
    assert hubel("export", model, "-o", tmp_path / "m.onnx").code == 0
    return tmp_path / "m.onnx"


def test_table(hubel: Call, file: Path) -> None:
    answer = hubel("bench", "m.onnx", *QUICK)
    assert answer.code == 0
    lines = answer.out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == ["model"])
    rows = [line.split() for line in lines[start + 2 : start + 2 + len(installed_onnx_engines())]]
    assert [row[:3] for row in rows] == [["m.onnx", engine, "float"] for engine in installed_onnx_engines()]
    assert all(len(row) == 11 + ("others" in lines[start]) for row in rows)
    assert all(float(number.replace(",", "")) > 0 for row in rows for number in row[3:10])
    assert rows[0][9] == "1.00"
    assert sum(line.startswith("best    m.onnx: ") for line in lines) == 1
    assert "without decoding" in answer.out


def test_json(hubel: Call, model: Path, file: Path) -> None:
    answer = hubel("bench", model, "m.onnx", "--engine", "torch", "--engine", "onnxruntime", *QUICK, "--json")
    assert answer.code == 0, "one row of m.onnx worked"
    found = json.loads(answer.out)
    assert [(row["model"], row["engine"], row["error"] is None) for row in found["rows"]] == [
        (str(model), "torch", True),
        (str(model), "onnxruntime", True),
        ("m.onnx", "torch", False),
        ("m.onnx", "onnxruntime", True),
    ]
    first, second, _, last = found["rows"]
    assert second["throughput_ratio"] == pytest.approx(second["images_per_second"] / first["images_per_second"])
    assert last["throughput_ratio"] == 1
    assert first["top_class"] == second["top_class"] == last["top_class"]
    assert found["machine"]["cores"] >= 1


def test_a_model_that_fails_altogether(hubel: Call, model: Path, file: Path) -> None:
    answer = hubel("bench", "m.onnx", model, "--engine", "torch", *QUICK)
    assert answer.code == 1
    assert "failed  m.onnx torch float: torch cannot run an exported file; these can: " in answer.out
    (row,) = [line.split() for line in answer.out.splitlines() if line.split()[:2] == ["m.onnx", "torch"]]
    assert row[3:11] == ["-"] * 8
    assert f"best    {model}" in answer.out


def test_a_narrow_terminal(hubel: Call, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speed = dataclasses.replace(
        SPEED,
        latency_p50_ms=1234.5,
        latency_p95_ms=2234.5,
        latency_p99_ms=3234.5,
        images_per_second=12345.6,
        batch=256,
        by_batch={"256": 12345.6},
        peak_memory_mib=1234.0,
        others_share=0.5,
    )
    monkeypatch.setattr("hubel.export.bench.run._measure_in_process", lambda _: (12.345, speed))
    monkeypatch.setattr("hubel.cli.bench._narrow", lambda: True)
    out = hubel("bench", "m.onnx", "--engine", "onnxruntime").out.partition("best ")[0]
    assert max(map(len, out.splitlines())) <= 80
    rows = [line.split() for line in out.splitlines() if line.split()[:1] == ["onnxruntime"]]
    assert rows == [
        ["onnxruntime", "float", "1,234.50", "2,234.50", "3,234.50", "12,345.6", "256", "1.00"],
        ["onnxruntime", "float", "12.35", "1,234", "50%"],
    ]


@pytest.mark.parametrize(("share", "is_shown"), [(0.02, False), (0.42, True), (None, False)])
def test_other_programs_that_disturb(
    hubel: Call, file: Path, monkeypatch: pytest.MonkeyPatch, share: float | None, is_shown: bool
) -> None:
    speed = dataclasses.replace(SPEED, peak_memory_mib=None, others_share=share)
    monkeypatch.setattr("hubel.export.bench.run._measure_in_process", lambda _: (0.5, speed))
    answer = hubel("bench", "m.onnx")
    (row,) = [line.split() for line in answer.out.splitlines() if line.split()[:2] == ["m.onnx", "onnxruntime"]]
    assert row[3:] == ["0.50", "2.00", "2.20", "2.40", "100.0", "8", "1.00", "-", *(["42%"] if is_shown else [])]
    assert ("others" in answer.out) == ("other programs used up to 42%" in answer.out) == is_shown


@pytest.mark.parametrize(
    ("words", "message"),
    {
        "": "name the models: hubel bench resnet18 model.onnx",
        "resnt18": "no model file, run or network is called 'resnt18'; did you mean resnet18",
        "n.onnx": "n.onnx: no such file; did you mean m.onnx?",
        "m.onnx --engine onnxrutime": "no engine is called 'onnxrutime'; did you mean onnxruntime?",
        "m.onnx --seconds 0": "--seconds is at least 0.001, not 0.0",
        "m.onnx --seconds soon": "--seconds is a number, not 'soon'",
        "m.onnx --bacth 3": "bench has no option --bacth; did you mean --batch?",
    }.items(),
)
def test_mistakes(hubel: Call, file: Path, words: str, message: str) -> None:
    answer = hubel("bench", *words.split())
    (line,) = answer.err.splitlines()
    assert (answer.code, answer.out) == (2, "")
    assert line.startswith(f"hubel: {message}")


def test_it_stands_with_what_ships() -> None:
    assert [verb.name for verb in VERBS if verb.heading == "Ship"][:3] == ["export", "bench", "serve"]
