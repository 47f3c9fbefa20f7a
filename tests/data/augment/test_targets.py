"""Masks and boxes move with the picture."""

from __future__ import annotations

import numpy as np
import pytest
from augment_references import moved, one_after_another, squashed
from augment_steps import recorded
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.data.annotation import IGNORED, Annotation
from hubel.data.augment import (
    POLICIES,
    Augmentation,
    Policy,
    draw_augmentations,
    transform_annotation,
    transform_boxes,
    transform_image,
    transform_mask,
    transform_points,
)
from hubel.data.preprocess import Preprocess, Resize

POLICY_NAMES = ["none", "light", "standard", "strong", "trivialaugment", "randaugment"]
CHANGES = [
    Augmentation(),
    Augmentation(transforms=recorded((("mirror", ()),))),
    Augmentation(
        crop=(0.6, 0.7, 0.3, 0.8), transforms=recorded((("mirror", ()), ("rotate", (15.0,)), ("shear", (5.0, -8.0))))
    ),
    Augmentation(
        transforms=recorded((("perspective", (0.1, 0.05, -0.1, 0.1, -0.05, -0.1, 0.0, 0.1)), ("shift", (0.1, 0.2))))
    ),
    Augmentation(
        transforms=recorded((("scale", (0.7,)),)),
        displacements=np.random.default_rng(0).uniform(-0.03, 0.03, (6, 6, 2)),
    ),
]


def preprocess(height: int, width: int, resize: Resize = "squash") -> Preprocess:
    return Preprocess(height, width, resize=resize)


def blobs(height: int, width: int) -> np.ndarray:
    """Four large areas, numbered 0 to 3."""
    y, x = np.mgrid[0:height, 0:width]
    return ((x > width * 0.45).astype(np.uint8) + 2 * (y > height * 0.6)).astype(np.uint8)


@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
@pytest.mark.parametrize("augmentation", CHANGES, ids=range(len(CHANGES)))
def test_a_mask_moves_with_its_picture(augmentation: Augmentation, resize: Resize) -> None:
    mask = blobs(81, 63)
    picture = np.repeat((60 + 60 * mask)[..., None], 3, 2)
    wanted = preprocess(57, 49, resize)
    seen = transform_image(picture, wanted, augmentation)[..., 0].astype(float)
    got = transform_mask(mask, wanted, augmentation, (81, 63))
    levels = np.where(got == 255, 0, 60 + 60 * got.astype(float))
    assert got.shape == (57, 49)
    differing = np.abs(seen - levels) > 25
    assert differing.mean() < 0.09, "only along the edges, where the picture is between two values"
    middle = np.pad(levels, 1, mode="edge")
    same = np.ones_like(levels, bool)
    for i in range(3):
        for j in range(3):
            same &= middle[i : i + 57, j : j + 49] == levels
    assert not differing[same].mean() > 0.01


@pytest.mark.parametrize("fill", ["black", "edge", "reflect"])
def test_masks_pixel_by_pixel(fill: str) -> None:
    mask, size = np.arange(33 * 29).reshape(33, 29), (31, 27)
    steps = (("rotate", (20.0,)), ("scale", (0.8,)))
    place = squashed(mask, one_after_another(*(moved(name, some, size) for name, some in steps)), size)
    got = transform_mask(
        mask, preprocess(*size), Augmentation(transforms=recorded(steps), fill=fill), (33, 29), outside=-1
    )
    padded = np.pad(mask, 40, mode={"edge": "edge", "reflect": "symmetric"}.get(fill, "constant"), **(
        {"constant_values": -1} if fill == "black" else {}
    ))  # fmt: skip
    for i in range(31):
        for j in range(27):
            x, y = place(np.array(j + 0.5), np.array(i + 0.5))
            assert got[i, j] == padded[int(np.floor(y)) + 40, int(np.floor(x)) + 40]


def test_a_mask_of_another_resolution() -> None:
    large = np.kron(blobs(40, 30), np.ones((4, 4), np.uint8))
    wanted, augmentation = preprocess(25, 21), CHANGES[2]
    exact = transform_mask(large, wanted, augmentation, (160, 120))
    assert (exact == transform_mask(blobs(40, 30), wanted, augmentation, (160, 120))).all()


def test_masks_of_many_values_keep_their_type() -> None:
    mask = np.random.default_rng(0).normal(size=(20, 20, 2)).astype(np.float32)
    got = transform_mask(mask, preprocess(10, 10), CHANGES[1], (20, 20))
    assert got.dtype == np.float32
    assert np.isin(got, mask).all()


