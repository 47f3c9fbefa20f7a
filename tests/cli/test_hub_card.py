"""A model describes itself as the Hugging Face Hub wants it, wherever its file lies."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard as TheirCard

import hubel as package
from hubel.core.errors import ModelFileError
from hubel.export import ensemble, export
from hubel.inference.load import read_any_card
from hubel.training.run_folder import RunFolder
from hubel.weights.create import card_of
from hubel.weights.hub_card import hub_card
from hubel.weights.model_file import read_card
from hubel.weights.pretrained import find_weights
from small_card import CARD

Call = Callable[..., Any]
RECIPE = {"model": "convnet", "epochs": 1, "options": {"filters": "4", "repeat": "1"}, "threads": 1, "lr": 0.02}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    return package.train("digits", RECIPE, out=folder / "run", quiet=True).folder


def theirs(text: str) -> Any:
    """The card as the Hub's own library reads it; fails where a result is no result to it."""
    return TheirCard(text, ignore_metadata_errors=False)


def test_the_hub_reads_it(run: Path) -> None:
    page = (run / "MODEL_CARD.md").read_text()
    metrics = json.loads((run / "metrics.json").read_text())
    data = theirs(page).data
    assert (data.library_name, data.pipeline_tag, data.license) == ("hubel", "image-classification", "unknown")
    assert data.tags == ["hubel", "convnet"]
    assert data.model_name == "convnet on digits"
    assert "accuracy" in data.metrics
    found = {result.metric_name: result for result in data.eval_results}
    accuracy = found["top-1 accuracy"]
    assert accuracy.metric_value == pytest.approx(metrics["top1"], abs=1e-6)
    assert (accuracy.dataset_name, accuracy.dataset_split, accuracy.metric_type) == ("digits", "test", "accuracy")
    assert found["macro F1"].metric_value == pytest.approx(metrics["macro_f1"], abs=1e-6)


def test_it_says_what_the_run_says(run: Path) -> None:
    page, config = (run / "MODEL_CARD.md").read_text(), RunFolder(run).config()
    images = config["images"]
    assert f"| Images | {images['train']:,} train, {images['val']:,} val, {images['test']:,} test |" in page
    assert f"| Digest | {config['fingerprint']} |" in page
    assert re.search(r"^\| Time \| [0-9.]+ (m?s|min) of training \|$", page, re.MULTILINE)
    machine = f"{config['recipe']['machine']['threads']} thread"
    assert re.search(rf"^\| Machine \| {machine}s? on [0-9]+ cores?, .+; (float32|bfloat16) \|$", page, re.MULTILINE)
    assert "lr 0.02" in page
    assert "momentum" not in page, "what is as usual is not listed"
    counts = [line for line in page.splitlines() if line.startswith("| 3 |")]
    per_class = json.loads((run / "metrics.json").read_text())["per_class"]
    assert counts[0].endswith(f"| {per_class[3]['support']} |")
    report = (run / "report.html").read_text()
    assert config["fingerprint"] in report
    assert "MODEL_CARD.md" in report


def test_the_file_alone_prints_it(run: Path, tmp_path: Path, hubel: Call) -> None:
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes((run / "model.safetensors").read_bytes())
    page = hubel("info", moved)
    assert page.code == 0, page.err
    assert page.out == hub_card(read_card(moved)) == hubel("info", run).out
    theirs(page.out)
    whole = (run / "MODEL_CARD.md").read_text().splitlines()
    added = [line for line in whole if line not in page.out.splitlines()]
    assert [line.split(" | ")[0] for line in added] == ["| Time", "| Machine", "| Energy"]
    file = export(moved).path
    assert hubel("info", file).out == page.out
    assert str(run.parent) not in page.out


def test_it_takes_little_room(run: Path) -> None:
    card = read_card(run / "model.safetensors")
    record = len(json.dumps(card.provenance["run"]))
    assert record < 3_000
    assert record < len(card.provenance["taught"]["keys"])


@pytest.mark.slow
def test_equal_runs_have_equal_files(run: Path, tmp_path: Path) -> None:
    again = package.train("digits", {**RECIPE, "loading_threads": 0}, out=tmp_path / "run", quiet=True)
    assert again.model.read_bytes() == (run / "model.safetensors").read_bytes()


def test_pretrained_weights_state_their_licence(hubel: Call) -> None:
    page = hubel("info", "efficientnet_lite0").out
    assert theirs(page).data.license == find_weights("efficientnet_lite0").licence == "apache-2.0"
    assert "apache-2.0, of the weights efficientnet_lite0.package" in page
    assert "Nothing is recorded of its training" in page


def test_an_ensemble_lists_its_members(run: Path, tmp_path: Path) -> None:
    other = package.train("digits", {**RECIPE, "seed": 1}, out=tmp_path / "other", quiet=True).folder
    page = hub_card(read_any_card(ensemble([run, other], tmp_path / "e.onnx").path))
    theirs(page)
    assert "| run | convnet | digits | 0 |" in page
    assert "| other | convnet | digits | 1 |" in page


def test_names_are_shown_as_they_are() -> None:
    nasty = dataclasses.replace(
        CARD,
        classes=("a|b", "<script>", "x\n---\nlicense: mit"),
        provenance={"data": 'quo"te: [x](http://y)\n---', "licence": "mit # no"},
    )
    page = hub_card(nasty)
    front = yaml.safe_load(page.split("---\n")[1])
    assert front["license"] == "mit # no"
    assert page.count("\n---\n") == 1
    assert "<script>" not in page.replace("\\<script>", "")
    assert "[x](" not in page.replace("\\[x\\](", "")


@pytest.mark.parametrize("record", [[], {"images": 3}, {"results": 1}, "x", {"results": {"metrics": [{}]}}])
def test_a_damaged_record_is_one_line(record: Any) -> None:
    card = dataclasses.replace(card_of(find_weights("efficientnet_lite0")), provenance={"run": record})
    with pytest.raises(ModelFileError, match="record of its training"):
        hub_card(card)
