"""Mosaics: four images and their marks in one input, exact and by seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel import Recipe
from hubel.core.errors import OptionError
from hubel.data import open_dataset
from hubel.data.annotation import IGNORED, MASKS, Annotation
from hubel.data.augment import POLICIES, Policy, draw_placed_images, join_annotations
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.training.resolve import plan_training

SIDE = 48
ONE_SQUARE = f"shapes:count=24,size={SIDE},objects=1,smallest=0.4,largest=0.7,rotate=0,clutter=0,noise=0"


@pytest.fixture(scope="module")
def images() -> Images:
    return open_dataset(ONE_SQUARE).images(Preprocess(64, 80), annotations=MASKS)


def both(images: Images, policy: Policy, positions: np.ndarray, epoch: int) -> tuple[np.ndarray, list[Annotation]]:
    epochs = np.full(len(positions), epoch)
    pixels = images.augmented(positions, policy, 0, epochs)
    return pixels, list(images.augmented_annotations(positions, policy, 0, epochs))


def test_corners_are_where_the_formula_says(images: Images) -> None:
    positions, policy = np.arange(24), Policy(mosaic=1.0)
    pixels, found = both(images, policy, positions, 0)
    drawn = draw_placed_images(policy, images.preprocess, 0, np.zeros(24, np.int64), positions, images.rows)
    objects = 0
    for image, annotation, tiles in zip(pixels, found, drawn, strict=True):
        expected = []
        for tile in tiles:
            left, top, right, bottom = tile.place
            side = max(right - left, bottom - top)  # square images cover their part of the input, cut around the centre
            away = np.array([round((side - right + left) / 2), round((side - bottom + top) / 2)] * 2)
            for box in images.annotation(tile.position).boxes:
                moved = box * side / SIDE - away
                cut = np.clip(moved, 0, (right - left, bottom - top) * 2)
                if np.prod(cut[2:] - cut[:2]) >= 0.1 * np.prod(moved[2:] - moved[:2]):
                    expected.append(cut + (left, top) * 2)
            assert annotation.mask is not None
            part = annotation.mask[top:bottom, left:right]
            fill = image[top:bottom, left:right].astype(int)
            if 0 < (part > 0).sum() < part.size:  # the object has a colour far from its ground
                inside, outside = (fill[chosen].mean(0) for chosen in (part > 0, part == 0))
                assert np.abs(inside - outside).max() > 60
        assert annotation.boxes == pytest.approx(np.array(expected).reshape(-1, 4), abs=1e-9)
        objects += len(expected)
    assert objects > 60


def test_masks_lie_in_the_boxes(images: Images) -> None:
    _, found = both(images, Policy(mosaic=1.0, mirror=True, crop=0.4), np.arange(24), 3)
    for annotation in found:
        assert annotation.mask is not None
        covered = np.zeros_like(annotation.mask, bool)
        for left, top, right, bottom in annotation.boxes:
            covered[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = True
        marked = (annotation.mask > 0) & (annotation.mask != IGNORED)
        assert (marked & ~covered).sum() <= 0.02 * marked.sum()  # of objects that are nearly outside, and left out


def test_a_mosaic_is_a_function_of_seed_epoch_and_sample(images: Images) -> None:
    policy, positions = replace(POLICIES["scene"], mosaic=0.5), np.array([5, 2, 17, 9, 0, 23])
    pixels, found = both(images, policy, positions, 4)
    for order in (np.array([3, 0, 5, 1, 4, 2]), np.array([2])):
        again, annotations = both(images, policy, positions[order], 4)
        assert (again == pixels[order]).all()
        for one, place in zip(annotations, order, strict=True):
            assert (one.boxes == found[place].boxes).all()
    other, _ = both(images, policy, positions, 5)
    assert all((a != b).any() for a, b in zip(pixels, other, strict=True))


def test_the_other_images_are_as_without_mosaics(images: Images) -> None:
    positions = np.arange(24)
    mixed, _ = both(images, replace(POLICIES["scene"], mosaic=0.5), positions, 1)
    plain, _ = both(images, POLICIES["scene"], positions, 1)
    same = (mixed == plain).all((1, 2, 3))
    assert 4 < same.sum() < 20


@settings(max_examples=40, deadline=None)
@given(height=st.integers(2, 90), width=st.integers(2, 90), seed=st.integers(0, 2**40))
def test_the_tiles_are_the_input(height: int, width: int, seed: int) -> None:
    samples = np.arange(100, 130)
    drawn = draw_placed_images(
        Policy(mosaic=1.0), Preprocess(height, width), seed, np.zeros(3, int), np.arange(3), samples
    )
    for tiles in drawn:
        covered = np.zeros((height, width), int)
        for tile in tiles:
            left, top, right, bottom = tile.place
            covered[top:bottom, left:right] += 1
            assert (tile.preprocess.height, tile.preprocess.width) == (bottom - top, right - left)
        assert (covered == 1).all()


def test_how_many_and_which() -> None:
    samples = np.arange(50)
    many = np.arange(6000)
    drawn = draw_placed_images(Policy(mosaic=0.3), Preprocess(32, 32), 0, many, many % 50, samples)
    mosaics = [tiles for tiles in drawn if len(tiles) == 4]
    assert len(mosaics) / len(many) == pytest.approx(0.3, abs=0.03)
    assert all(tiles[0].position == i % 50 for i, tiles in enumerate(drawn))
    others = np.bincount([tile.position for tiles in mosaics for tile in tiles[1:]], minlength=50)
    assert others.min() > 0.6 * others.mean()


def test_points_that_are_not_given_stay_so() -> None:
    points = np.array([[[3.0, 4.0, 2.0], [0.0, 0.0, 0.0]]])
    one = Annotation(classes=np.zeros(1, int), boxes=np.array([[0.0, 0, 5, 6]]), crowd=np.zeros(1, bool), points=points)
    joined = join_annotations([(Annotation(), (0, 0, 10, 8)), (one, (10, 8, 20, 16))], Preprocess(16, 20))
    assert joined.boxes.tolist() == [[10, 8, 15, 14]]
    assert joined.points.tolist() == [[[13, 12, 2], [0, 0, 0]]]
    assert joined.mask is None


@pytest.mark.parametrize("task", ["localise", "classify"])
def test_tasks_with_one_answer_an_image_have_no_mosaics(task: str) -> None:
    data = ONE_SQUARE if task == "localise" else "digits"
    with pytest.raises(OptionError, match=f"mosaic shows several images .* {task} has one answer"):
        plan_training(data, Recipe(task=task, augment='{"mosaic": 0.5}', weights="none", epochs=1))
