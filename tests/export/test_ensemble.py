"""Several models in one file answer as the mean of what each of them answers, on every engine."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import hubel
from hubel.core.errors import HubelError, OptionError
from hubel.data.taught import Taught
from hubel.evaluation.evaluate import evaluate_file
from hubel.export.compose import mean_of_graphs
from hubel.export.ensemble import ensemble, ensemble_card
from hubel.export.onnx_graph import onnx_network
from hubel.export.quantise import measure_cost
from hubel.export.run import export
from hubel.inference.engines.registry import installed_onnx_engines
from hubel.inference.onnx_file import INPUT, OUTPUTS, read_onnx
from hubel.weights.card import ModelCard
from hubel.weights.model_file import load_model, save_model
from small_card import CARD, CLASSES

with_each_engine = pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.peer)])
P = CARD.preprocess


def write(path: Path, seed: int, **changes: Any) -> Path:
    torch.manual_seed(seed)
    card = dataclasses.replace(CARD, temperature=0.1 + 0.1 * seed, **changes)
    save_model(path, card.create().state_dict(), card)
    return path


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    """Three members: another order of classes, and another network with another normalisation."""
    return [
        write(tmp_path / "a.safetensors", 0),
        write(tmp_path / "b.safetensors", 1, classes=("red", "blue", "green")),
        write(
            tmp_path / "c.safetensors",
            2,
            model="resnet20",
            options={},
            preprocess=dataclasses.replace(P, mean=(0.1, 0.2, 0.3), std=(0.5, 0.4, 0.3)),
        ),
    ]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for number in range(24):
        size = (*generator.integers(5, 40, 2), 3)
        place = tmp_path / "photos" / CLASSES[number % 3] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, size, np.uint8)).save(place)
    return tmp_path / "photos"


def mean_of(models: list[Path], images: Any, *, tta: bool = False) -> Any:
    """By hand, from what each model file answers; classes by their names."""
    parts = []
    for path in models:
        model = hubel.load(path, device="cpu", tta=tta)
        scores = model.predict_proba(images)
        parts.append([[row[model.classes.index(name)] for name in CLASSES] for row in scores])
    return np.mean(parts, axis=0)


@with_each_engine
@pytest.mark.parametrize("tta", [False, True])
def test_scores_are_the_mean_of_the_members(
    engine: str, tta: bool, models: list[Path], photos: Path, tmp_path: Path
) -> None:
    if engine not in installed_onnx_engines():
        pytest.skip(f"needs {engine}")
    done = ensemble(models, tmp_path / "e.onnx", data=str(photos), tta=tta)
    assert done.parity.images == done.parity.top1_equal == 24
    expected = mean_of(models, photos, tta=tta)
    model = hubel.load(done.path, engine=engine)
    assert model.classes == CLASSES
    np.testing.assert_allclose(model.predict_proba(photos), expected, atol=1e-6)
    assert np.abs(expected - mean_of(models[:1], photos, tta=tta)).max() > 0.05
    if not tta:
        both = hubel.load(done.path, engine=engine, tta=True).predict_proba(photos)
        np.testing.assert_allclose(both, mean_of(models, photos, tta=True), atol=1e-6)


def test_logits_are_those_of_the_scores(models: list[Path], tmp_path: Path) -> None:
    import onnxruntime as ort

    pixels = np.random.default_rng(1).integers(0, 256, (5, P.height, P.width, 3), np.uint8)
    for tta in (False, True):
        file = ensemble(models, tmp_path / f"{tta}.onnx", tta=tta).path
        card = read_onnx(file).card
        scores, logits = ort.InferenceSession(file, providers=["CPUExecutionProvider"]).run(
            list(OUTPUTS), {INPUT: pixels}
        )
        powers = np.exp(logits / card.temperature)
        np.testing.assert_allclose(scores, powers / powers.sum(1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize(("scores", "task"), [("sigmoid", "multi_label"), ("identity", "regress")])
def test_other_kinds_of_scores(scores: str, task: str, tmp_path: Path) -> None:
    import onnxruntime as ort

    changes: dict[str, Any] = {"scores": scores, "task": task}
    if scores == "identity":
        changes |= {"classes": ("age",), "offset": 40.0}
    files = [write(tmp_path / f"{seed}.safetensors", seed, **changes) for seed in (0, 1)]
    done = ensemble(files, tmp_path / "e.onnx")
    pixels = np.random.default_rng(1).integers(0, 256, (5, P.height, P.width, 3), np.uint8)
    found, logits = ort.InferenceSession(done.path, providers=["CPUExecutionProvider"]).run(
        list(OUTPUTS), {INPUT: pixels}
    )
    each = [hubel.load(file, device="cpu").scores(pixels) for file in files]
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-5)
    card = read_onnx(done.path).card
    again = 1 / (1 + np.exp(-logits)) if scores == "sigmoid" else logits / card.temperature + card.offset
    np.testing.assert_allclose(found, again, rtol=1e-4)
    assert card.task == task


def test_groups_of_classes_are_those_that_all_members_have() -> None:
    grouped = dataclasses.replace(CARD, parents={"blue": "cold"})
    other = dataclasses.replace(CARD, classes=CLASSES[::-1], parents={"blue": "cold"})
    assert ensemble_card(["a", "b"], [grouped, other]).parents == {"blue": "cold"}
    assert ensemble_card(["a", "b"], [grouped, CARD]).parents == {}


def test_used_as_every_exported_file(models: list[Path], photos: Path, tmp_path: Path) -> None:
    done = ensemble(models, tmp_path / "e.onnx", data=str(photos))
    card, ordered = read_onnx(done.path).card, sorted(photos.rglob("*.png"))
    targets = [CLASSES.index(path.parent.name) for path in ordered]
    assert [member["network"] for member in card.provenance["members"]] == ["convnet", "convnet", "resnet20"]
    assert str(tmp_path) not in json.dumps(card.to_json()), "a path of this machine is nobody else's business"
    result = evaluate_file(done.path, str(photos), out=tmp_path / "out")
    assert result.evaluation.accuracy == done.accuracy
    assert [member.accuracy for member in done.members] == pytest.approx(
        [np.mean(mean_of([path], ordered).argmax(1) == targets) for path in models]
    )
    words = [sys.executable, "-c", LIGHT, "predict", str(done.path), str(ordered[0]), "--json"]
    (row,) = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert row["score"] == pytest.approx(mean_of(models, ordered[0]).max(), abs=1e-6)


LIGHT = """
import sys
class Refuse:
    def find_spec(self, name, *rest):
        if name.partition(".")[0] in {"torch", "matplotlib", "sklearn", "scipy", "onnx"}:
            raise ImportError(f"{name} is not needed here")
