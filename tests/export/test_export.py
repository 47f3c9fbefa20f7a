"""An exported file answers as the model does, everywhere."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hubel
import peers
from hubel.core.cache import contents
from hubel.core.errors import ModelFileError, OptionError, UnknownNameError
from hubel.data.inputs import collect
from hubel.data.preprocess import Preprocess
from hubel.export.onnx_graph import check_parity, onnx_network
from hubel.export.run import export
from hubel.export.sample import sample_images
from hubel.inference import exported as exported_module
from hubel.inference import exported_engine
from hubel.inference.engines.registry import ONNX_ENGINES, installed_onnx_engines, open_onnx
from hubel.inference.exported import Exported
from hubel.inference.onnx_file import INPUT, OUTPUTS, described, read_onnx
from hubel.inference.predictor import load_network
from hubel.weights.card import ModelCard
from hubel.weights.model_file import save_model
from small_card import CARD as SMALL
from small_card import CLASSES

CARD = dataclasses.replace(SMALL, temperature=0.3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model file, and photos in folders named like its classes, one of them broken."""
    torch.manual_seed(0)
    save_model(tmp_path / "model.safetensors", CARD.create().state_dict(), CARD)
    generator = np.random.default_rng(0)
    for number in range(30):
        size = (*generator.integers(5, 40, 2), 3)
        place = tmp_path / "photos" / CLASSES[number % 3] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, size, np.uint8)).save(place)
    (tmp_path / "photos" / "red" / "bad.png").write_text("no image")
    return tmp_path


assert set(ONNX_ENGINES) == {"onnxruntime", "openvino"}
# OpenVINO is among the libraries that the peers bring (requirements/peers.txt).
with_each_engine = pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.peer)])


def skip_unless_installed(engine: str) -> None:
    if engine not in installed_onnx_engines():
        pytest.skip(f"needs {engine}")


@with_each_engine
def test_the_same_answers_everywhere(engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_unless_installed(engine)
    done = export(folder / "model.safetensors", data=str(folder / "photos"))
    assert done.path == folder / "model.onnx"
    paths = sorted(path for path in (folder / "photos").rglob("*.png") if path.name != "bad.png")
    expected = hubel.load(folder / "model.safetensors", device="cpu").predict_proba(paths)
    assert len(set(expected.argmax(1))) > 1
    monkeypatch.setattr(exported_module, "MANY", 8)
    for name in ("auto", engine):
        model = hubel.load(done.path, engine=name)
        assert model.classes == CLASSES
        np.testing.assert_allclose(model.predict_proba(paths), expected, atol=1e-5)
        np.testing.assert_allclose([model.predict_proba(path)[0] for path in paths[:3]], expected[:3], atol=1e-5)
        pictures = [np.asarray(Image.open(path)) for path in paths[:7]]
        np.testing.assert_allclose(model.predict_proba(pictures), expected[:7], atol=1e-5)


def test_bad_files_are_named_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported_module, "MANY", 1)
    file = export(folder / "model.safetensors").path
    rows = [prediction for _, prediction in hubel.load(file).rank(collect([folder / "photos"]))]
    assert [Path(row.path).name for row in rows if row.reason] == ["bad.png"]
    assert [row.path for row in rows] == [item.name for item in collect([folder / "photos"])]


def test_tta_means_the_same(folder: Path) -> None:
    file = export(folder / "model.safetensors").path
    photos = folder / "photos" / "blue"
    expected = hubel.load(folder / "model.safetensors", device="cpu", tta=True).predict_proba(photos)
    np.testing.assert_allclose(hubel.load(file, tta=True).predict_proba(photos), expected, atol=1e-5)


def test_any_onnx_tool_runs_it(folder: Path) -> None:
    """What the preprocessing does is in the graph: bytes go in, probabilities come out."""
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    file = export(folder / "model.safetensors").path
    onnx.checker.check_model(str(file))
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(1).integers(0, 256, (4, 12, 10, 3), np.uint8)
    scores, logits = session.run(list(OUTPUTS), {INPUT: pixels})
    powers = np.exp(logits / CARD.temperature)
    np.testing.assert_allclose(scores, powers / powers.sum(1, keepdims=True), rtol=1e-5)
    network = hubel.load(folder / "model.safetensors").network  # type: ignore[attr-defined]
    with torch.no_grad():
        expected = network(torch.from_numpy(CARD.preprocess.normalise(pixels)))
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-5)


