"""An augmentation is a function of its keys alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from augment_references import scene
from augment_steps import named

from hubel.data.augment import (
    POLICIES,
    VIEWS,
    Augmentation,
    Policy,
    augment_batch,
    draw_augmentations,
    transform_image,
    transform_mask,
)
from hubel.data.augment.automatic import AUTOMATIC_LISTS
from hubel.data.augment.geometry import ROTATE
from hubel.data.preprocess import Preprocess

ALL = Policy(
    mirror=True, flip=True, shift=0.1, crop=0.5, aspect=1.3, rotate=10, shear=5, scale=1.2, perspective=0.1, warp=0.02,
    brightness=0.2, contrast=0.2, saturation=0.2, hue=10, channels=0.1, pca=0.1, grey=0.5, blur=0.02, noise=0.05,
    jpeg=50, posterize=0.5, solarize=0.5, equalize=0.5, erase=0.3, erase_odds=0.5,
    automatic="randaugment", operations=3,
)  # fmt: skip


def told(augmentation: Augmentation) -> Any:
    field = None if augmentation.displacements is None else augmentation.displacements.tobytes()
    return (
        augmentation.crop,
        augmentation.transforms,
        field,
        augmentation.colour,
        augmentation.erase,
        augmentation.fill,
        augmentation.key,
    )


@pytest.mark.parametrize("policy", [*POLICIES.values(), VIEWS, ALL])
def test_any_split_of_a_batch_gives_the_same(policy: Policy) -> None:
    samples = np.arange(50, 90)
    whole = [told(augmentation) for augmentation in draw_augmentations(policy, 7, 3, samples)]
    assert [told(draw_augmentations(policy, 7, 3, np.array([sample]))[0]) for sample in samples] == whole
    assert [told(draw_augmentations(policy, 7, 3, int(sample))[0]) for sample in samples] == whole
    order = np.random.default_rng(0).permutation(40)
    assert [told(augmentation) for augmentation in draw_augmentations(policy, 7, np.full(40, 3), samples[order])] == [
        whole[i] for i in order
    ]


def test_each_key_matters() -> None:
    usual = [told(augmentation) for augmentation in draw_augmentations(ALL, 0, 0, np.arange(20))]
    for other in (
        draw_augmentations(ALL, 1, 0, np.arange(20)),
        draw_augmentations(ALL, 0, 1, np.arange(20)),
        draw_augmentations(ALL, 0, 0, np.arange(20, 40)),
    ):
        assert not set(map(str, usual)) & {str(told(augmentation)) for augmentation in other}
    assert len({str(one) for one in usual}) == 20


def test_large_keys_are_no_trouble() -> None:
    assert told(draw_augmentations(ALL, 2**64 - 1, 2**63)[0]) != told(draw_augmentations(ALL, 2**64 - 1, 0)[0])
    assert told(draw_augmentations(ALL, 2**64 + 5, 1)[0]) == told(draw_augmentations(ALL, 5, 1)[0])


def test_one_setting_does_not_change_the_draws_of_another() -> None:
    alone = draw_augmentations(Policy(rotate=10), 0, 0, np.arange(30))
    among = draw_augmentations(ALL, 0, 0, np.arange(30))
    for one, many in zip(alone, among, strict=True):
        (turn,) = (values for name, values in named(one.transforms) if name == "rotate")
        assert ("rotate", turn) in named(many.transforms)


@pytest.mark.parametrize(
    ("setting", "most", "step"),
    [
        ("rotate", 20.0, "rotate"),
        ("shear", 10.0, "shear"),
        ("shift", 0.3, "shift"),
        ("perspective", 0.1, "perspective"),
        ("hue", 30.0, "hue"),
        ("channels", 0.2, "channels"),
    ],
)
def test_draws_are_uniform_both_ways(setting: str, most: float, step: str) -> None:
    # What only moves by whole pixels draws other numbers.
    changes = draw_augmentations(Policy(scale=1.1, **{setting: most}), 0, 0, np.arange(3000))
    values = np.array(
        [
            values
            for augmentation in changes
            for name, values in named((*augmentation.transforms, *augmentation.colour))
            if name == step
        ]
    )
    assert len(values) == 3000
    for column in values.T:
        assert np.abs(np.histogram(column, 6, range=(-most, most))[0] - 500).max() < 100
    assert np.abs(np.corrcoef(values.T) - np.eye(values.shape[1])).max() < 0.08 if values.shape[1] > 1 else True


@pytest.mark.parametrize("setting", ["brightness", "contrast", "saturation"])
def test_factors_lie_around_one(setting: str) -> None:
    factors = [
        augmentation.colour[0][1][0]
        for augmentation in draw_augmentations(Policy(**{setting: 0.4}), 0, 0, np.arange(3000))
    ]
    assert np.abs(np.histogram(factors, 4, range=(0.6, 1.4))[0] - 750).max() < 110


def test_scales_are_as_often_above_as_below() -> None:
    factors = np.log(
        [
            augmentation.transforms[0][1][0]
            for augmentation in draw_augmentations(Policy(scale=2), 0, 0, np.arange(3000))
        ]
    )
    assert np.abs(np.histogram(factors, 4, range=(-np.log(2), np.log(2)))[0] - 750).max() < 110


def test_shares_of_images() -> None:
    policy = Policy(mirror=True, posterize=0.1, solarize=0.2, equalize=0.3, erase=0.2, erase_odds=0.4)
    changes = draw_augmentations(policy, 0, 0, np.arange(5000))
    for name, share in (("posterize", 0.1), ("solarize", 0.2), ("equalize", 0.3)):
        assert (
            abs(sum(name == step for augmentation in changes for step, _ in named(augmentation.colour)) / 5000 - share)
            < 0.025
        )
    assert abs(sum(bool(augmentation.transforms) for augmentation in changes) / 5000 - 0.5) < 0.025
    assert abs(sum(augmentation.erase is not None for augmentation in changes) / 5000 - 0.4) < 0.025


def test_trivialaugment_is_one_operation_of_any_strength() -> None:
    """Mueller & Hutter 2021, Section 3: one of 14, with one of 31 strengths."""
    changes = draw_augmentations(Policy(automatic="trivialaugment", operations=5), 0, 0, np.arange(14_000))
    assert all(len(augmentation.transforms) + len(augmentation.colour) == 1 for augmentation in changes)
    counts: dict[str, int] = {}
    for augmentation in changes:
        ((name, _),) = named((*augmentation.transforms, *augmentation.colour))
        counts[name] = counts.get(name, 0) + 1
    once = "rotate brightness saturation contrast sharpness posterize solarize autocontrast equalize"
    expected = {"shift": 3, "shear": 2} | dict.fromkeys(once.split(), 1)
    assert set(counts) == set(expected)
    assert all(abs(counts[name] - 1000 * times) < 150 * times for name, times in expected.items())
    turns = np.unique(
        [
            augmentation.transforms[0][1][0]
            for augmentation in changes
            if augmentation.transforms[:1] and augmentation.transforms[0][0] is ROTATE
        ]
    )
    assert np.allclose(np.unique(np.abs(turns).round(6)), 135 * np.arange(31) / 30)


def test_randaugment_is_as_many_operations_of_one_strength() -> None:
    """Cubuk et al. 2019, Section 3.1: N of the list, each with the strength M of 30."""
    changes = draw_augmentations(Policy(automatic="randaugment", operations=3, strength=15), 0, 0, np.arange(500))
    assert all(len(augmentation.transforms) + len(augmentation.colour) == 3 for augmentation in changes)
    turns = {
        values[0] for augmentation in changes for name, values in named(augmentation.transforms) if name == "rotate"
    }
    assert turns == {15.0, -15.0}
    depths = {
        values[0] for augmentation in changes for name, values in named(augmentation.colour) if name == "posterize"
    }
    assert depths == {6.0}


def test_the_strongest_operations_are_the_papers() -> None:
    wide = [operation.values(1.0, 1.0) for operation in AUTOMATIC_LISTS["trivialaugment"]]
    assert np.tan(np.radians(wide[1][0])) == pytest.approx(0.99)
    assert wide[5] == (135,)
    assert wide[6] == pytest.approx((1.99,))
    assert wide[10] == (2,)
    assert wide[11] == (0,)
    mild = [operation.values(1.0, -1.0) for operation in AUTOMATIC_LISTS["randaugment"]]
    assert np.tan(np.radians(mild[1][0])) == pytest.approx(-0.3)
    assert mild[5] == (-30,)
    assert mild[6] == pytest.approx((0.1,))
    assert mild[10] == (4,)
    for table in AUTOMATIC_LISTS.values():
        assert len(table) == 14
        for operation in table[1:6]:
            assert set(operation.values(0.0, 1.0)) == {0.0}


@pytest.mark.parametrize("policy", [Policy(shift=0.3), Policy(shift=0.2, mirror=True, flip=True, erase=0.4)])
@pytest.mark.parametrize("name", [None, "shift", "light"])
def test_moves_by_whole_pixels_are_those_of_whole_batches(policy: Policy, name: str | None) -> None:
    policy = policy if name is None else POLICIES[name]
    picture, wanted, samples = scene(31, 22), Preprocess(31, 22), np.arange(30)
    whole = augment_batch(np.repeat(picture[None], 30, 0), policy, seed=0, epoch=1, samples=samples)
    changes = draw_augmentations(policy, 0, 1, samples)
    assert np.array_equal(whole, [transform_image(picture, wanted, augmentation) for augmentation in changes])
    if not policy.erase:
        for image, augmentation in zip(whole, changes, strict=True):
            assert np.array_equal(image, transform_mask(picture, wanted, augmentation, (31, 22), outside=0))


def test_an_erased_square_is_that_of_whole_batches() -> None:
    policy, picture = Policy(erase=0.5, erase_odds=0.6), scene(30, 20)
    samples = np.arange(20)
    whole = augment_batch(np.repeat(picture[None], 20, 0), policy, seed=0, epoch=1, samples=samples)
    single = [
        transform_image(picture, Preprocess(30, 20), augmentation)
        for augmentation in draw_augmentations(policy, 0, 1, samples)
    ]
    assert np.array_equal(whole, single)
    assert 5 < sum(np.array_equal(one, picture) for one in whole) < 15


def test_colours_of_whole_batches_are_those_of_single_images() -> None:
    policy, picture = Policy(mirror=True, brightness=0.3, noise=0.1, pca=0.2), scene(30, 20)
    samples = np.arange(20)
    whole = augment_batch(np.repeat(picture[None], 20, 0), policy, seed=0, epoch=1, samples=samples)
    single = [
        transform_image(picture, Preprocess(30, 20), augmentation)
        for augmentation in draw_augmentations(policy, 0, 1, samples)
    ]
    assert np.array_equal(whole, single)
