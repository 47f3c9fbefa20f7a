"""What is known of images is not computed again, and stays with its image where another one cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from hubel.audit.drifting.observe import Answers, Photo, observe
from hubel.core.errors import DecodeError
from hubel.data.decode import of_pixels
from hubel.data.samples import network_input
from hubel.inference.predictor import Predictor
from hubel.inference.scores import scores
from hubel.nn.freezing import last_linear, with_features
from small_card import CARD

NAMES = ("appearance", "files", "scores", "confidence", "predicted", "features")


def photos(pixels: np.ndarray, bad: int) -> Iterator[Photo]:
    def unreadable() -> Any:
        raise DecodeError("x", "bad")

    for number, image in enumerate(pixels):
        yield unreadable if number == bad else lambda image=image: (of_pixels(image), 0)  # type: ignore[misc]


def test_known_answers_are_those_of_the_model() -> None:
    torch.manual_seed(0)
    network = CARD.create().eval()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 10, 3), np.uint8)
    with torch.no_grad():
        both = with_features(network)(network_input(pixels, CARD.preprocess)).numpy()
    layer = last_linear(network)
    assert layer is not None
    known = Answers(scores=scores(both[:, layer.in_features :], CARD), features=both[:, : layer.in_features])
    expected, errors = observe(photos(pixels, 4), CARD.preprocess, Predictor(network, CARD))
    found, _ = observe(photos(pixels, 4), CARD.preprocess, Predictor(network, CARD), known)
    assert (len(errors), len(found.predicted)) == (1, 8)
    for name in NAMES:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=2e-3, atol=1e-4, err_msg=name)