def test_parity_and_provenance_are_in_the_file(folder: Path) -> None:
    done = export(folder / "model.safetensors", folder / "x" / "y.onnx", data=str(folder / "photos"))
    facts = read_onnx(done.path).facts
    assert facts["parity"] == {
        "engine": done.parity.engine,
        "images": 30,
        "top1_equal": 30,
        "largest_difference": done.parity.largest_difference,
    }
    assert (facts["opset"], facts["precision"]) == (17, "float32")
    assert facts["made_by"]["hubel"] == hubel.__version__
    assert "30" in done.lines()[0]


def test_the_output_may_be_a_string(folder: Path) -> None:
    done = export(folder / "model.safetensors", str(folder / "named.onnx"))
    assert done.path == folder / "named.onnx"
    assert "named.onnx" in "\n".join(done.lines())


def test_equal_models_give_equal_files(folder: Path) -> None:
    first, second = (export(folder / "model.safetensors", folder / f"{n}.onnx").path.read_bytes() for n in "ab")
    assert first == second


def test_weights_that_are_too_large_are_named(folder: Path) -> None:
    """Finite weights whose outputs are not: they differ from the file's by NaN, which says nothing."""
    network, card = load_network(folder / "model.safetensors")
    next(network.parameters()).data.fill_(3e38)
    model = described(onnx_network(network, card), card, {})
    with pytest.raises(ModelFileError, match="the network's outputs are NaN or infinite"):
        check_parity(network, card, model, np.full((2, 12, 10, 3), 200, np.uint8))


def test_a_file_that_differs_is_not_written(folder: Path) -> None:
    network, other = CARD.create().eval(), CARD.create().eval()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 10, 3), np.uint8)
    with pytest.raises(OptionError, match="of 9 images"):
        check_parity(network, CARD, described(onnx_network(other, CARD), CARD, {}), pixels)


def test_mistakes(folder: Path) -> None:
    model = folder / "model.safetensors"
    with pytest.raises(UnknownNameError, match="torchscript"):
        export(model, form="torchscrip")
    with pytest.raises(OptionError, match="--data"):
        export(model, int8=True)
    with pytest.raises(OptionError, match="format onnx"):
        export(model, int8=True, data=str(folder / "photos"), form="torchscript")
    file = export(model).path
    with pytest.raises(UnknownNameError, match="onnxruntime"):
        hubel.load(file, engine="onnxrutime")
    with pytest.raises(OptionError, match="hubel export"):
        hubel.load(model, engine="onnxruntime")
    with pytest.raises(OptionError, match="device"):
        hubel.load(file, device="cuda")
    with pytest.raises(OptionError, match="exported"):
        export(file)
    with pytest.raises(ModelFileError, match="cannot run"):
        open_onnx("onnxruntime", b"x", lanes=1)


def test_a_network_that_makes_images(tmp_path: Path) -> None:
    card = ModelCard("autoencoder_28", (), Preprocess(28, 28, 1, mean=(0.5,), std=(0.5,)), scores="sigmoid")
    save_model(tmp_path / "m.safetensors", card.create().state_dict(), card)
    file = export(tmp_path / "m.safetensors").path
    images = open_onnx("onnxruntime", file.read_bytes(), lanes=1)(np.zeros((2, 28, 28, 1), np.uint8))
    assert images.shape == (2, 1, 28, 28)
    assert 0 <= images.min() <= images.max() <= 1
    with pytest.raises(OptionError, match="reconstructs images"):
        hubel.load(file)


def test_int8(folder: Path) -> None:
    done = export(folder / "model.safetensors", int8=True, data=str(folder / "photos"), max_drop=0.2)
    assert done.path == folder / "model.int8.onnx"
    facts = read_onnx(done.path).facts
    assert facts["precision"] == "int8"
    assert done.quantised is not None
    assert facts["int8"]["images"] == done.quantised.cost.images == 15
    assert facts["int8"]["accuracy_before"] - facts["int8"]["accuracy_after"] <= 0.2
    exact = hubel.load(folder / "model.safetensors").predict_proba(folder / "photos" / "red" / "2.png")
    np.testing.assert_allclose(
        hubel.load(done.path).predict_proba(folder / "photos" / "red" / "2.png"), exact, atol=0.1
    )


