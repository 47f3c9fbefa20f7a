"""Annotations on images: what is drawn lies where it is marked, and nothing else changes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from hubel.data.annotation import IGNORED, Annotation
from hubel.plots.annotations import class_colour, draw_annotation

GREY = np.full((120, 160, 3), 128, np.uint8)


def boxes(*corners: list[float], classes: list[int] | None = None) -> Annotation:
    n = len(corners)
    return Annotation(
        classes=np.array(classes or [0] * n), boxes=np.array(corners, float), crowd=np.zeros(n, bool),
        points=np.zeros((n, 0, 3)),
    )  # fmt: skip


def test_a_box_is_drawn_where_it_is() -> None:
    drawn = draw_annotation(GREY, boxes([40, 50, 100, 90]), ["cat"])
    changed = (drawn != GREY).any(2)
    assert drawn.shape == GREY.shape
    assert (GREY == 128).all(), "the image itself is left alone"
    rows, columns = np.nonzero(changed[48:])
    assert abs(rows.min() + 48 - 50) <= 3
    assert (abs(columns.min() - 40), abs(columns.max() + 1 - 100)) <= (3, 3)
    assert not changed[60:80, 50:90].any(), "the inside of a box stays clear"
    assert np.abs(drawn[70, 39:42].astype(int) - class_colour(0)).max(1).min() < 60
    assert changed[35:47, 40:70].any(), "the name stands above"


def test_nothing_marked_changes_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 60, 3)).astype(np.uint8)
    assert (draw_annotation(noise, Annotation(), []) == noise).all()
    assert (draw_annotation(noise[..., 0], Annotation(), [])[..., 1] == noise[..., 0]).all()


def test_a_mask_tints_its_pixels() -> None:
    mask = np.zeros((120, 160), np.uint8)
    mask[10:60, 10:60], mask[80:100, 100:150] = 1, IGNORED
    drawn = draw_annotation(GREY, Annotation(mask=mask), ["background", "road"], legend=False)
    assert (drawn[mask == 0].reshape(-1, 3)[:100] == 128).all()
    assert (drawn[30, 30] != 128).any()
    assert (drawn[90, 120] < 128).all()
    named = draw_annotation(GREY, Annotation(mask=mask), ["background", "road"])
    assert (named[-12:, :40] != GREY[-12:, :40]).any(), "the legend"


def test_a_class_has_one_colour_as_box_and_as_mask() -> None:
    mask = np.zeros((120, 160), np.uint8)
    mask[40:80, 40:80] = 2
    drawn = draw_annotation(GREY, Annotation(mask=mask), ["cat", "dog"], mask_names=["background", "cat", "dog"])
    assert np.abs(drawn[60, 60] - (128 + np.array(class_colour(1))) / 2).max() <= 1


def test_key_points_and_limbs() -> None:
    points = np.array([[[40, 40, 2], [80, 40, 1], [60, 90, 0]]], float)
    one = Annotation(
        classes=np.zeros(1, int), boxes=np.array([[30.0, 30, 90, 100]]), crowd=np.zeros(1, bool), points=points
    )
    drawn = draw_annotation(GREY, one, ["person"], limbs=[(0, 1), (1, 2)])
    assert (drawn[40, 40] > 200).all()
    assert (drawn[40, 60] != 128).any(), "the limb"
    assert (drawn[65, 70] == 128).all(), "no limb leads to a point that is not given"
    assert (drawn[88:93, 58:63] == 128).all()


@pytest.mark.parametrize("box", [[0, 0, 160, 120], [150, 0, 160, 5], [-20, -20, 300, 300], [3, 3, 3.2, 3.2]])
def test_boxes_at_the_edges(box: list[float]) -> None:
    names = ["a very long name of a class that is wider than the image itself", "고양이"]
    for number in (0, 1, 7):
        drawn = draw_annotation(GREY, boxes(box, classes=[number]), names, scores=[0.5])
        assert (drawn != GREY).any()


def test_colours_differ() -> None:
    assert len({class_colour(i) for i in range(40)}) == 40


def test_drawing_imports_neither_torch_nor_matplotlib() -> None:
    script = """
import sys, numpy as np
from hubel.data.annotation import Annotation
from hubel.plots.annotations import draw_annotation
one = Annotation(
    classes=np.zeros(1, int), boxes=np.array([[1., 1, 9, 9]]), crowd=np.zeros(1, bool), points=np.zeros((1, 0, 3))
)
draw_annotation(np.zeros((20, 20, 3), np.uint8), one, ["cat"])
print(sorted({"torch", "matplotlib", "cv2", "sklearn"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
