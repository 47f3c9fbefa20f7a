"""Every change of values against a slow reference, and their product against one after another."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from augment_references import GREY, as_bytes, grey_of, noise, recoloured, scene
from augment_steps import RECORDS, recorded
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.data.augment import POLICIES, Policy, draw_augmentations, principal_axes
from hubel.data.augment.colour import COLOUR_MATRICES, PCA, apply_colour
from hubel.data.augment.colour import GREY as GREY_OPERATION
from hubel.data.augment.effects import NOISE
from hubel.data.augment.operation import PixelEffect

STRENGTHS: dict[str, list[tuple[float, ...]]] = {
    "brightness": [(0.0,), (0.5,), (0.9,), (1.2,), (2.0,)],
    "contrast": [(0.0,), (0.6,), (0.95,), (1.3,), (2.0,)],
    "saturation": [(0.0,), (0.4,), (0.9,), (1.2,), (2.0,)],
    "hue": [(-180.0,), (-20.0,), (2.0,), (40.0,), (120.0,)],
    "channels": [(0.0, 0.0, 0.0), (0.01, -0.02, 0.0), (-0.1, 0.1, 0.2), (0.3, 0.0, -0.3), (1.0, -1.0, 0.5)],
}
SIZES = [(1, 1), (7, 5), (33, 21)]


def test_all_matrices_are_tested() -> None:
    # PCA colour shifts channels, and the loss of colour is a saturation of 0.
    assert set(STRENGTHS) == {one.name for one in COLOUR_MATRICES if one not in (PCA, GREY_OPERATION)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "values"), [(name, values) for name, every in STRENGTHS.items() for values in every])
def test_each_matrix(name: str, values: tuple[float, ...], size: tuple[int, int]) -> None:
    pixels = noise(*size)
    wanted = as_bytes(recoloured(pixels.astype(float), name, values))
    assert np.abs(apply_colour(pixels, recorded([(name, values)])) - wanted).max() <= 1
    grey = noise(*size, 1)[..., None]
    seen = recoloured(np.repeat(grey, 3, 2).astype(float), name, values)
    got = apply_colour(grey, recorded([(name, values)]))
    assert got.shape == grey.shape
    assert np.abs(got[..., 0] - as_bytes(grey_of(seen))).max() <= 1


def test_matrices_compose_without_rounding_and_cutting_between() -> None:
    pixels = scene(23, 31)
    for order in itertools.permutations(STRENGTHS):
        steps = [(name, STRENGTHS[name][3]) for name in order]
        values = pixels.astype(float)
        for name, numbers in steps:
            values = recoloured(values, name, numbers)
        assert np.abs(apply_colour(pixels, recorded(steps)) - as_bytes(values)).max() <= 1


def test_nothing_to_do_gives_the_image_itself() -> None:
    pixels = noise(5, 5)
    assert apply_colour(pixels, []) is pixels


def axes_by_definition(pixels: Any) -> Any:
    """Eigenvectors of the covariance of RGB, each times its eigenvalue: from singular values of the centred data."""
    values = pixels.reshape(-1, 3) / 255
    _, singular, rows = np.linalg.svd(values - values.mean(0), full_matrices=False)
    return rows * (singular**2 / (len(values) - 1))[:, None]


def test_principal_axes_are_those_of_the_data() -> None:
    pixels = apply_colour(scene(60, 60), recorded([("hue", (30.0,)), ("brightness", (0.7,))]))
    got, wanted = np.array(principal_axes(pixels)), axes_by_definition(pixels)
    for mine, theirs in zip(got, wanted, strict=True):
        assert np.allclose(mine, theirs * np.sign(mine @ theirs), atol=1e-6)
    assert principal_axes(np.full((4, 4, 3), 7, np.uint8)) == ((0, 0, 0),) * 3


def test_pca_colour_is_the_formula_of_the_paper() -> None:
    """To each RGB value is added [p1, p2, p3] [a1 l1, a2 l2, a3 l3]^T, with a from N(0, 0.1); Section 4.1."""
    vectors, eigenvalues = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0], np.array([0.6, 0.3, 0.2])
    axes = tuple(tuple(map(float, eigenvalues[i] * vectors[:, i])) for i in range(3))
    changes = draw_augmentations(Policy(pca=0.1, axes=axes), 0, 0, np.arange(4000))  # type: ignore[arg-type]
    added = np.array([augmentation.colour[0][1] for augmentation in changes])
    alphas = added @ vectors / eigenvalues
    assert np.allclose(added, (vectors @ (alphas * eigenvalues).T).T)
    assert np.abs(alphas.mean(0)).max() < 0.006
    assert np.abs(alphas.std(0) - 0.1).max() < 0.005
    assert np.abs(np.corrcoef(alphas.T) - np.eye(3)).max() < 0.06
    assert abs(float((np.abs(alphas) < 0.1).mean()) - math.erf(1 / math.sqrt(2))) < 0.015
    pixels = noise(9, 7)
    for augmentation, amount in zip(changes[:50], added, strict=False):
        assert np.abs(apply_colour(pixels, augmentation.colour) - as_bytes(pixels + 255 * amount)).max() <= 1


def test_imagenet_s_axes_are_perpendicular() -> None:
    axes = np.array(Policy().axes)
    assert np.allclose(np.linalg.norm(axes, axis=1), [0.2175, 0.0188, 0.0045], atol=2e-5)
    unit = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    assert np.abs(unit @ unit.T - np.eye(3)).max() < 2e-3


def test_grey_pictures() -> None:
    changes = draw_augmentations(Policy(grey=0.3), 0, 0, np.arange(3000))
    share = sum(bool(augmentation.colour) for augmentation in changes) / 3000
    assert abs(share - 0.3) < 0.03
    pixels = noise(9, 9)
    got = next(apply_colour(pixels, augmentation.colour) for augmentation in changes if augmentation.colour)
    assert np.array_equal(got[..., 0], got[..., 2])


def one(name: str, *values: float, key: int = 0, size: tuple[int, int] = (27, 35), channels: int = 3) -> Any:
    pixels = scene(*size) if channels == 3 else scene(*size)[..., :1].copy()
    before = pixels.copy()
    effect = RECORDS[name]
    assert isinstance(effect, PixelEffect)
    got = effect.apply(pixels, values, key)
    assert got.shape == pixels.shape
    assert got.dtype == np.uint8
    assert np.array_equal(pixels, before)
    return got.astype(float), before.astype(float)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("share", [0.005, 0.02, 0.03, 0.05, 0.1])
def test_blur(share: float, channels: int) -> None:
    got, pixels = one("blur", share, channels=channels)
    sigma = share * 27
    far = math.ceil(5 * sigma)
    bell = np.exp(-0.5 * (np.arange(-far, far + 1) / sigma) ** 2)
    bell /= bell.sum()
    padded = np.pad(pixels, ((far, far), (far, far), (0, 0)), mode="symmetric")
    rows = sum(weight * padded[i : i + 27] for i, weight in enumerate(bell))
    wanted = sum(weight * rows[:, i : i + 35] for i, weight in enumerate(bell))
    if sigma < 0.2:
        assert np.array_equal(got, pixels) or np.abs(got - wanted).max() < 3
    else:
        assert np.abs(got - wanted).max() < 3, "OpenCV cuts the bell off at three deviations"


@pytest.mark.parametrize("std", [0.01, 0.03, 0.05, 0.1, 0.2])
def test_noise(std: float) -> None:
    flat = np.full((200, 300, 3), 128, np.uint8)
    got = NOISE.apply(flat, (std,), 5).astype(float) - 128
    expected = np.clip(np.round(np.random.default_rng(0).normal(0, 255 * std, 200_000)), -128, 127).std()
    assert abs(got.std() / expected - 1) < 0.01
    assert abs(got.mean()) < 3 * got.std() / math.sqrt(got.size)
    assert np.abs(np.corrcoef(got.reshape(-1, 3).T) - np.eye(3)).max() < 0.02
    assert np.array_equal(NOISE.apply(flat, (std,), 5), NOISE.apply(flat, (std,), 5))
    assert not np.array_equal(NOISE.apply(flat, (std,), 5), NOISE.apply(flat, (std,), 6))


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg(channels: int) -> None:
    losses = []
    for quality in (95.0, 75.0, 50.0, 25.0, 5.0):
        got, pixels = one("jpeg", quality, channels=channels)
        losses.append(np.abs(got - pixels).mean())
    assert losses == sorted(losses)
    assert 0 < losses[0] < 0.9 * losses[-1]
    got, pixels = one("jpeg", 100.0)
    assert np.array_equal(got, pixels)


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8])
def test_posterize(bits: int) -> None:
    got, pixels = one("posterize", bits)
    step = 2 ** (8 - bits)
    assert np.array_equal(got, pixels // step * step)


@pytest.mark.parametrize("level", [0.0, 64.0, 127.5, 200.0, 255.0])
def test_solarize(level: float) -> None:
    got, pixels = one("solarize", level)
    assert np.array_equal(got, np.where(pixels < level, pixels, 255 - pixels))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("amount", [0.0, 0.1, 110 / 255, 0.6, 1.0])
def test_solarize_add(amount: float, channels: int) -> None:
    """EfficientNet's solarize_add: where(image < 128, clip(image + addition, 0, 255), image)."""
    got, pixels = one("solarize_add", amount, channels=channels)
    assert np.array_equal(got, np.where(pixels < 128, np.clip(pixels + round(255 * amount), 0, 255), pixels))
    amounts = np.array(
        [one.colour[0][1][0] for one in draw_augmentations(Policy(solarize_add=0.4), 0, np.arange(2000))]
    )
    assert np.abs(np.histogram(amounts, 4, range=(0, 0.4))[0] - 500).max() < 80


