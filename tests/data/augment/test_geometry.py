"""Every move against a slow reference: at five strengths, on odd sizes, up to the borders."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from augment_references import enlarged, moved, noise, one_after_another, points_of, sampled, scene, squashed
from augment_steps import named, recorded
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion

from hubel.data.augment import POLICIES, Augmentation, Policy, draw_augmentations, transform_image
from hubel.data.augment.apply import input_to_image
from hubel.data.preprocess import Preprocess, Resize

SIDES = st.integers(1, 40)
CORNERS = np.array([0.7, -0.4, -1, 0.5, -0.3, -1, 0.8, 0.9])
STRENGTHS: dict[str, list[tuple[float, ...]]] = {
    "rotate": [(-170.0,), (-31.0,), (3.0,), (45.0,), (90.0,)],
    "shear": [(-30.0, 0.0), (5.0, 0.0), (0.0, 20.0), (12.0, -7.0), (40.0, 30.0)],
    "scale": [(0.5,), (0.8,), (1.1,), (1.5,), (3.0,)],
    "shift": [(-0.5, 0.1), (0.01, 0.0), (0.0, -0.3), (0.25, 0.25), (1.0, 0.0)],
    "perspective": [tuple(CORNERS * share) for share in (0.01, 0.05, 0.1, 0.15, 0.2)],
}
CASES = [(name, values) for name, every in STRENGTHS.items() for values in every]


def preprocess(height: int, width: int, channels: int = 3, resize: Resize = "squash") -> Preprocess:
    return Preprocess(height, width, channels, resize, mean=(0.5,) * channels, std=(0.25,) * channels)


def close(got: Any, wanted: Any, most: float = 1.01) -> bool:
    """OpenCV rounds after the interpolation, and again after the mean over the points."""
    return bool(np.abs(got.astype(float) - wanted).max() <= most)


@pytest.mark.parametrize("fill", ["black", "edge", "reflect"])
@pytest.mark.parametrize(("name", "values"), CASES)
def test_each_move(name: str, values: tuple[float, ...], fill: str) -> None:
    for (height, width), size in (((33, 27), (33, 27)), ((41, 57), (37, 29))):
        picture = noise(height, width)
        place = squashed(picture, moved(name, values, size), size)
        wanted = sampled(picture, place, size, points_of(place, size), fill)
        got = transform_image(
            picture, preprocess(*size), Augmentation(transforms=recorded(((name, values),)), fill=fill)
        )
        assert close(got, wanted)


@pytest.mark.parametrize("values", STRENGTHS["shear"])
def test_moves_compose_in_their_order(values: tuple[float, ...]) -> None:
    picture, size = noise(35, 45), (31, 37)
    steps = (("mirror", ()), ("rotate", (25.0,)), ("shear", values), ("scale", (1.2,)), ("shift", (0.1, -0.2)))
    place = squashed(picture, one_after_another(*(moved(name, some, size) for name, some in steps)), size)
    wanted = sampled(picture, place, size, points_of(place, size), "black")
    assert close(transform_image(picture, preprocess(*size), Augmentation(transforms=recorded(steps))), wanted)


@pytest.mark.parametrize("share", [0.005, 0.01, 0.02, 0.04, 0.08])
@pytest.mark.parametrize("turn", [0.0, 20.0])
def test_local_warping(share: float, turn: float) -> None:
    picture, size = noise(29, 41), (29, 41)
    field = np.random.default_rng(1).uniform(-share, share, (6, 6, 2))
    moves = enlarged(field * (41, 29), size)
    rotate = moved("rotate", (turn,), size)

    def place(x: Any, y: Any) -> Any:
        return rotate(x + moves[..., 0], y + moves[..., 1])

    wanted = sampled(picture, place, size, (1, 1), "reflect")
    augmentation = Augmentation(transforms=recorded((("rotate", (turn,)),)), displacements=field, fill="reflect")
    got = transform_image(picture, preprocess(*size), augmentation).astype(float)
    assert np.abs(got - wanted).max() <= 2
    assert np.abs(got - wanted).mean() < 0.3, "float32 places"


def test_warping_with_a_perspective_and_a_smaller_result() -> None:
    picture, size = scene(80, 90), (41, 33)
    corners = tuple(0.1 * CORNERS)
    field = np.full((6, 6, 2), 0.1)
    perspective = moved("perspective", corners, size)

    def place(x: Any, y: Any) -> Any:
        return squashed(picture, perspective, size)(x + 3.3, y + 4.1)

    wanted = sampled(picture, place, size, points_of(place, size), "edge")
    got = transform_image(
        picture,
        preprocess(*size),
        Augmentation(transforms=recorded((("perspective", corners),)), displacements=field, fill="edge"),
    )
    assert np.abs(got - wanted).max() <= 2


@settings(max_examples=80, deadline=None)
@given(
    sides=st.tuples(SIDES, SIDES),
    size=st.tuples(SIDES, SIDES),
    inside=st.sampled_from([1, 3]),
    channels=st.sampled_from([1, 3]),
    resize=st.sampled_from(["squash", "pad", "crop"]),
    crop=st.sampled_from([1.0, 0.8]),
)
def test_no_change_is_what_evaluation_sees(
    sides: tuple[int, int], size: tuple[int, int], inside: int, channels: int, resize: Resize, crop: float
) -> None:
    picture = noise(*sides, inside)
    mean = (0.5,) * channels
    wanted = Preprocess(*size, channels, resize, mean=mean, std=mean, crop=crop if resize == "crop" else 1.0)
    assert np.array_equal(
        transform_image(picture, wanted, draw_augmentations(POLICIES["none"], 0, 1, 2)[0]), wanted.apply(picture)
    )


@settings(max_examples=120, deadline=None)
@given(
    sides=st.tuples(SIDES, SIDES),
    size=st.tuples(SIDES, SIDES),
    inside=st.sampled_from([1, 3]),
    channels=st.sampled_from([1, 3]),
    resize=st.sampled_from(["squash", "pad", "crop"]),
    name=st.sampled_from(sorted(POLICIES)),
    key=st.integers(0, 2**64 - 1),
)
def test_every_policy_makes_the_network_s_size(
    sides: tuple[int, int], size: tuple[int, int], inside: int, channels: int, resize: Resize, name: str, key: int
) -> None:
    picture = noise(*sides, inside)
    before, wanted = picture.copy(), preprocess(*size, channels, resize)
    made = transform_image(picture, wanted, draw_augmentations(POLICIES[name], key)[0])
    assert made.shape == (*size, channels)
    assert made.dtype == np.uint8
    assert np.array_equal(picture, before)
    assert np.array_equal(made, transform_image(picture, wanted, draw_augmentations(POLICIES[name], key)[0]))


@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
@pytest.mark.parametrize("sides", [(60, 91), (91, 60), (33, 33), (30, 100)])
def test_a_tiny_turn_fits_like_no_turn(resize: Resize, sides: tuple[int, int]) -> None:
    """The matrix of the resize and `Preprocess.apply` put everything in the same place."""
    y, x = np.mgrid[0 : sides[0], 0 : sides[1]]
    smooth = np.stack([40 + 150 * x / sides[1], 40 + 150 * y / sides[0], 90 + 0 * x], -1).round().astype(np.uint8)
    wanted = preprocess(31, 45, resize=resize)
    plain = wanted.apply(smooth).astype(float)
    turned = transform_image(
        smooth, wanted, Augmentation(transforms=recorded((("rotate", (1e-7,)),)), fill="edge")
    ).astype(float)
    inside = binary_erosion(plain[..., 2] == 90)  # at its edge a padded picture fades into the black
    assert np.abs(turned - plain)[inside].max() <= 3


@pytest.mark.parametrize("move", ["mirror", "flip"])
def test_twice_mirrored_is_as_before(move: str) -> None:
    picture, wanted = noise(31, 47), preprocess(31, 47)
    once = transform_image(picture, wanted, Augmentation(transforms=recorded(((move, ()),))))
    assert np.array_equal(once, picture[:, ::-1] if move == "mirror" else picture[::-1])
    assert np.array_equal(transform_image(once, wanted, Augmentation(transforms=recorded(((move, ()),)))), picture)
    assert np.array_equal(
        transform_image(picture, wanted, Augmentation(transforms=recorded(((move, ()), (move, ()))))), picture
    )
    turned = Augmentation(transforms=recorded(((move, ()), (move, ()), ("rotate", (10.0,)))))
    assert np.allclose(
        input_to_image(wanted, turned, 47, 31),
        input_to_image(wanted, Augmentation(transforms=recorded((("rotate", (10.0,)),))), 47, 31),
        atol=1e-12,
    )


@pytest.mark.parametrize("turn", [90.0, 180.0, -90.0, 360.0])
def test_right_angles_move_whole_pixels(turn: float) -> None:
    picture = noise(33, 33)
    got = transform_image(picture, preprocess(33, 33), Augmentation(transforms=recorded((("rotate", (turn,)),))))
    assert np.array_equal(got, np.rot90(picture, round(turn / 90)))


@pytest.mark.parametrize("factor", [2.5, 4.0, 7.3, 12.0])
def test_far_smaller_pictures_flicker_no_more_than_means(factor: float) -> None:
    """The points of a pixel are few, but the picture is reduced before."""
    size = (40, 40)
    picture = scene(round(40 * factor) + 3, round(40 * factor) - 2)
    place = squashed(picture, moved("rotate", (17.0,), size), size)
    truth = sampled(picture, place, size, (24, 24), "reflect")
    got = transform_image(
        picture, preprocess(*size), Augmentation(transforms=recorded((("rotate", (17.0,)),)), fill="reflect")
    )
    plain = sampled(picture, place, size, (1, 1), "reflect")
    assert np.abs(got - truth).mean() < 0.2 * np.abs(plain - truth).mean()


def test_a_cut_is_nearer_to_the_means_of_its_area_than_a_resize() -> None:
    picture, wanted = scene(70, 90), preprocess(32, 24)
    augmentation = Augmentation(crop=(0.5, 0.4, 1.0, 0.25))
    assert augmentation.box(90, 70) == (round(0.25 * 54), 35, 36, 35)
    left, top, columns, rows = augmentation.box(90, 70)
    truth = sampled(
        picture, lambda x, y: (left + x * columns / 24, top + y * rows / 32), (32, 24), (12, 12), "black"
    )  # fmt: skip
    resized = wanted.apply(np.ascontiguousarray(picture[top : top + rows, left : left + columns]))
    errors = [
        np.abs(made.astype(float) - truth).mean() for made in (transform_image(picture, wanted, augmentation), resized)
    ]
    assert errors[0] < 0.92 * errors[1]


def test_cuts_have_the_area_and_the_shape_that_the_policy_allows() -> None:
    cuts = np.array(
        [
            augmentation.crop
            for augmentation in draw_augmentations(Policy(crop=0.3, aspect=4 / 3), 0, 0, np.arange(4000))
        ]
    )
    area, shape = cuts[:, 0] * cuts[:, 1], cuts[:, 0] / cuts[:, 1]
    assert area.min() >= 0.3 * 0.999
    assert area.max() <= 1
    assert 0.6 < area.mean() < 0.66
    assert shape.max() <= 4 / 3 + 1e-9
    assert shape.min() >= 3 / 4 - 1e-9
    assert np.histogram(cuts[:, 2], 4)[0].min() > 900


def test_a_very_large_picture_is_no_trouble() -> None:
    picture = np.tile(np.arange(256, dtype=np.uint8), 160)[None].repeat(2, 0)
    got = transform_image(picture, preprocess(8, 64, 1), Augmentation(transforms=recorded((("rotate", (0.5,)),))))
    assert got.shape == (8, 64, 1)
    assert 100 < got[2:6].mean() < 155


@pytest.mark.parametrize("fill", ["edge", "reflect"])
def test_far_outside_of_the_picture(fill: str) -> None:
    """As much as is needed is put around a picture, but not without end."""
    picture, size = noise(21, 25), (21, 25)
    for share in (0.3, 0.9, 1.0, 3.0):
        steps = (("rotate", (30.0,)), ("scale", (0.5,)), ("shift", (share, -share)))
        for some in (steps[:1], steps):
            wide = Augmentation(
                transforms=recorded(((n, v if n != "shift" else (min(v[0], 1.0), max(v[1], -1.0))) for n, v in some))
            )
            got = transform_image(picture, preprocess(*size), Augmentation(transforms=wide.transforms, fill=fill))
            place = one_after_another(*(moved(name, values, size) for name, values in named(wide.transforms)))
            assert close(got, sampled(picture, place, size, points_of(place, size), fill))


def test_threads_do_not_share_their_memory_between() -> None:
    pictures = [noise(60 + i, 90 - i, seed=i) for i in range(40)]
    changes = draw_augmentations(POLICIES["strong"], 0, 0, np.arange(40))
    wanted = preprocess(45, 50)
    alone = [
        transform_image(picture, wanted, augmentation) for picture, augmentation in zip(pictures, changes, strict=True)
    ]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda p, c: transform_image(p, wanted, c), pictures * 5, changes * 5))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 5, together, strict=True))
    assert all(np.shares_memory(a, b) is False for a, b in itertools.pairwise(together))
