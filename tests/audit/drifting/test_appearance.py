"""The traits of an image against their formulas in floating point, and what each change does to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import convolve, gaussian_filter
from sklearn.datasets import load_sample_image

from hubel.audit.drifting.appearance import APPEARANCE, appearance
from hubel.audit.robustness.corruptions import corrupt

NAMES = [trait.name for trait in APPEARANCE]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.ascontiguousarray(load_sample_image("china.jpg")[50:274, 200:424])


def _traits(pixels: np.ndarray) -> dict[str, float]:
    return dict(zip(NAMES, appearance(pixels).tolist(), strict=True))


def test_formulas(photo: np.ndarray) -> None:
    found, x = _traits(photo), photo.astype(float) / 255
    luma = x @ [0.299, 0.587, 0.114]
    assert found["brightness"] == pytest.approx(luma.mean(), abs=0.003)
    assert found["contrast"] == pytest.approx(luma.std(), abs=0.003)
    laplacian = convolve(luma * 255, [[0, 1, 0], [1, -4, 1], [0, 1, 0]])[1:-1, 1:-1]
    assert found["sharpness"] == pytest.approx(np.log10(laplacian.var() + 1), abs=0.01)
    half = x.reshape(112, 2, 112, 2, 3).mean((1, 3))
    rg, yb = half[..., 0] - half[..., 1], (half[..., 0] + half[..., 1]) / 2 - half[..., 2]
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert found["colourfulness"] == pytest.approx(expected, abs=0.003)
    assert found["warmth"] == pytest.approx(x[..., 0].mean() - x[..., 2].mean(), abs=0.003)
    assert found["white"] == pytest.approx((luma * 255 >= 252.5).mean(), abs=0.01)


@pytest.mark.parametrize("sigma", [2, 5, 20])
def test_noise_is_its_standard_deviation(sigma: float) -> None:
    noisy = np.random.default_rng(0).normal(128, sigma, (200, 200, 1)).round().clip(0, 255).astype(np.uint8)
    assert _traits(noisy)["noise"] * 255 == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize(
    ("change", "strength", "trait", "sign"),
    [
        ("darker", 0.4, "brightness", -1),
        ("brighter", 2, "brightness", 1),
        ("brighter", 2, "white", 1),
        ("contrast", 3, "contrast", -1),
        ("blur", 0.03, "sharpness", -1),
        ("noise", 0.1, "noise", 1),
        ("fog", 3, "colourfulness", -1),
        ("zoom_out", 0.7, "black", 1),
    ],
)
def test_changes_show(photo: np.ndarray, change: str, strength: float, trait: str, sign: int) -> None:
    before, after = _traits(photo)[trait], _traits(corrupt(photo, change, strength))[trait]
    assert sign * (after - before) > 0.01


def test_blur_does_not_pass_for_less_light(photo: np.ndarray) -> None:
    blurred = gaussian_filter(photo.astype(float), (2, 2, 0)).round().astype(np.uint8)
    assert _traits(blurred)["brightness"] == pytest.approx(_traits(photo)["brightness"], abs=0.005)


@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3]), st.data())
@settings(max_examples=50, deadline=None)
def test_any_image_has_finite_traits(height: int, width: int, channels: int, data: st.DataObject) -> None:
    pixels = data.draw(arrays(np.uint8, (height, width, channels)))
    assert np.isfinite(appearance(pixels)).all()
