"""Changes to training images against a slow reference, sample by sample and pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hubel.core.errors import UnknownNameError
from hubel.core.random import uniform
from hubel.data.augment import POLICIES, Policy, augment_batch, draw_augmentations, find_policy, transform_image
from hubel.data.preprocess import Preprocess

Pixels = NDArray[np.uint8]
SIDES = st.integers(1, 11)


def images(n: int, height: int, width: int, channels: int = 3) -> Pixels:
    values = np.random.default_rng(n + height + width).integers(0, 256, (n, height, width, channels))
    return values.astype(np.uint8)


def shifted(image: Pixels, down: int, right: int) -> Pixels:
    height, width, _ = image.shape
    result = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                result[y, x] = image[y - down, x - right]
    return result


def erased(image: Pixels, share: float, y: float, x: float) -> Pixels:
    """The pixels whose centres are less than half a side from (y, x) get the mean of each channel, rounded down."""
    height, width, channels = image.shape
    mean = [int(image[..., c].astype(int).sum()) // (height * width) for c in range(channels)]
    half = share * min(height, width) / 2
    result = image.copy()
    for i in range(height):
        for j in range(width):
            if abs(i + 0.5 - y) < half and abs(j + 0.5 - x) < half:
                result[i, j] = mean
    return result


def reference(image: Pixels, policy: Policy, seed: int, epoch: int, sample: int) -> Pixels:
    height, width, _ = image.shape
    luck = [float(uniform(seed, epoch, sample, draw)) for draw in range(5)]
    most = round(policy.shift * height), round(policy.shift * width)
    down, right = (int(number * (2 * m + 1) // 1) - m for number, m in zip(luck, most, strict=False))
    result = shifted(image, down, right)
    if policy.mirror and luck[2] < 0.5:
        result = shifted(image, down, right)[:, ::-1]
    return erased(result, policy.erase, luck[3] * height, luck[4] * width) if policy.erase else result


def changed(batch: Pixels, policy: Policy, samples: Any = None, *, seed: int = 0, epoch: int = 0) -> Pixels:
    return augment_batch(
        batch, policy, seed=seed, epoch=epoch, samples=np.arange(len(batch)) if samples is None else samples
    )


@settings(max_examples=60, deadline=None)
@given(
    SIDES,
    SIDES,
    st.sampled_from([1, 3]),
    st.builds(Policy, shift=st.floats(0, 0.6), mirror=st.booleans(), erase=st.floats(0, 1)),
    st.integers(0, 2**62),
    st.integers(0, 500),
)
def test_every_operation(height: int, width: int, channels: int, policy: Policy, seed: int, epoch: int) -> None:
    batch, samples = images(4, height, width, channels), np.array([7, 0, 123_456, 3])
    before = batch.copy()
    result = changed(batch, policy, samples, seed=seed, epoch=epoch)
    assert result.dtype == np.uint8
    for image, got, sample in zip(batch, result, samples.tolist(), strict=True):
        assert np.array_equal(got, reference(image, policy, seed, epoch, sample))
    assert np.array_equal(batch, before)


@pytest.mark.parametrize("name", POLICIES)
def test_a_sample_is_changed_alike_in_any_batch(name: str) -> None:
    batch, samples = images(20, 9, 7), np.arange(100, 120)
    whole = changed(batch, POLICIES[name], samples, seed=5, epoch=2)
    order = np.random.default_rng(0).permutation(20)[:11]
    assert np.array_equal(changed(batch[order], POLICIES[name], samples[order], seed=5, epoch=2), whole[order])


@pytest.mark.parametrize("policy", [Policy(shift=0.4), Policy(mirror=True), Policy(erase=0.5)])
def test_seed_epoch_and_sample_each_matter(policy: Policy) -> None:
    batch = np.repeat(images(1, 9, 7), 40, axis=0)
    usual = changed(batch, policy)
    for other in (
        changed(batch, policy, seed=1),
        changed(batch, policy, epoch=1),
        changed(batch, policy, np.arange(40) + 1000),
    ):
        assert not np.array_equal(other, usual)
    assert len(np.unique(usual, axis=0)) > 1


def test_mirrored_twice_is_the_same() -> None:
    batch = images(50, 6, 5)
    once = changed(batch, Policy(mirror=True))
    assert np.array_equal(changed(once, Policy(mirror=True)), batch)
    turned = (once != batch).any((1, 2, 3))
    assert 10 < turned.sum() < 40
    assert np.array_equal(once[turned], batch[turned][:, :, ::-1])


def test_none_changes_nothing() -> None:
    batch = images(3, 4, 5)
    assert changed(batch, POLICIES["none"]) is batch


def test_all_shifts_are_equally_likely() -> None:
    dots = np.zeros((20_000, 9, 9, 1), np.uint8)
    dots[:, 4, 4] = 255
    _, rows, columns, _ = np.nonzero(changed(dots, Policy(shift=2 / 9)))
    table = np.histogram2d(rows, columns, bins=5, range=[[2, 7], [2, 7]])[0]
    assert len(rows) == 20_000
    assert np.abs(table - 800).max() < 140


def test_an_empty_batch() -> None:
    assert changed(images(0, 4, 5), POLICIES["strong"]).shape == (0, 4, 5, 3)


def test_policies_by_name() -> None:
    assert find_policy("auto", channels=3, size=32) == find_policy("auto", channels=3, size=63) == POLICIES["light"]
    assert find_policy("auto", channels=3, size=64) == find_policy("auto", channels=3, size=224) == POLICIES["standard"]
    assert find_policy("auto", channels=1) == POLICIES["shift"]
    assert not find_policy("auto", channels=1).mirror
    assert find_policy("strong", channels=1) == POLICIES["strong"]
    with pytest.raises(UnknownNameError, match="augmentation policy is called 'stong'; did you mean strong"):
        find_policy("stong", channels=3)


def test_halves_that_are_mirrored_change_places_from_epoch_to_epoch() -> None:
    batch, samples = images(400, 1, 2), np.arange(400)
    policy = Policy(mirror=True, alternate=True)
    epochs = [
        (augment_batch(batch, policy, seed=3, epoch=epoch, samples=samples) != batch).any((1, 2, 3))
        for epoch in range(4)
    ]
    np.testing.assert_array_equal(epochs[0], epochs[2])
    np.testing.assert_array_equal(epochs[1], epochs[3])
    different = batch[:, :, 0] != batch[:, :, 1]
    np.testing.assert_array_equal(epochs[0] ^ epochs[1], different.any((1, 2)))
    assert 150 < epochs[0].sum() < 250
    one = augment_batch(batch, Policy(mirror=True), seed=3, epoch=0, samples=samples)
    np.testing.assert_array_equal(one, augment_batch(batch, policy, seed=3, epoch=0, samples=samples))


@pytest.mark.parametrize(("fill", "mode"), [("reflect", "symmetric"), ("edge", "edge"), ("black", "constant")])
def test_what_a_shift_brings_in(fill: str, mode: str) -> None:
    batch, samples = images(60, 7, 5), np.arange(60)
    policy = Policy(shift=0.4, fill=fill)
    got = augment_batch(batch, policy, seed=1, epoch=2, samples=samples)
    black = augment_batch(batch, policy, seed=1, epoch=2, samples=samples, fill="black")
    m = round(0.4 * 7), round(0.4 * 5)
    preprocess = Preprocess(7, 5, 3, "squash")
    for sample in samples:
        down, right = (
            int(float(uniform(1, 2, int(sample), draw)) * (2 * most + 1) // 1) - most
            for draw, most in zip((0, 1), m, strict=True)
        )
        wide = np.pad(batch[sample], [(m[0], m[0]), (m[1], m[1]), (0, 0)], mode)
        expected = wide[m[0] - down : m[0] - down + 7, m[1] - right : m[1] - right + 5]
        np.testing.assert_array_equal(got[sample], expected)
        np.testing.assert_array_equal(black[sample], shifted(batch[sample], down, right))
        (augmentation,) = draw_augmentations(policy, 1, 2, np.array([sample]))
        np.testing.assert_array_equal(transform_image(batch[sample], preprocess, augmentation), expected)


def test_an_image_alone_moves_as_in_a_batch() -> None:
    three = images(3, 8, 6)
    moved = augment_batch(three, Policy(shift=0.25), seed=1, epoch=0, samples=np.arange(3))
    alone = augment_batch(three[1:2], Policy(shift=0.25), seed=1, epoch=0, samples=np.array([1]))
    assert np.array_equal(alone, moved[1:2])
