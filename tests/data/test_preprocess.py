"""How a decoded image becomes what the network sees."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from hubel.core.errors import OptionError
from hubel.data.loading import network_input
from hubel.data.preprocess import Preprocess

GREY = {"channels": 1, "mean": (0.5,), "std": (0.25,)}
SIDES = st.integers(1, 40)


def picture(height: int, width: int, channels: int) -> Any:
    shape = (height, width) if channels == 1 else (height, width, 3)
    return np.random.default_rng(height * 100 + width).integers(0, 256, shape).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from([1, 3]), st.sampled_from(["bilinear", "bicubic"]))
def test_squash(height: int, width: int, to_height: int, to_width: int, channels: int, name: str) -> None:
    pixels = picture(height, width, channels)
    preprocess = Preprocess(to_height, to_width, interpolation=name)
    expected = Image.fromarray(pixels).convert("RGB").resize((to_width, to_height), Image.Resampling[name.upper()])
    assert np.array_equal(preprocess.resize(pixels), np.asarray(expected))


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_pad(height: int, width: int, to_height: int, to_width: int) -> None:
    result = Preprocess(to_height, to_width, fit="pad", **GREY).resize(picture(height, width, 1))  # type: ignore[arg-type]
    assert result.shape == (to_height, to_width, 1)
    scale = min(1, to_height / height, to_width / width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (to_height - h) // 2, (to_width - w) // 2
    inner = np.asarray(Image.fromarray(picture(height, width, 1)).resize((w, h), Image.Resampling.BILINEAR))
    expected = np.zeros((to_height, to_width), np.uint8)
    expected[top : top + h, left : left + w] = inner
    assert np.array_equal(result[..., 0], expected)


def test_padding_keeps_every_pixel_of_a_small_picture() -> None:
    pixels = picture(28, 28, 1)
    result = Preprocess(32, 32, fit="pad", **GREY).resize(pixels)  # type: ignore[arg-type]
    assert np.array_equal(result[..., 0], np.pad(pixels, 2))


def test_squash_averages_when_it_shrinks() -> None:
    pixels = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (32, 32))
    assert np.abs(Preprocess(4, 4, **GREY).resize(pixels).astype(int) - 127.5).max() < 3  # type: ignore[arg-type]


def test_channels() -> None:
    grey, colour = picture(5, 7, 1), picture(5, 7, 3)
    assert np.array_equal(Preprocess(5, 7).resize(grey), np.stack([grey] * 3, axis=2))
    luma = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(Preprocess(5, 7, **GREY).resize(colour)[..., 0] - luma).max() < 1  # type: ignore[arg-type]


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5), st.just(3))),
    st.tuples(*[st.floats(-1, 2)] * 3),
    st.tuples(*[st.floats(1e-3, 3)] * 3),
)
def test_the_network_sees_what_normalise_gives(batch: Any, mean: Any, std: Any) -> None:
    preprocess = Preprocess(5, 5, mean=mean, std=std)
    plain = preprocess.normalise(batch)
    expected = ((batch / 255 - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2)
    assert plain.dtype == np.float32
    assert plain.flags.c_contiguous
    assert np.allclose(plain, expected, rtol=1e-4, atol=1e-3)
    for pixels in (batch, batch.copy(order="F"), np.frombuffer(batch.tobytes(), np.uint8).reshape(batch.shape)):
        seen = network_input(pixels, preprocess).numpy()
        assert seen.shape == plain.shape
        assert seen.tobytes() == plain.tobytes()


def test_network_input_leaves_the_pixels_alone() -> None:
    batch = picture(4, 4, 3)[None]
    before = batch.copy()
    network_input(batch, Preprocess(4, 4))
    assert np.array_equal(batch, before)


@given(SIDES, SIDES, st.sampled_from(["squash", "pad"]), st.sampled_from(["bilinear", "bicubic"]), st.floats(0.01, 1))
def test_json_round_trip(height: int, width: int, fit: Any, interpolation: str, std: float) -> None:
    preprocess = Preprocess(height, width, 1, fit, interpolation, (0.1,), (std,))
    assert Preprocess.from_json(json.loads(json.dumps(preprocess.to_json()))) == preprocess


WHOLE = Preprocess(32, 16).to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "whole numbers of pixels from 1 on, not 0x16"),
        ({"width": -3}, "not 32x-3"),
        ({"height": 32.5}, "not 32.5x16"),
        ({"height": "32"}, "whole numbers of pixels"),
        ({"channels": 4}, r"1 \(grey\) or 3 \(RGB\) channels, not 4"),
        ({"fit": "crop"}, "fit is one of squash, pad, not 'crop'"),
        ({"interpolation": "nearest"}, "interpolation is one of bilinear, bicubic, not 'nearest'"),
        ({"mean": [0.5]}, "mean and std need 3 finite numbers each"),
        ({"std": [1, 1, 0]}, "std positive"),
        ({"std": [1, 1, float("nan")]}, "finite"),
        ({"mean": [1, 1, float("inf")]}, "finite"),
        ({"mean": ["a", "b", "c"]}, "no description of a preprocessing"),
        ({"mean": None}, "no description of a preprocessing"),
        ({"interpolation": []}, "no description of a preprocessing"),
        ({"colour": 1}, "no description of a preprocessing: .*colour"),
    ],
)
def test_descriptions_that_cannot_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Preprocess.from_json(WHOLE | change)


@pytest.mark.parametrize("value", [{}, {"mean": [1], "std": [1]}, [], "text", None])
def test_no_description_at_all(value: Any) -> None:
    with pytest.raises(OptionError, match="no description of a preprocessing"):
        Preprocess.from_json(value)
