"""Views made by the graph are those of `hubel predict --tta`, to the bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import hubel
from hubel.cli import main
from hubel.core.errors import HubelError, OptionError
from hubel.data.preprocess import Preprocess
from hubel.evaluation.evaluate import evaluate_file
from hubel.export.compose import with_views
from hubel.export.onnx_graph import onnx_network
from hubel.export.run import export
from hubel.inference.engines.registry import installed_onnx_engines, open_onnx
from hubel.inference.onnx_file import described, read_onnx
from hubel.inference.stream import batch_size, exported_batch_size
from hubel.inference.tta import VIEWS, views
from hubel.weights.card import ModelCard
from hubel.weights.model_file import save_model
from small_card import CARD, CLASSES

GREY = dataclasses.replace(
    CARD,
    preprocess=Preprocess(12, 10, 1, mean=(0.5,), std=(0.2,)),
    classes=("a", "b"),
    scores="sigmoid",
    task="multi_label",
)


class Pixels(nn.Module):
    """A network whose outputs are the bytes of its image, so that every byte of every view counts."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 60), width=st.integers(1, 60), grey=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_the_views_are_those_of_pillow(height: int, width: int, grey: bool, seed: int) -> None:
    channels = 1 if grey else 3
    plain = Preprocess(height, width, channels, mean=(0.0,) * channels, std=(1.0,) * channels)
    classes = tuple(map(str, range(height * width * channels)))
    card = ModelCard("linear", classes, plain, scores="identity", task="regress")
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (3, height, width, channels), np.uint8)
    pixels[1] = generator.choice(np.array([0, 255], np.uint8), pixels[1].shape)  # the largest steps
    found = open_onnx("onnxruntime", with_views(onnx_network(Pixels(), card), card), lanes=1)(pixels)
    seen = [view.transpose(0, 3, 1, 2).reshape(3, -1) for view in views(pixels)]
    # The mean of whole numbers: one byte that differs by 1 differs by 1/3 or 1/5.
    np.testing.assert_allclose(255 * found, np.mean(seen, axis=0), atol=1e-2)


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.peer)])
@pytest.mark.parametrize("card", [CARD, GREY], ids=["colour", "grey"])
def test_parity_with_predict_tta(engine: str, card: ModelCard, tmp_path: Path) -> None:
    if engine not in installed_onnx_engines():
        pytest.skip(f"needs {engine}")
    torch.manual_seed(0)
    save_model(tmp_path / "m.safetensors", card.create().state_dict(), card)
    done = export(tmp_path / "m.safetensors", tta=True)
    assert done.path == tmp_path / "m.tta.onnx"
    assert done.tta == VIEWS[card.preprocess.channels]
    assert done.parity.top1_equal == done.parity.images
    images = np.random.default_rng(0).integers(0, 256, (300, 15, 17, 3), np.uint8)
    if card is GREY:
        images = images[..., :1]
    expected = hubel.load(tmp_path / "m.safetensors", device="cpu", tta=True).predict_proba(images)
    model = hubel.load(done.path, engine=engine)
    np.testing.assert_allclose(model.predict_proba(images), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(images[:1]), expected[:1], atol=1e-6)
    plain = hubel.load(tmp_path / "m.safetensors", device="cpu").predict_proba(images)
    assert np.abs(plain - expected).max() > 1e-3


def test_views_of_views_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    save_model(tmp_path / "m.safetensors", CARD.create().state_dict(), CARD)
    file = export(tmp_path / "m.safetensors", tta=True).path
    assert read_onnx(file).card.tta
    photos = tmp_path / "photos"
    for number, image in enumerate(np.random.default_rng(0).integers(0, 256, (6, 20, 20, 3), np.uint8)):
        place = photos / CLASSES[number % 3] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    with pytest.raises(OptionError, match="leave out --tta"):
        hubel.load(file, tta=True)
    monkeypatch.setattr("hubel.cli.tune_process", lambda: None)
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(file), str(photos), "--tta"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("hubel: this file averages its scores over the image, its mirror image")
    result = evaluate_file(file, str(photos), out=tmp_path / "out")
    assert result.to_json()["tta"] == VIEWS[3]
    assert VIEWS[3] in result.report.read_text()


def test_only_classifiers_average_views(tmp_path: Path) -> None:
    card = dataclasses.replace(CARD, classes=("age",), scores="identity", task="regress")
    save_model(tmp_path / "m.safetensors", card.create().state_dict(), card)
    with pytest.raises(HubelError, match="--tta"):
        export(tmp_path / "m.safetensors", tta=True)
    with pytest.raises(OptionError, match="format onnx"):
        export(tmp_path / "m.safetensors", tta=True, form="torchscript")


def test_int8_with_views(tmp_path: Path) -> None:
    save_model(tmp_path / "m.safetensors", CARD.create().state_dict(), CARD)
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, image in enumerate(np.random.default_rng(0).integers(0, 256, (16, 20, 20, 3), np.uint8)):
        Image.fromarray(image).save(photos / f"{number}.png")
    done = export(tmp_path / "m.safetensors", tta=True, int8=True, data=str(photos), max_drop=1.0)
    assert done.path == tmp_path / "m.int8.tta.onnx"
    expected = hubel.load(tmp_path / "m.safetensors", device="cpu", tta=True).predict_proba(photos)
    assert 0 < np.abs(hubel.load(done.path).predict_proba(photos) - expected).max() < 0.1


def test_views_take_the_memory_of_a_batch() -> None:
    card = dataclasses.replace(CARD, preprocess=Preprocess(224, 224))
    assert exported_batch_size(card) == batch_size(card.preprocess) == 20
    assert exported_batch_size(dataclasses.replace(card, tta=True)) == 6


def test_files_without_views_are_as_they_were(tmp_path: Path) -> None:
    network = CARD.create().eval()
    assert b"hubel.tta" not in described(onnx_network(network, CARD), CARD, {})
