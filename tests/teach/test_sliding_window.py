"""The sliding window, with a classifier that knows one colour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.data.preprocess import Preprocess
from hubel.inference.classifier import Classifier
from hubel.teach.sliding_window import slide_window, window_places
from hubel.weights.card import ModelCard

PREPROCESS = Preprocess(8, 8, 3, "squash", mean=(0.0,) * 3, std=(1.0,) * 3)


class Red(Classifier):
    """The score of "red" is the share of the window that is red."""

    def _scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        red = (pixels[..., 0] > 200).mean((1, 2))
        return np.stack([1 - red, red], axis=1)


MODEL = Red(ModelCard("mlp", ("nothing", "red"), PREPROCESS))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 20))
def test_windows_see_every_pixel_and_stay_inside(height: int, width: int, window: int, stride: int) -> None:
    window = min(window, height, width)
    seen = np.zeros((height, width), bool)
    places = window_places((height, width), window, min(stride, window))
    for left, top in places.tolist():
        assert 0 <= left <= width - window
        assert 0 <= top <= height - window
        seen[top : top + window, left : left + window] = True
    assert seen.all()
    assert len(np.unique(places, axis=0)) == len(places)


def test_the_window_that_fits_best_stays() -> None:
    image = np.zeros((120, 200, 3), np.uint8)
    image[12:60, 72:120, 0] = 255
    image[70:110, 120:168, 0] = 255  # a sixth of the window is dark
    found = slide_window(MODEL, image, windows=(48,), background="nothing", least_score=0.75)
    assert found.boxes.tolist() == [[72, 12, 120, 60], [120, 60, 168, 108]]
    assert found.scores == pytest.approx([1, 38 / 48], abs=0.07)
    assert found.classes.tolist() == [1, 1]


def test_an_image_of_nothing() -> None:
    assert len(slide_window(MODEL, np.zeros((64, 64), np.uint8), background="nothing")) == 0
    assert len(slide_window(MODEL, np.zeros((64, 64), np.uint8))) > 0  # "nothing" itself is found without a background


def test_mistakes_are_named() -> None:
    with pytest.raises(OptionError, match="do not fit"):
        slide_window(MODEL, np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(OptionError, match="nothing, red, not sky"):
        slide_window(MODEL, np.zeros((64, 64, 3), np.uint8), background="sky")
