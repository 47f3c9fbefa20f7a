"""The mean over views is what a person would compute by hand, and without it nothing changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import shift
from scipy.special import expit, softmax
from torch import nn

import hubel
from hubel.cli import main
from hubel.data.preprocess import Preprocess
from hubel.evaluation.evaluate import evaluate_file
from hubel.inference.predictor import Predictor
from hubel.inference.tta import VIEWS, views
from hubel.tasks.catalogue import find_task
from hubel.weights.card import ModelCard
from hubel.weights.model_file import save_model

COLOUR = ModelCard("convnet", ("a", "b"), Preprocess(12, 10), {"filters": [4], "repeat": [1]}, temperature=1.7)
GREY = ModelCard(
    "convnet", ("a", "b"), Preprocess(12, 10, 1, mean=(0.5,), std=(0.2,)), {"filters": [4], "repeat": [1]}, "sigmoid"
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def network(card: ModelCard) -> nn.Module:
    torch.manual_seed(0)
    return card.create().eval()


def pixels(n: int, channels: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (n, 12, 10, channels), np.uint8)


def logits(card: ModelCard, images: Any) -> Any:
    with torch.no_grad():
        return network(card)(torch.from_numpy(card.preprocess.normalise(images))).double().numpy()


def test_views_of_a_colour_image() -> None:
    images = pixels(3, 3)
    plain, mirrored, centre = views(images)
    assert np.array_equal(plain, images)
    for y in range(12):
        for x in range(10):
            assert np.array_equal(mirrored[:, y, x], images[:, y, 9 - x])
    flat = np.full((1, 20, 30, 3), 7, np.uint8)
    flat[:, 2:18, 3:27] = np.arange(24, dtype=np.uint8)[None, None, :, None] * 10
    _, _, found = views(flat)
    assert found.shape == flat.shape
    # Inside, linear interpolation of a ramp is the ramp: pixel x of 30 lies at (x + 0.5) * 24 / 30 - 0.5 of 24.
    ramp = 10 * ((np.arange(30) + 0.5) * 0.8 - 0.5)
    np.testing.assert_allclose(found[0, :, 1:-1, 0], np.broadcast_to(ramp[1:-1], (20, 28)), atol=0.6)
    assert centre.shape == images.shape


def test_views_of_a_grey_image() -> None:
    """By SciPy: pictures moved by one pixel, their edges drawn out."""
    images = pixels(2, 1)
    moves = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
    for view, (down, right) in zip(views(images), moves, strict=True):
        assert np.array_equal(view, shift(images, (0, down, right, 0), order=0, mode="nearest"))
    large = np.zeros((1, 64, 96, 1), np.uint8)
    large[0, 30, 40] = 255
    assert [tuple(np.argwhere(view[0, ..., 0])[0]) for view in views(large)] == [
        (30, 40), (28, 40), (32, 40), (30, 37), (30, 43),
    ]  # fmt: skip


def test_scores_are_the_mean_over_the_views() -> None:
    images = pixels(7, 3)
    cut = [Image.fromarray(image[1:11, 1:9]).resize((10, 12), Image.Resampling.BILINEAR) for image in images]
    seen = (images, images[:, :, ::-1], np.stack([np.asarray(image) for image in cut]))
    expected = np.mean([softmax(logits(COLOUR, view) / 1.7, 1) for view in seen], axis=0)
    predictor = Predictor(network(COLOUR), COLOUR, tta=True)
    np.testing.assert_allclose(predictor.predict_proba(images), expected, atol=1e-6)
    plain = Predictor(network(COLOUR), COLOUR).predict_proba(images)
    np.testing.assert_allclose(plain, softmax(logits(COLOUR, images) / 1.7, 1), atol=1e-6)
    assert np.abs(plain - expected).max() > 1e-4


def test_scores_of_grey_images() -> None:
    images = pixels(5, 1)
    expected = np.mean([expit(logits(GREY, view)) for view in views(images)], axis=0)
    found = Predictor(network(GREY), GREY, tta=True).predict_proba(images[..., 0])
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, image in enumerate(pixels(8, 3)):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    return tmp_path / "photos"


def test_evaluate_and_predict_agree(photos: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    save_model(model, network(COLOUR).state_dict(), COLOUR)
    both = evaluate_file(model, str(photos), split="all", out=tmp_path / "out", device="cpu", tta=True).evaluation
    plain = find_task("classify").evaluate(Predictor(network(COLOUR), COLOUR), both.images, both.targets)
    order = [photos / both.images.path(i) for i in range(8)]
    for tta, found in ((False, plain), (True, both)):
        expected = hubel.load(model, device="cpu", tta=tta).predict_proba(order)
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    expected = both.metrics.to_json() | {"tta": VIEWS[3], "split": "labelled", "used_in_training": 0}
    assert {name: value for name, value in written.items() if name not in ("intervals", "images_digest")} == expected
    assert plain.to_json() == plain.metrics.to_json()
    assert VIEWS[3] in (tmp_path / "out" / "report.html").read_text()


def test_a_network_that_makes_images_has_no_views(tmp_path: Path) -> None:
    card = ModelCard("autoencoder_28", (), Preprocess(28, 28, 1, mean=(0.0,), std=(1.0,)), scores="sigmoid")
    model = tmp_path / "m.safetensors"
    save_model(model, network(card).state_dict(), card)
    with pytest.raises(hubel.HubelError, match="--tta"):
        evaluate_file(model, "digits", split="all", out=tmp_path / "out", device="cpu", tta=True)


def test_on_the_command_line(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hubel.cli.tune_process", lambda: None)
    save_model(Path("m.safetensors"), network(COLOUR).state_dict(), COLOUR)

    def answer(*words: str) -> Any:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        assert ended.value.code == 0
        return json.loads(capsys.readouterr().out)

    plain, both = (answer("predict", "m.safetensors", "photos", "--json", *more) for more in ([], ["--tta"]))
    assert plain != both
    for tta, rows in ((False, plain), (True, both)):
        expected = hubel.load("m.safetensors", device="cpu", tta=tta).predict_proba("photos").max(1)
        assert [row["score"] for row in rows] == [round(float(score), 6) for score in expected]
    said = answer("evaluate", "m.safetensors", "photos", "--json", "--tta", "--split", "all")
    assert said == json.loads(Path("runs/evaluate-photos-1/metrics.json").read_text())
    assert said["tta"] == VIEWS[3]