sys.meta_path.insert(0, Refuse())
from hubel.cli import main
main(sys.argv[1:])
"""


def test_equal_members_give_equal_files(models: list[Path], tmp_path: Path) -> None:
    first, second = (ensemble(models, tmp_path / f"{n}.onnx").path.read_bytes() for n in "ab")
    assert first == second


def test_a_file_that_differs_is_not_written(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["hubel.export.ensemble"]
    monkeypatch.setattr(
        module, "mean_of_graphs", lambda graphs, orders, card: mean_of_graphs(graphs[:1], orders[:1], card)
    )
    with pytest.raises(OptionError, match="of 24 images"):
        ensemble(models, tmp_path / "e.onnx")
    assert not (tmp_path / "e.onnx").exists()


def test_int8(models: list[Path], photos: Path, tmp_path: Path) -> None:
    done = ensemble(models[:2], tmp_path / "e.onnx", int8=True, data=str(photos), max_drop=0.5)
    facts = read_onnx(done.path).facts
    assert facts["precision"] == "int8"
    assert done.cost is not None
    assert facts["int8"]["agreement"] == done.cost.agreement
    assert len(facts["int8"]["members"]) == 2
    found, exact = hubel.load(done.path).predict_proba(photos), mean_of(models[:2], photos)
    assert 0 < np.abs(found - exact).max() < 0.15
    graphs = [onnx_network(*load_model(path)) for path in models[::2]]
    images = np.random.default_rng(0).integers(0, 256, (64, P.height, P.width, 3), np.uint8)
    with pytest.raises(OptionError, match=r"int8 costs too much for all members together: .* 1\.0% may be lost"):
        measure_cost(*graphs, images, None, max_drop=0.01)


def test_the_images_that_taught_any_member_measure_nothing(photos: Path, tmp_path: Path) -> None:
    digests = hubel_digests(photos)
    files = [
        write(
            tmp_path / f"{seed}.safetensors",
            seed,
            provenance={"data": "photos", "seed": seed, "taught": Taught.of(digests[seed::3]).to_json()},
        )
        for seed in (0, 1)
    ]
    done = ensemble(files, tmp_path / "e.onnx", data=str(photos))
    assert "8 labelled images" in done.images
    assert "seed" not in read_onnx(done.path).card.provenance
    result = evaluate_file(done.path, str(photos), out=tmp_path / "out")
    assert len(result.evaluation.images) == 8


def hubel_digests(photos: Path) -> Any:
    from hubel.data.dataset import open_dataset

    return open_dataset(str(photos)).digests()


@pytest.mark.slow
def test_members_that_share_a_split_keep_it(photos: Path, tmp_path: Path) -> None:
    recipe = hubel.Recipe(
        model="convnet", epochs=1, size="12", options={"filters": "4", "repeat": "1"}, threads=1, loading_threads=0
    )
    runs = [
        hubel.train(str(photos), dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, augment=augment)),
                    out=tmp_path / augment, quiet=True)
        for augment in ("none", "light")
    ]  # fmt: skip
    cards = [load_model(run.model)[1] for run in runs]
    assert cards[0].preprocess == cards[1].preprocess
    done = ensemble([run.folder for run in runs], tmp_path / "e.onnx", data=str(photos))
    assert " test images" in done.images
    assert done.accuracy == evaluate_file(done.path, str(photos), out=tmp_path / "out").evaluation.accuracy
    assert read_onnx(done.path).card.provenance["seed"] == 0
    assert [member["name"] for member in read_onnx(done.path).card.provenance["members"]] == ["none", "light"]


def other(**changes: Any) -> Callable[[Path], Path]:
    return lambda folder: write(folder / "other.safetensors", 3, **changes)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (other(classes=("blue", "green", "violet")), r"other classes than .*a\.safetensors: without red; with violet$"),
        (other(preprocess=dataclasses.replace(P, height=14)), r"3x14x10 \(squash, bilinear\).*3x12x10.*--size"),
        (other(preprocess=dataclasses.replace(P, resize="pad")), r"\(pad, bilinear\).*\(squash, bilinear\).*--resize"),
        (other(scores="sigmoid"), "scores of the kind sigmoid and .* softmax"),
        (other(scores="sigmoid", task="multi_label"), "the task multi_label and .* classify"),
        (lambda folder: folder / "a.safetensors", "at least two different models"),
        (lambda folder: export(folder / "a.safetensors").path, "exported file"),
        (lambda folder: folder / "nothing.safetensors", "no such model file"),
    ],
)
def test_what_cannot_be_averaged(
    second: Callable[[Path], Path], message: str, models: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(HubelError, match=message) as refused:
        ensemble([models[0], second(tmp_path)], tmp_path / "e.onnx")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "e.onnx").exists()


def test_mistakes(models: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--data"):
        ensemble(models, tmp_path / "e.onnx", int8=True)
    with pytest.raises(OptionError, match=r"NAME\.onnx"):
        ensemble(models, tmp_path / "e.safetensors")
    with pytest.raises(OptionError, match="at least two"):
        ensemble([], tmp_path / "e.onnx")
    with pytest.raises(OptionError, match="input"):
        ensemble(models, models[0])
    numbers = [
        write(tmp_path / f"{n}.safetensors", n, classes=("age",), scores="identity", task="regress") for n in (0, 1)
    ]
    with pytest.raises(OptionError, match="--tta"):
        ensemble(numbers, tmp_path / "e.onnx", tta=True)


def test_a_graph_keeps_only_what_its_scores_need(models: list[Path]) -> None:
    """Other outputs of a member, and what only they need, are left out."""
    onnx = pytest.importorskip("onnx")
    network, card = load_model(models[0])
    model = onnx.ModelProto.FromString(onnx_network(network, card))
    model.graph.node.append(onnx.helper.make_node("Exp", [OUTPUTS[1]], ["surprise"], "surprise"))
    found = onnx.ModelProto.FromString(mean_of_graphs([model.SerializeToString()], [[0, 1, 2]], card))
    onnx.checker.check_model(found)
    assert not any("surprise" in node.name for node in found.graph.node)
    assert [output.name for output in found.graph.output] == list(OUTPUTS)


def test_what_was_measured_with_one_network_is_left_out(models: list[Path], tmp_path: Path) -> None:
    measured = write(tmp_path / "d.safetensors", 3, reference={"images": 3})
    assert read_onnx(export(measured).path).card.reference
    assert not read_onnx(export(measured, tta=True).path).card.reference
    assert not read_onnx(ensemble([measured, *models], tmp_path / "e.onnx").path).card.reference


def test_the_card_of_an_ensemble_names_no_network(models: list[Path], tmp_path: Path) -> None:
    card = read_onnx(ensemble(models, tmp_path / "e.onnx").path).card
    assert (card.model, card.temperature) == ("ensemble", 1.0)
    with pytest.raises(HubelError, match="ensemble"):
        card.create()
    assert isinstance(card, ModelCard)
