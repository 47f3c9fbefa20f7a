"""Autoencoders in prediction: rows, figures, exported files; numbers against numpy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from hubel.cli import main
from hubel.core.errors import ModelFileError, OptionError
from hubel.data.preprocess import Preprocess
from hubel.inference import BulkJob, Reconstructor, load_network, load_reconstructor
from hubel.weights.card import ModelCard
from hubel.weights.model_file import save_model


@pytest.fixture
def drawing(tmp_path: Path) -> NDArray[np.uint8]:
    pixels = np.random.default_rng(0).integers(0, 255, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "drawing.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return pixels


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hubel.cli.tune_process", lambda: None)
    torch.manual_seed(0)
    card = ModelCard("autoencoder_28", (), Preprocess(28, 28, channels=1, mean=(0.0,), std=(1.0,)))
    save_model(tmp_path / "ae.safetensors", card.create().state_dict(), card)
    return tmp_path / "ae.safetensors"


def call(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def by_hand(model: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The reconstruction `(28, 28)`, 0 to 1, of an image of the network's own size."""
    network = load_network(model)[0].eval()
    with torch.no_grad():
        logits = network(torch.from_numpy(pixels / 255).float()[None, None])[0, 0].double().numpy()
    return 1 / (1 + np.exp(-logits))


def test_rows_figures_and_formats(model: Path, drawing: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]) -> None:
    made = by_hand(model, drawing)
    mse = float(np.square(made - drawing / 255).mean())
    assert call("predict", model, "drawing.png", "broken.png", "--jsonl", "--draw", "made") == 3
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {"path": "drawing.png", "mse": pytest.approx(mse, abs=2e-6), "error": None}
    assert (second["mse"], second["path"]) == (None, "broken.png")
    assert second["error"]
    assert [path.name for path in Path("made").glob("*.png")] == ["drawing.png"]
    with Image.open("made/drawing.png") as figure:
        assert figure.width > 2 * figure.height > 400
    assert call("predict", model, "drawing.png") == 0
    assert f"{mse:.4f}" in capsys.readouterr().out
    assert call("predict", model, "drawing.png", "--csv") == 0
    assert capsys.readouterr().out.splitlines()[0] == "path,mse,error"
    (found,) = load_reconstructor(model).predict([drawing])
    assert found.pixels is not None
    assert np.array_equal(found.pixels[..., 0], np.rint(255 * made).astype(np.uint8))


def test_exported_files_reconstruct_likewise(model: Path, drawing: NDArray[np.uint8]) -> None:
    pytest.importorskip("onnxruntime")
    assert call("export", model, "-o", "ae.onnx") == 0
    (found,) = load_reconstructor("ae.onnx", engine="onnxruntime").predict([drawing])
    (own,) = load_reconstructor(model).predict([drawing])
    assert found.mse == pytest.approx(own.mse, abs=1e-6)
    assert found.pixels is not None
    assert own.pixels is not None
    assert np.abs(found.pixels.astype(int) - own.pixels).max() <= 1


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (np.full((1, 1, 28, 28), np.nan), "NaN or infinite"),
        (np.zeros((1, 10)), r"are \(10,\), not images \(1, 28, 28\)"),
    ],
)
def test_outputs_that_are_no_images(outputs: NDArray[np.float64], message: str) -> None:
    card = ModelCard("autoencoder_28", (), Preprocess(28, 28, channels=1, mean=(0.0,), std=(1.0,)))
    made = Reconstructor(card, lambda pixels: outputs)
    with pytest.raises(ModelFileError, match=message):
        made.predict([np.zeros((28, 28), np.uint8)])


def test_classifiers_reconstruct_nothing(tmp_path: Path) -> None:
    card = ModelCard("lenet5_modern", ("a", "b"), Preprocess(32, 32, channels=1, mean=(0.0,), std=(1.0,)))
    save_model(tmp_path / "c.safetensors", card.create().state_dict(), card)
    with pytest.raises(OptionError, match="reconstructs no images \\(its task is classify\\); autoencoder_28 does"):
        load_reconstructor(tmp_path / "c.safetensors")


def test_what_only_classifiers_answer(model: Path) -> None:
    with pytest.raises(OptionError, match=r"--coverage is for classifiers; .* reconstructs images"):
        BulkJob(str(model), coverage=0.9).layout(load_reconstructor(model))