@pytest.mark.parametrize("size", [(27, 35), (5, 3), (64, 64), (1, 9), (16, 1)])
def test_autocontrast(size: tuple[int, int]) -> None:
    got, pixels = one("autocontrast", size=size)
    for channel in range(3):
        low, high = pixels[..., channel].min(), pixels[..., channel].max()
        wanted = (pixels[..., channel] - low) * 255 / (high - low) if high > low else pixels[..., channel]
        assert np.abs(got[..., channel] - wanted).max() <= 1


@pytest.mark.parametrize("size", [(27, 35), (40, 40), (64, 33), (90, 90), (33, 51)])
def test_equalize(size: tuple[int, int]) -> None:
    """The levels' ranks are spread evenly: as many pixels as Pillow takes for a step are one level."""
    got, pixels = one("equalize", size=size)
    for channel in range(3):
        values = pixels[..., channel].ravel()
        step = int((values != values.max()).sum()) // 255
        for value, becomes in zip(values.tolist(), got[..., channel].ravel().tolist(), strict=True):
            below = int((values < value).sum())
            assert becomes == (min(255, (step // 2 + below) // step) if step else value)


@pytest.mark.parametrize("factor", [0.01, 0.5, 1.0, 1.4, 1.99])
def test_sharpness(factor: float) -> None:
    """Away from the border, between the picture and its mean with weights 1 and 5 in the middle."""
    got, pixels = one("sharpness", factor)
    weights = np.ones((3, 3))
    weights[1, 1] = 5
    smooth = sum(weights[i, j] / 13 * pixels[i : i + 25, j : j + 33] for i in range(3) for j in range(3))
    inner = pixels[1:-1, 1:-1]
    assert np.abs(got[1:-1, 1:-1] - as_bytes(smooth + factor * (inner - smooth))).max() <= 2


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 3]), st.integers(0, 2**63), st.data())
def test_any_steps_keep_shape_and_type(height: int, width: int, channels: int, key: int, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(POLICIES)))
    pixels = noise(height, width, channels).reshape(height, width, channels)
    before = pixels.copy()
    for augmentation in draw_augmentations(POLICIES[name], key, np.arange(3)):
        got = apply_colour(pixels, augmentation.colour, augmentation.key)
        assert got.shape == pixels.shape
        assert got.dtype == np.uint8
    assert np.array_equal(pixels, before)


def test_lightness_of_grey_is_weighted_as_usual() -> None:
    assert sum(GREY) == pytest.approx(1)