def test_torchscript(folder: Path) -> None:
    done = export(folder / "model.safetensors", form="torchscript")
    extra = {"classes.json": ""}
    with pytest.warns(DeprecationWarning, match="jit"):
        module = torch.jit.load(done.path, _extra_files=extra)
    assert tuple(json.loads(extra["classes.json"])) == CLASSES
    pixels = np.random.default_rng(1).integers(0, 256, (5, 12, 10, 3), np.uint8)
    expected = hubel.load(folder / "model.safetensors").scores(pixels)
    np.testing.assert_allclose(module(torch.from_numpy(pixels))[0].numpy(), expected, atol=1e-5)


@pytest.mark.peer
def test_openvino(folder: Path) -> None:
    openvino = pytest.importorskip("openvino")
    done = export(folder / "model.safetensors", form="openvino")
    model = openvino.Core().read_model(done.path)
    assert tuple(json.loads(model.get_rt_info(["hubel", "classes"]).astype(str))) == CLASSES
    pixels = np.random.default_rng(1).integers(0, 256, (5, 12, 10, 3), np.uint8)
    expected = hubel.load(folder / "model.safetensors").scores(pixels)
    found = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(pixels)[OUTPUTS[0]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.peer
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "efficientnet_b0", "densenet121"])
def test_weights_for_timm(name: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    timm, card = peers.timm(), ModelCard(name, ("a", "b"), Preprocess(64, 64))
    network = card.create().eval()
    save_model(tmp_path / "m.safetensors", network.state_dict(), card)
    done = export(tmp_path / "m.safetensors", form="safetensors-timm")
    theirs = timm.create_model({"mobilenet_v2": "mobilenetv2_100"}.get(name, name), num_classes=2).eval()
    theirs.load_state_dict(load_file(done.path))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), network(images), atol=1e-4, rtol=1e-4)


def test_a_copy_in_another_process_predicts_alike(folder: Path) -> None:
    """As the workers of a DataLoader get it where they are spawned."""
    model = Exported(export(folder / "model.safetensors").path, engine="onnxruntime")
    p, random = model.card.preprocess, np.random.default_rng(0)
    images = list(random.integers(0, 256, (2, p.height, p.width, p.channels), np.uint8))
    expected = model.predict_proba(images)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert np.array_equal(other.predict_proba(images), expected)


@pytest.mark.peer
def test_the_fastest_engine_is_measured_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_unless_installed("openvino")
    file = export(folder / "model.safetensors").path
    rates = iter([5.0, 9.0])
    monkeypatch.setattr(exported_engine, "images_per_second", lambda *_, **__: next(rates))
    assert Exported(file).fastest() == "openvino"
    assert Exported(file).fastest() == "openvino", "nothing was measured again"
    assert {kind: size for kind, size, _ in contents()}["engines"] > 0
    monkeypatch.setattr(exported_engine, "installed_onnx_engines", lambda: {"onnxruntime": "0", "openvino": "0"})
    rates = iter([9.0, 5.0])
    assert Exported(file).fastest() == "onnxruntime", "other versions are measured anew"
    (place,) = exported_engine.cache_folder("engines").iterdir()
    place.write_text("{")
    rates = iter([1.0, 2.0])
    assert Exported(file).fastest() == "openvino"


LIGHT = """
import sys
class Refuse:
    def find_spec(self, name, *rest):
        if name.partition(".")[0] in {"torch", "matplotlib", "sklearn", "scipy", "onnx", "pandas", "torchvision"}:
            raise ImportError(f"{name} is not needed here")
sys.meta_path.insert(0, Refuse())
from hubel.cli import main
main(sys.argv[1:])
"""


@with_each_engine
def test_predicting_needs_no_torch(engine: str, folder: Path) -> None:
    skip_unless_installed(engine)
    file = export(folder / "model.safetensors").path
    photo = next((folder / "photos" / "blue").glob("*.png"))
    expected = hubel.load(folder / "model.safetensors", device="cpu").predict_proba(photo)[0]
    words = [sys.executable, "-c", LIGHT, "predict", str(file), str(photo), "--json", "--engine", engine]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    (row,) = json.loads(found.stdout)
    assert row["class"] == CLASSES[expected.argmax()]
    assert row["score"] == pytest.approx(expected.max(), abs=1e-5)


def test_a_few_images_are_all_compared(folder: Path) -> None:
    for name in CLASSES[1:]:
        shutil.rmtree(folder / "photos" / name)
    sample = sample_images(str(folder / "photos"), CARD)
    assert len(sample.calibration) == len(sample.check) == 10
