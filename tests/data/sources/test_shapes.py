"""The built-in images of shapes: exact annotations, a function of seed and number, difficulty by settings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.core.errors import OptionError, UnknownNameError
from hubel.data import open_dataset, open_source
from hubel.data.annotation import AnnotatedSource
from hubel.data.sources.shapes import FIGURES, Shapes, ShapesSource, draw_shapes

EASY = Shapes(noise=0, clutter=0, digits=0.5)


@settings(max_examples=12, deadline=None)
@given(number=st.integers(0, 10**6), objects=st.integers(1, 8), digits=st.sampled_from([0, 0.5, 1]))
def test_boxes_are_those_of_the_pixels(number: int, objects: int, digits: float) -> None:
    spec = Shapes(objects=objects, digits=digits, smallest=0.1, largest=0.3, seed=1)
    image, found = draw_shapes(spec, number)
    assert image.shape == (96, 96, 3)
    assert len(found.boxes) <= objects
    assert found.mask is not None
    left = found.mask.copy()
    for number_of_class, box in zip(found.classes, found.boxes.astype(int), strict=True):
        window = left[box[1] : box[3], box[0] : box[2]]
        own = window == number_of_class + 1
        assert own.any(0).all() or digits, "without overlap, each column of a box has a pixel of its figure"
        assert own[0].any()
        assert own[-1].any()
        assert own[:, 0].any()
        assert own[:, -1].any()
        window[own] = 0
    assert not left.any(), "every pixel of a class lies in a box of it"


@pytest.mark.parametrize("number", range(40))
def test_masks_and_points_follow_geometry(number: int) -> None:
    """Area and place of each figure, from its key points alone."""
    _, found = draw_shapes(Shapes(objects=1, largest=0.8, smallest=0.6, seed=5), number)
    assert found.mask is not None
    for number_of_class, points in zip(found.classes, found.points, strict=True):
        top, right, bottom, left = points[:, :2]
        half = np.linalg.norm(top - bottom) / 2
        assert np.linalg.norm(right - left) == pytest.approx(2 * half)
        assert np.abs((top + bottom) / 2 - (left + right) / 2).max() < 1e-9
        shares = {"circle": np.pi / 4, "square": 1, "triangle": 0.5, "cross": 0.33 * 2 - 0.33**2}
        share = shares[FIGURES[number_of_class]]
        assert (found.mask > 0).sum() == pytest.approx(share * 4 * half**2, rel=0.05)
        rows, columns = np.nonzero(found.mask)
        centre = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
        wanted = top + (bottom - top) * (2 / 3 if FIGURES[number_of_class] == "triangle" else 0.5)
        assert np.abs(centre - wanted).max() < 0.6


def test_an_image_is_a_function_of_seed_and_number() -> None:
    first, one = draw_shapes(EASY, 3)
    again, same = draw_shapes(Shapes(noise=0, clutter=0, digits=0.5, count=5000), 3)
    assert (first == again).all()
    assert (one.boxes == same.boxes).all()
    assert (draw_shapes(EASY, 4)[0] != first).any()
    assert (draw_shapes(Shapes(noise=0, clutter=0, digits=0.5, seed=1), 3)[0] != first).any()


def test_objects_stand_out_from_the_ground() -> None:
    for number in range(20):
        image, found = draw_shapes(EASY, number)
        for number_of_class, box in zip(found.classes, found.boxes.astype(int), strict=True):
            window = np.s_[box[1] : box[3], box[0] : box[2]]
            inside = found.mask[window] == number_of_class + 1  # type: ignore[index]
            if inside.all():
                continue
            grey = image[window].mean(-1)
            assert abs(grey[inside].mean() - grey[~inside].mean()) > 30


def test_the_source() -> None:
    dataset = open_dataset("shapes:count=40,size=48")
    source = dataset.source
    assert isinstance(source, ShapesSource)
    assert isinstance(source, AnnotatedSource)
    assert source.annotated == ("boxes", "masks", "points")
    assert source.names == FIGURES
    assert source.mask_names == ("background", *FIGURES)
    assert source.point_mirror == (0, 3, 2, 1)
    assert set("|".join(dataset.labels()).split("|")) - {""} == set(FIGURES)
    for row in range(5):
        names = sorted({source.names[i] for i in source.annotation(row).classes})
        assert dataset.labels()[row] == "|".join(names)


def test_difficulty() -> None:
    def spread(spec: Shapes) -> float:
        return float(np.abs(np.diff(draw_shapes(spec, 2)[0].astype(float), axis=1)).mean())

    assert spread(Shapes(noise=0.2)) > spread(Shapes()) > spread(Shapes(noise=0, clutter=0))
    many = [len(draw_shapes(Shapes(objects=9, smallest=0.1, largest=0.15), i)[1].boxes) for i in range(30)]
    assert max(many) >= 8
    assert not all(len(draw_shapes(Shapes(size=16, objects=1, noise=0), i)[1].boxes) for i in range(100))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("sizes=3", UnknownNameError, "size"), ("size=2", OptionError, "from 16 to 1024, not 2"),
        ("size=a", OptionError, "a whole number for size, not 'a'"), ("noise", OptionError, "a number for noise"),
        ("smallest=0.5", OptionError, "larger than the largest"), ("size=1024,count=9999", OptionError, "memory"),
        ("noise=nan", OptionError, "from 0 to 0.5"),
    ],
)  # fmt: skip
def test_settings_out_of_range(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        open_source(f"shapes:{text}")


def test_lines_join_opposite_points() -> None:
    source = open_source("shapes:count=2,size=32")
    assert isinstance(source, AnnotatedSource)
    joined = {frozenset(source.point_names[end] for end in limb) for limb in source.limbs}
    assert joined == {frozenset({"top", "bottom"}), frozenset({"left", "right"})}
