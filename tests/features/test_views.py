"""Views are pictures of the same thing, for ever the same, and never less than half of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hubel.core.errors import UnknownNameError
from hubel.data.augment import POLICIES, VIEWS, Policy, draw_augmentations, transform_image
from hubel.data.dataset import open_dataset
from hubel.data.preprocess import Preprocess, Resize
from hubel.features.views import image_key, image_view, view, view_name, views_policy

Pixels = NDArray[np.uint8]
KEYS = st.integers(0, 2**64 - 1)
SIDES = st.integers(1, 70)


def preprocess(height: int = 32, width: int = 32, channels: int = 3, resize: Resize = "squash") -> Preprocess:
    return Preprocess(height, width, channels, resize, mean=(0.5,) * channels, std=(0.25,) * channels)


def picture(height: int = 48, width: int = 64, channels: int = 3, seed: int = 0) -> Pixels:
    """Grey values of no symmetry, from 30 to 225."""
    shape = (height, width, 3) if channels == 3 else (height, width)
    return np.random.default_rng(seed).integers(30, 226, shape).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    height=SIDES,
    width=SIDES,
    size=st.tuples(SIDES, SIDES),
    inside=st.sampled_from([1, 3]),
    channels=st.sampled_from([1, 3]),
    resize=st.sampled_from(["squash", "pad", "crop"]),
    number=st.integers(0, 9),
    key=KEYS,
)
def test_every_view_has_the_network_s_size(
    height: int, width: int, size: tuple[int, int], inside: int, channels: int, resize: Resize, number: int, key: int
) -> None:
    pixels = picture(height, width, inside)
    before = pixels.copy()
    made = view(pixels, preprocess(*size, channels, resize), number, key)
    assert made.shape == (*size, channels)
    assert made.dtype == np.uint8
    assert np.array_equal(pixels, before), "the picture is not written to"
    assert np.array_equal(made, view(pixels, preprocess(*size, channels, resize), number, key))


@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_two_views(channels: int, resize: Resize) -> None:
    pixels, wanted = picture(), preprocess(channels=channels, resize=resize)
    plain = wanted.apply(pixels)
    for key in range(20):
        assert np.array_equal(view(pixels, wanted, 0, key), plain)
        mirrored = view(pixels, wanted, 1, key)
        if channels == 3:
            assert np.array_equal(mirrored, plain[:, ::-1])
        else:
            assert not np.array_equal(mirrored, plain[:, ::-1])


def test_keys_and_numbers_make_views() -> None:
    pixels, wanted = picture(), preprocess()
    made = {
        view(pixels, wanted, number, key).tobytes() for key in (0, 1, 2, 2**63, 2**64 - 1) for number in (2, 3, 4, 5)
    }
    assert len(made) == 20


def test_a_key_is_of_all_bits_of_the_hash_s_beginning() -> None:
    digest = np.void(bytes(range(1, 17)))
    assert image_key(digest) == sum((i + 1) << (8 * i) for i in range(8))
    assert image_key(np.void(b"\xff" * 16)) == 2**64 - 1


def where(made: Pixels, height: int, width: int) -> tuple[float, float, float, float]:
    """Top, bottom, left and right of a crop of a ramp, in pixels of it, from its corners' levels.

    The first channel of the ramp grows with the row, the second with the column; light changes both by the same
    straight line, and the third channel, which is 0 in one half and 255 in the other, tells nothing here.
    """
    rows, columns = made[..., 0].mean(1), made[..., 1].mean(0)
    return rows[0] / 255 * height, rows[-1] / 255 * height, columns[0] / 255 * width, columns[-1] / 255 * width


@pytest.mark.parametrize(("height", "width"), [(200, 200), (150, 240), (256, 90)])
def test_a_crop_is_at_least_half_of_the_picture(height: int, width: int) -> None:
    dull = replace(VIEWS, brightness=0.0, contrast=0.0)
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0] = (np.arange(height) / height * 255).round()[:, None]
    ramp[..., 1] = (np.arange(width) / width * 255).round()
    areas, middles, sides, shapes = [], [], 0, []
    for key in range(200):
        top, bottom, left, right = where(view(ramp, preprocess(64, 64), 2, key, dull), height, width)
        sides += left > right
        rows, columns = (bottom - top) * 64 / 63, abs(right - left) * 64 / 63
        areas.append(rows * columns / (height * width))
        shapes.append(math.log((rows / height) / (columns / width)))
        middles.append(((top + bottom) / 2 / height, (left + right) / 2 / width))
    assert min(areas) > 0.47, "the half, within what resizing blurs"
    assert max(areas) > 0.95
    assert 0.65 < np.mean(areas) < 0.8, "all shares are as likely"
    assert 60 < sides < 140, "half are mirrored"
    assert max(map(abs, shapes)) < math.log(4 / 3) + 0.05
    spread = np.ptp(np.array(middles), axis=0)
    assert (spread > 0.15).all(), "crops lie everywhere"


def test_grey_pictures_are_never_mirrored() -> None:
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None] * 3, 64, 0)
    for key in range(30):
        for number in range(6):
            made = view(ramp, preprocess(channels=1), number, key)[..., 0]
            assert made[:, 0].mean() < made[:, -1].mean()


def test_light_changes_mildly_and_both_ways() -> None:
    pixels = np.full((40, 40, 3), 120, np.uint8)
    levels = [float(view(pixels, preprocess(), 2, key).mean()) for key in range(100)]
    # A fifth brighter, and the distance from the mean a fifth larger: 120 + 24 * 1.2.
    assert 120 - 29 <= min(levels) < 110
    assert 130 < max(levels) <= 120 + 29
    pixels = picture()
    spreads = [float(view(pixels, preprocess(), 2, key).std() / preprocess().apply(pixels).std()) for key in range(60)]
    assert min(spreads) < 0.95
    assert max(spreads) > 1.05


def test_extremes_do_not_wrap_around() -> None:
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, 20:] = 255
    for key in range(40):
        made = view(pixels, preprocess(), 2, key)
        dark, light = sorted((float(made[:, 0].mean()), float(made[:, -1].mean())))
        assert dark < 70
        assert light > 185


def test_padding_stays_around_a_small_picture() -> None:
    made = view(np.full((8, 8, 3), 200, np.uint8), preprocess(resize="pad"), 2, 5)
    assert made.shape == (32, 32, 3)
    assert len(np.unique(made)) == 2
    assert made[16, 16, 0] > 100 > made[0, 0, 0]


def test_views_of_a_data_set_go_by_the_bytes_of_its_images() -> None:
    arrays = np.stack([picture(20, 20, seed=0), picture(20, 20, seed=1), picture(20, 20, seed=0)])
    dataset = open_dataset((arrays, ["a", "b", "a"]), threads=0)
    images = dataset.images(preprocess(16, 16), np.array([2, 1, 0]), threads=0)
    made = [[image_view(images, position, number) for number in range(4)] for position in range(3)]
    for number in range(4):
        assert np.array_equal(made[0][number], made[2][number])
        assert not np.array_equal(made[0][number], made[1][number])
    digest = images.digests[1]
    assert np.array_equal(made[1][3], view(arrays[1], preprocess(16, 16), 3, image_key(digest)))


@pytest.mark.parametrize("name", ["light", "standard", "strong", "randaugment"])
def test_views_of_another_policy(name: str) -> None:
    pixels, wanted, policy = picture(), preprocess(), POLICIES[name]
    assert np.array_equal(view(pixels, wanted, 0, 5, policy), wanted.apply(pixels))
    assert np.array_equal(view(pixels, wanted, 1, 5, policy), wanted.apply(pixels)[:, ::-1])
    for number in (2, 3):
        expected = transform_image(pixels, wanted, draw_augmentations(policy, 5, number)[0])
        assert np.array_equal(view(pixels, wanted, number, 5, policy), expected)
    moved = Policy(shift=0.2)
    assert np.array_equal(
        view(pixels, wanted, 1, 5, moved), transform_image(pixels, wanted, draw_augmentations(moved, 5, 1)[0])
    )


def test_views_have_the_policy_that_the_user_wants() -> None:
    assert views_policy("auto", preprocess()) == views_policy("none", preprocess()) == VIEWS
    assert views_policy("strong", preprocess()) == POLICIES["strong"]
    with pytest.raises(UnknownNameError):
        views_policy("stong", preprocess())


def test_views_are_kept_under_the_name_of_their_policy() -> None:
    assert [view_name(number) for number in range(3)] == ["view0", "view1", "view2"]
    assert view_name(0, POLICIES["strong"]) == "view0"
    names = {view_name(2, policy) for policy in (*POLICIES.values(), VIEWS)}
    assert len(names) == len(POLICIES) + 1
