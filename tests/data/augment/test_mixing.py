"""Mixup and CutMix: what is mixed, how much, and that only seed, epoch and step decide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.data.augment import POLICIES, Policy, mix_batch


def batch(n: int = 12, height: int = 9, width: int = 7) -> np.ndarray:
    """Image i has nothing but the value 10 i."""
    return np.tile((10 * np.arange(n, dtype=np.uint8))[:, None, None, None], (1, height, width, 3))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([Policy(mixup=0.4), Policy(cutmix=1.0), Policy(mixup=0.2, cutmix=0.8)]),
    st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)),
    st.tuples(st.integers(2, 12), st.integers(1, 20), st.integers(1, 20)),
)
def test_images_are_what_is_said_of_them(
    policy: Policy, keys: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    pixels = batch(*size)
    before = pixels.copy()
    mixed, others, share = mix_batch(pixels, policy, *keys)
    assert np.array_equal(pixels, before)
    assert others is not None
    assert sorted(others.tolist()) == list(range(size[0]))
    assert 0 <= share <= 1
    for image, own, other in zip(mixed, pixels, pixels[others], strict=True):
        wanted = share * own.astype(float) + (1 - share) * other
        assert abs(image.mean() - wanted.mean()) <= 0.51, "on average, under both"
    again = mix_batch(pixels, policy, *keys)
    assert np.array_equal(again[0], mixed)
    assert again[2] == share


@pytest.mark.parametrize("place", range(3))
def test_each_key_matters(place: int) -> None:
    keys = [3, 4, 5]
    usual = mix_batch(batch(), Policy(mixup=1.0), *keys)
    keys[place] += 1
    other = mix_batch(batch(), Policy(mixup=1.0), *keys)
    assert usual[2] != other[2]
    assert not np.array_equal(usual[1], other[1])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_shares_are_of_the_beta_distribution(name: str, alpha: float) -> None:
    steps, side = (1500, 1) if name == "mixup" else (200, 60)
    pixels = batch(2, side, side)
    shares = np.array([mix_batch(pixels, Policy(**{name: alpha}), 0, 0, step)[2] for step in range(steps)])
    if name == "mixup":
        assert abs(shares.mean() - 0.5) < 0.05
        assert abs(shares.var() - 1 / (4 * (2 * alpha + 1))) < 0.02
    else:
        assert shares.mean() > 0.5, "rectangles are cut at the edges"


def test_a_rectangle_is_pasted() -> None:
    pixels = batch(4, 30, 20)
    for step in range(40):
        mixed, others, share = mix_batch(pixels, Policy(cutmix=1.0), 0, 0, step)
        assert others is not None
        for image, own, other in zip(mixed[..., 0], pixels, pixels[others], strict=True):
            if own[0, 0, 0] == other[0, 0, 0]:
                continue
            rows, columns = np.nonzero(image == other[0, 0, 0])
            assert len(rows) == round((1 - share) * 600)
            if len(rows):
                assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


def test_both_take_turns() -> None:
    ways = []
    for step in range(200):
        mixed, _, _ = mix_batch(batch(6, 30, 30), Policy(mixup=1.0, cutmix=1.0), 0, 0, step)
        ways.append(any(len(np.unique(image)) > 1 for image in mixed))
    assert 60 < sum(ways) < 140


def test_nothing_to_mix() -> None:
    assert mix_batch(batch(), POLICIES["strong"], 0, 0, 0)[1] is None
    assert mix_batch(batch(1), Policy(mixup=1.0), 0, 0, 0)[1] is None
    assert mix_batch(batch(0), Policy(mixup=1.0), 0, 0, 0)[2] == 1
