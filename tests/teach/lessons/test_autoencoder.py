"""The numbers of the lesson `autoencoder` against the network itself, and against Pillow and numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

from hubel.core.errors import HubelError
from hubel.models.catalogue import find
from hubel.teach.course.lesson import lesson_data
from hubel.teach.course.lessons.autoencoder.lesson import DECODERS, LESSON, train_autoencoder
from hubel.weights.create import create_model


@pytest.fixture(scope="module")
def data() -> Any:
    return lesson_data(LESSON)


def enlarged() -> NDArray[np.float64]:
    small = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    return np.stack([Image.fromarray(one).resize((28, 28), Image.Resampling.BILINEAR) for one in small]) / 255


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_table_is_the_network(data: Any, decoder: str) -> None:
    network = create_model(DECODERS[decoder])
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    rows = [layer for layer in data["layers"][decoder] if layer["parameters"]]
    assert [row["parameters"] for row in rows] == [sum(p.numel() for p in one.parameters()) for one in convolutions]
    seen: list[tuple[int, ...]] = []
    for layer in convolutions:
        layer.register_forward_hook(lambda _layer, _x, y: seen.append(y.shape[1:]))
    network(torch.zeros(1, 1, 28, 28))
    assert [(row["channels"], row["side"], row["side"]) for row in rows] == [tuple(shape) for shape in seen]
    facts = find(DECODERS[decoder])[1].published
    layers = data["layers"][decoder]
    assert sum(layer["parameters"] for layer in layers) == facts.params
    assert sum(layer["macs"] for layer in layers) == facts.macs


def test_floor_and_baseline(data: Any) -> None:
    images = enlarged()
    test = images[-360:]
    grey = test[(test > 0) & (test < 1)]
    entropy = -(grey * np.log(grey) + (1 - grey) * np.log(1 - grey)).sum() / test.size
    assert data["floor"] == pytest.approx(entropy, rel=1e-5)
    assert data["mean_error"] == pytest.approx(((test - images[:-360].mean(0)) ** 2).mean(), rel=1e-5)
    assert (data["images"], data["training"], data["pixels"]) == (1797, 1437, 784)
    assert np.allclose(data["test"], load_digits().images[-360:][:6] / 16, atol=0.003)


@pytest.mark.slow
def test_the_weights_that_are_sent_are_those_that_were_measured() -> None:
    first, last = list(train_autoencoder({"epochs": 1, "decoder": "transpose"}))
    assert last["test_loss"] < first["test_loss"] - 0.05
    network = create_model(DECODERS["transpose"])
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    for layer, sent in zip(convolutions, last["weights"], strict=True):
        layer.weight.data, layer.bias.data = (torch.as_tensor(sent[name]) for name in ("weight", "bias"))
    with torch.no_grad():
        made = network(torch.from_numpy(enlarged()[-360:, None]).float()).sigmoid().numpy()[:, 0]
    assert last["mse"] == pytest.approx(((made - enlarged()[-360:]) ** 2).mean(), rel=1e-4)


@pytest.mark.parametrize(
    "asked", [{"decoder": "deconv"}, {"epochs": 0}, {"epochs": "2"}, {"epochs": True}, {"seed": -1}]
)
def test_requests_that_cannot_be_served(asked: dict[str, Any]) -> None:
    with pytest.raises(HubelError):
        next(train_autoencoder(asked))