@pytest.mark.parametrize("augmentation", CHANGES, ids=range(len(CHANGES)))
def test_a_box_stands_around_what_it_holds(augmentation: Augmentation) -> None:
    picture = np.zeros((160, 120, 3), np.uint8)
    picture[60:100, 40:80] = 255
    wanted = preprocess(120, 120)
    rows, columns = np.nonzero(transform_image(picture, wanted, augmentation)[..., 0] > 127)
    (box,), (share,) = transform_boxes(np.array([[40, 60, 80, 100]]), wanted, augmentation, (160, 120))
    assert share == pytest.approx(1)
    assert np.abs(box - (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)).max() <= 1.6


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(POLICY_NAMES),
    key=st.integers(0, 2**63),
    corners=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), max_size=4),
    resize=st.sampled_from(["squash", "pad", "crop"]),
)
def test_boxes_stay_inside(name: str, key: int, corners: list[tuple[float, ...]], resize: Resize) -> None:
    boxes = np.array([(60 * min(a, c), 80 * min(b, d), 60 * max(a, c), 80 * max(b, d)) for a, b, c, d in corners])
    got, share = transform_boxes(
        boxes, preprocess(50, 40, resize), draw_augmentations(POLICIES[name], key)[0], (80, 60)
    )
    assert got.shape == (len(corners), 4)
    assert ((share >= 0) & (share <= 1 + 1e-9)).all()
    assert (got >= 0).all()
    assert (got <= (40, 50, 40, 50)).all()
    assert (got[:, 2:] >= got[:, :2]).all()


def test_a_box_that_leaves_has_no_area() -> None:
    boxes = np.array([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0], [25.0, 0.0, 35.0, 10.0]])
    half = Augmentation(crop=(1.0, 0.5, 0.0, 0.0))
    got, share = transform_boxes(boxes, preprocess(60, 60), half, (60, 60))
    assert np.allclose(got[0], (0, 0, 20, 10))
    assert share.tolist() == pytest.approx([1, 0, 0.5])
    assert np.prod(got[1, 2:] - got[1, :2]) == 0
    assert np.allclose(got[2], (50, 0, 60, 10))


@settings(max_examples=40, deadline=None)
@given(
    turn=st.floats(-60, 60),
    scale=st.floats(0.6, 1.6),
    shift=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)),
    places=st.lists(st.tuples(st.floats(0, 60), st.floats(0, 80), st.sampled_from([0, 1, 2])), min_size=1, max_size=5),
)
def test_points_move_by_the_formula(
    turn: float, scale: float, shift: tuple[float, float], places: list[tuple[float, float, int]]
) -> None:
    """Squash, then turn and scale about the centre, then shift: written out for the points instead of the pixels."""
    steps = recorded((("rotate", (turn,)), ("scale", (scale,)), ("shift", shift)))
    got = transform_points(np.array(places), preprocess(50, 40), Augmentation(transforms=steps), (80, 60))
    angle = np.radians(turn)
    for (x, y, visibility), point in zip(places, got, strict=True):
        u, v = x * 40 / 60 - 20, y * 50 / 80 - 25
        u, v = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
        u, v = u * scale + shift[0] * 40 + 20, v * scale + shift[1] * 50 + 25
        if visibility and 0 < u < 40 and 0 < v < 50:
            assert np.allclose(point, (u, v, visibility))
        elif not visibility or min(u, v) < -1e-9 or u > 40 + 1e-9 or v > 50 + 1e-9:
            assert point.tolist() == [0, 0, 0]


@pytest.mark.parametrize("augmentation", CHANGES, ids=range(len(CHANGES)))
def test_a_point_stays_on_its_blob(augmentation: Augmentation) -> None:
    picture = np.zeros((160, 120, 3), np.uint8)
    picture[72:84, 52:64] = 255
    wanted = preprocess(120, 120)
    seen = transform_image(picture, wanted, augmentation)[..., 0].astype(float)
    centre = [(seen * (np.arange(120) + 0.5)).sum() / seen.sum(), (seen.T * (np.arange(120) + 0.5)).sum() / seen.sum()]
    (point,) = transform_points(np.array([[58, 78, 2]]), wanted, augmentation, (160, 120))
    assert np.abs(point[:2] - centre).max() < 0.5


