"""Interpolated once: nearer to the truth than what interpolates at every step, other libraries included.

The truth of a pixel is the mean of 64 places in it, in float64.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from augment_references import Floats, Pixels, moved, one_after_another, sampled, scene
from augment_steps import recorded
from PIL import Image

from hubel.data.augment import Augmentation, transform_image
from hubel.data.augment.geometry import resize_matrix
from hubel.data.augment.sampling import sample_image
from hubel.data.preprocess import Preprocess
from peers import torchvision_transforms

SIZE = (112, 112)
WANTED = Preprocess(*SIZE)
BOX = (20, 30, 150, 140)  # left, top, width, height
TURN, SLANT = 12.0, 8.0


@pytest.fixture(params=["scene", "photos"])
def pictures(request: pytest.FixtureRequest, shared: Path) -> list[Pixels]:
    """A computed scene, and two photos."""
    if request.param == "scene":
        return [scene(200, 220)]
    photos = sorted((shared / "imagenet-100").glob("*.JPEG"))[:2]
    if not photos:
        pytest.skip("needs ../shared/data/imagenet-100")
    return [np.asarray(Image.open(file).convert("RGB").crop((0, 0, 220, 200))) for file in photos]


def matrix() -> Floats:
    """Cut, then turned around the middle, then slanted: from the input to the picture."""
    turn, slant = math.radians(TURN), math.tan(math.radians(SLANT))
    linear = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) @ [[1, -slant], [0, 1]]
    whole = np.eye(3)
    whole[:2, :2] = linear
    middle = np.array([SIZE[1] / 2, SIZE[0] / 2])
    whole[:2, 2] = middle - linear @ middle
    return whole


def errors(picture: Pixels, results: dict[str, Any], canvas: Floats) -> dict[str, float]:
    """Mean absolute errors where every way has pixels: not near what came in from outside."""
    total = resize_matrix(WANTED, *BOX) @ canvas

    def place(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        return total[0, 0] * x + total[0, 1] * y + total[0, 2], total[1, 0] * x + total[1, 1] * y + total[1, 2]

    truth = sampled(picture, place, SIZE, (8, 8), "edge")
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] + 0.5
    u, v = (canvas[i, 0] * x + canvas[i, 1] * y + canvas[i, 2] for i in (0, 1))
    inside = (np.minimum(u, v) > 4) & (np.maximum(u, v) < SIZE[0] - 4)
    return {name: float(np.abs(np.asarray(got, float) - truth)[inside].mean()) for name, got in results.items()}


def ours(picture: Pixels, canvas: Floats) -> Pixels:
    return sample_image(picture, resize_matrix(WANTED, *BOX) @ canvas, SIZE, fill="edge")


@pytest.mark.peer
def test_nearer_to_the_truth_than_torchvision(pictures: list[Pixels]) -> None:
    v2 = torchvision_transforms()
    bilinear, f = v2.InterpolationMode.BILINEAR, v2.functional
    from torchvision.transforms.functional import _get_inverse_affine_matrix

    canvas = np.eye(3)
    canvas[:2] = np.reshape(_get_inverse_affine_matrix([56, 56], TURN, [0, 0], 1.0, [SLANT, 0.0]), (2, 3))
    left, top, width, height = BOX
    for picture in pictures:
        cut = f.resized_crop(Image.fromarray(picture), top, left, height, width, [*SIZE], interpolation=bilinear)
        theirs = f.affine(cut, TURN, [0, 0], 1.0, [SLANT, 0.0], interpolation=bilinear)
        found = errors(picture, {"ours": ours(picture, canvas), "theirs": theirs}, canvas)
        assert found["ours"] < 0.6 * found["theirs"]


@pytest.mark.peer
def test_nearer_to_the_truth_than_albumentations(pictures: list[Pixels]) -> None:
    with warnings.catch_warnings():  # what it warns of while it is imported is not ours to mend
        warnings.simplefilter("ignore")
        albumentations = pytest.importorskip("albumentations", exc_type=ImportError)
    left, top, width, height = BOX
    cut = albumentations.Compose(
        [albumentations.Crop(left, top, left + width, top + height), albumentations.Resize(*SIZE)]
    )
    affine = albumentations.Affine(rotate=(TURN, TURN), shear={"x": (SLANT, SLANT), "y": (0, 0)}, p=1.0)
    for picture in pictures:
        small = cut(image=picture)["image"]
        drawn = affine.get_params_dependent_on_data({"shape": small.shape}, {})
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        canvas = half @ np.linalg.inv(drawn["matrix"]) @ np.linalg.inv(half)
        found = errors(picture, {"ours": ours(picture, canvas), "theirs": affine.apply(small, **drawn)}, canvas)
        assert found["ours"] < 0.6 * found["theirs"]


def test_nearer_to_the_truth_than_one_step_after_another(pictures: list[Pixels]) -> None:
    """The same six changes, by the same means: all at once, and each from the result of the one before."""
    left, top, width, height = BOX
    steps: tuple[tuple[str, tuple[float, ...]], ...] = (
        ("mirror", ()), ("rotate", (TURN,)), ("shear", (SLANT, 0.0)), ("scale", (1.1,)), ("shift", (0.013, 0.021)),
    )  # fmt: skip
    map_back = one_after_another(*(moved(name, values, SIZE) for name, values in steps))
    corner = np.array(map_back(np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])))
    canvas = np.eye(3)
    canvas[:2] = np.stack([corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0], corner[:, 0]], 1)
    for picture in pictures:
        rows, columns = height / picture.shape[0], width / picture.shape[1]
        cut = (rows, columns, top / (picture.shape[0] - height), left / (picture.shape[1] - width))
        augmentation = Augmentation(crop=cut, transforms=recorded(steps), fill="edge")
        assert augmentation.box(picture.shape[1], picture.shape[0]) == BOX
        often = transform_image(picture, WANTED, Augmentation(crop=cut))
        for step in steps:
            often = transform_image(often, WANTED, Augmentation(transforms=recorded((step,)), fill="edge"))
        found = errors(picture, {"once": transform_image(picture, WANTED, augmentation), "often": often}, canvas)
        assert found["once"] < 0.5 * found["often"]
        assert found["once"] < 2.5
