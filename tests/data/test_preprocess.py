"""How a decoded image becomes what the network sees."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import peers
from hubel.core.errors import OptionError
from hubel.data.decode import decode
from hubel.data.preprocess import Preprocess
from hubel.data.samples import network_input

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
    assert np.array_equal(preprocess.apply(pixels), np.asarray(expected))


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_pad(height: int, width: int, to_height: int, to_width: int) -> None:
    result = Preprocess(to_height, to_width, resize="pad", **GREY).apply(picture(height, width, 1))  # type: ignore[arg-type]
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
    result = Preprocess(32, 32, resize="pad", **GREY).apply(pixels)  # type: ignore[arg-type]
    assert np.array_equal(result[..., 0], np.pad(pixels, 2))


def test_squash_averages_when_it_shrinks() -> None:
    pixels = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (32, 32))
    assert np.abs(Preprocess(4, 4, **GREY).apply(pixels).astype(int) - 127.5).max() < 3  # type: ignore[arg-type]


# Crop ---------------------------------------------------------------------------------------------------

SHARES = st.sampled_from([0.875, 0.9, 0.95, 0.965, 224 / 232, 299 / 342, 1.0])


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.integers(8, 40), SHARES, st.sampled_from(["bilinear", "bicubic"]))
def test_crop(height: int, width: int, side: int, share: float, name: str) -> None:
    """The shorter side becomes side / share, the longer one what keeps the shape; then the centre is cut out."""
    if max(height, width) > 16 * min(height, width):
        return
    pixels = picture(height, width, 3)
    shorter = math.floor(side / share + 1e-6)
    longer = shorter * max(height, width) // min(height, width)
    h, w = (shorter, longer) if height <= width else (longer, shorter)
    whole = np.asarray(Image.fromarray(pixels).resize((w, h), Image.Resampling[name.upper()]))
    top, left = round((h - side) / 2), round((w - side) / 2)
    found = Preprocess(side, side, resize="crop", interpolation=name, crop=share).apply(pixels)
    assert np.array_equal(found, whole[top : top + side, left : left + side])


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, SHARES)
def test_crop_to_any_shape(height: int, width: int, to_height: int, to_width: int, share: float) -> None:
    grey = np.full((height, width), 200, np.uint8)
    found = Preprocess(to_height, to_width, resize="crop", crop=share, **GREY).apply(grey)  # type: ignore[arg-type]
    assert found.shape == (to_height, to_width, 1)
    assert (found == 200).all()  # nothing was added at the edges


@pytest.mark.peer
@pytest.mark.parametrize("share", [0.875, 0.9, 0.934, 0.95, 224 / 232, 1.0])
@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(375, 500), (500, 333), (224, 224), (61, 200), (333, 1001)])
def test_crop_is_torchvisions(shape: tuple[int, int], name: str, share: float) -> None:
    v2 = peers.torchvision_transforms()
    mode = v2.InterpolationMode(name)
    resized = v2.Compose([v2.Resize(math.floor(224 / share + 1e-6), mode), v2.CenterCrop(224)])
    pixels = picture(*shape, 3)
    preprocess = Preprocess(224, 224, resize="crop", interpolation=name, crop=share)
    assert np.array_equal(preprocess.apply(pixels), np.asarray(resized(Image.fromarray(pixels))))


@pytest.mark.peer
@pytest.mark.parametrize(("size", "share", "resize"), [(224, 0.95, "crop"), (299, 0.875, "crop"), (448, 1.0, "squash")])
def test_crops_are_those_of_timm(size: int, share: float, resize: Any) -> None:
    peers.timm()
    from timm.data.transforms_factory import transforms_imagenet_eval

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    mode = {"crop": "center"}.get(resize, resize)
    theirs = transforms_imagenet_eval(
        size, crop_pct=share, crop_mode=mode, interpolation="bicubic", mean=mean, std=std, use_prefetcher=False
    )
    pixels = picture(375, 500, 3)
    preprocess = Preprocess(size, size, resize=resize, interpolation="bicubic", mean=mean, std=std, crop=share)
    found = preprocess.normalise(preprocess.apply(pixels)[None])[0]
    assert np.allclose(found, theirs(Image.fromarray(pixels)).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("preprocess", "least"),
    [
        (Preprocess(224, 160), (160, 224)),
        (Preprocess(224, 160, resize="pad"), (160, 224)),
        (Preprocess(224, 224, resize="crop", crop=0.875), (256, 256)),
        (Preprocess(224, 224, resize="crop", crop=224 / 232), (232, 232)),
        (Preprocess(299, 299, resize="crop", crop=299 / 342), (342, 342)),
        (Preprocess(224, 224, resize="crop", crop=0.95), (235, 235)),
        (Preprocess(100, 200, resize="crop", crop=0.5), (400, 200)),
    ],
)
def test_min_size(preprocess: Preprocess, least: tuple[int, int]) -> None:
    assert preprocess.min_size == least


@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
def test_reduced_decoding_loses_nothing(resize: Any) -> None:
    smooth = Image.linear_gradient("L").resize((1900, 1300), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    smooth.convert("RGB").save(buffer, "JPEG", quality=95)
    preprocess = Preprocess(224, 224, resize=resize, crop=0.875 if resize == "crop" else 1.0)
    whole = decode(buffer.getvalue(), name="whole").pixels
    reduced = decode(buffer.getvalue(), name="reduced", min_size=preprocess.min_size).pixels
    assert whole.shape[0] == 1300
    assert reduced.shape[0] == 650
    difference = preprocess.apply(whole).astype(int) - preprocess.apply(reduced)
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize("shape", [(1, 60_000), (60_000, 1), (3, 40_000)])
def test_a_sliver_is_cropped_without_being_enlarged(shape: tuple[int, int]) -> None:
    pixels = np.zeros(shape, np.uint8)
    pixels[shape[0] // 2 if shape[0] > shape[1] else ..., shape[1] // 2 if shape[1] > shape[0] else ...] = 255
    found = Preprocess(224, 224, resize="crop", crop=0.875, **GREY).apply(pixels)  # type: ignore[arg-type]
    assert found.max() > 200  # the middle of the picture is seen


# Colours ------------------------------------------------------------------------------------------------


def test_channels() -> None:
    grey, colour = picture(5, 7, 1), picture(5, 7, 3)
    assert np.array_equal(Preprocess(5, 7).apply(grey), np.stack([grey] * 3, axis=2))
    luma = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(Preprocess(5, 7, **GREY).apply(colour)[..., 0] - luma).max() < 1  # type: ignore[arg-type]


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5), st.just(3))),
    st.tuples(*[st.floats(-1, 2)] * 3),
    st.tuples(*[st.floats(1e-3, 3)] * 3),
)
def test_network_input_equals_normalise(batch: Any, mean: Any, std: Any) -> None:
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


FITS = st.one_of(
    st.tuples(st.sampled_from(["squash", "pad"]), st.just(1.0)), st.tuples(st.just("crop"), st.floats(0.1, 1))
)


@given(SIDES, SIDES, FITS, st.sampled_from(["bilinear", "bicubic"]), st.floats(0.01, 1))
def test_json_round_trip(height: int, width: int, resize: Any, interpolation: str, std: float) -> None:
    preprocess = Preprocess(height, width, 1, resize[0], interpolation, (0.1,), (std,), resize[1])
    assert Preprocess.from_json(json.loads(json.dumps(preprocess.to_json()))) == preprocess


def test_a_description_from_before_there_was_crop() -> None:
    preprocess = Preprocess(32, 16, resize="pad")
    described = preprocess.to_json()
    del described["crop"]
    assert Preprocess.from_json(described) == preprocess


WHOLE = Preprocess(32, 16).to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "whole numbers of pixels from 1 on, not 0x16"),
        ({"width": -3}, "not 32x-3"),
        ({"height": 32.5}, "not 32.5x16"),
        ({"height": "32"}, "whole numbers of pixels"),
        ({"channels": 4}, r"1 \(grey\) or 3 \(RGB\) channels, not 4"),
        ({"resize": "stretch"}, "resize is one of squash, pad, crop, not 'stretch'"),
        ({"resize": "crop", "crop": 0}, "crop is a share from 0.1 to 1, not 0"),
        ({"resize": "crop", "crop": 1.5}, "crop is a share from 0.1 to 1, not 1.5"),
        ({"resize": "crop", "crop": float("nan")}, "crop is a share"),
        ({"resize": "crop", "crop": "0.9"}, "no description of a preprocessing"),
        ({"crop": 0.875}, "squash needs crop 1, not 0.875"),
        ({"resize": "pad", "crop": 0.5}, "pad needs crop 1, not 0.5"),
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