def test_points_stay_on_their_pixels_in_a_steep_warp() -> None:
    """A mask that holds its own coordinates says which pixel is seen where a point has gone."""
    y, x = np.mgrid[:100, :100] + 0.5
    wanted, points = preprocess(100, 100), np.dstack([x, y, np.ones_like(x)])[20:80:4, 20:80:4].reshape(-1, 3)
    for most, farthest in ((0.02, 1.1), (0.1, 3.0)):
        apart = []
        for key in range(20):
            (augmentation,) = draw_augmentations(Policy(warp=most), key, 0, np.array([0]))
            seen = transform_mask(np.dstack([x, y]), wanted, augmentation, (100, 100), outside=-1000)
            moved = transform_points(points, wanted, augmentation, (100, 100))
            inside = moved[:, 2] > 0
            column, row = np.minimum(moved[inside, :2], 99).astype(int).T
            apart += np.hypot(*(seen[row, column] - points[inside, :2]).T).tolist()
        assert len(apart) > 4000
        assert np.quantile(apart, 0.99) < farthest


def person() -> Annotation:
    return Annotation(
        classes=np.array([3, 1]),
        boxes=np.array([[10.0, 20.0, 30.0, 60.0], [48.0, 0.0, 58.0, 10.0]]),
        crowd=np.array([False, True]),
        points=np.array([[[12, 22, 2], [28, 22, 1], [20, 55, 2]], [[50, 5, 2], [0, 0, 0], [56, 9, 1]]], float),
        mask=blobs(80, 60),
    )


def test_an_annotation_moves_as_one() -> None:
    mirrored = Augmentation(transforms=recorded((("mirror", ()),)))
    got = transform_annotation(person(), preprocess(80, 60), mirrored, (80, 60), point_mirror=(1, 0, 2))
    assert got.classes.tolist() == [3, 1]
    assert got.crowd.tolist() == [False, True]
    assert got.boxes.tolist() == [[30, 20, 50, 60], [2, 0, 12, 10]]
    assert got.points[0].tolist() == [[32, 22, 1], [48, 22, 2], [40, 55, 2]]
    assert got.points[1].tolist() == [[0, 0, 0], [10, 5, 2], [4, 9, 1]]
    assert got.mask is not None
    assert (got.mask == blobs(80, 60)[:, ::-1]).all()


@pytest.mark.parametrize(
    ("steps", "swapped"),
    [
        ((("rotate", (40.0,)),), False),
        ((("flip", ()),), True),
        ((("mirror", ()), ("flip", ())), False),  # half a turn
        ((("mirror", ()), ("perspective", (0.2, 0.1, -0.2, 0.1, -0.1, -0.1, 0.0, 0.2))), True),
    ],
)
def test_left_and_right_change_places_only_in_a_mirror(steps: tuple, swapped: bool) -> None:
    one = Annotation(
        classes=np.zeros(1, np.int64),
        boxes=np.array([[20.0, 30.0, 40.0, 50.0]]),
        crowd=np.zeros(1, bool),
        points=np.array([[[29.0, 40.0, 2.0], [31.0, 40.0, 1.0]]]),
    )
    got = transform_annotation(
        one, preprocess(80, 60), Augmentation(transforms=recorded(steps)), (80, 60), point_mirror=(1, 0)
    )
    assert got.points[0, :, 2].tolist() == ([1, 2] if swapped else [2, 1])


def test_objects_that_have_left_are_dropped() -> None:
    half = Augmentation(crop=(1.0, 0.5, 0.0, 0.0))  # its left half
    got = transform_annotation(person(), preprocess(80, 60), half, (80, 60))
    assert got.classes.tolist() == [3]
    assert len(got.points) == len(got.crowd) == 1
    assert got.mask is not None
    assert (got.mask != IGNORED).all()
    few = Augmentation(crop=(1.0, 1 / 3, 0.0, 0.0))  # to x = 20: half of the first box
    assert len(transform_annotation(person(), preprocess(80, 60), few, (80, 60), least_inside=0.6).boxes) == 0
    (kept,) = transform_annotation(person(), preprocess(80, 60), few, (80, 60), least_inside=0.5).boxes
    assert kept.tolist() == [30, 20, 60, 60]


def test_nothing_marked_stays_nothing() -> None:
    got = transform_annotation(Annotation(), preprocess(8, 8), CHANGES[2], (10, 10), point_mirror=(0,))
    assert len(got.boxes) == len(got.classes) == 0
    assert got.mask is None
    apart = Annotation(mask=np.zeros((10, 10), np.uint8))
    assert transform_annotation(apart, preprocess(8, 8), CHANGES[2], (10, 10)).mask is not None
