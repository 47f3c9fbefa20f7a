"""Counts of what is marked, and its drawing, as `hubel data` shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from marked_files import coco, image, mask
from PIL import Image

from hubel.cli.data import data
from hubel.cli.data_preview import preview
from hubel.core.errors import OptionError
from hubel.data import Preprocess, open_dataset
from hubel.data.annotation import AnnotatedSource
from hubel.data.annotation_counts import count_annotations
from hubel.data.annotation_sheet import draw_augmented
from hubel.data.augment import Augmentation
from hubel.data.augment.draws import single
from hubel.data.augment.geometry import MIRROR
from hubel.plots.annotations import class_colour

PERSON = {"id": 1, "name": "person", "keypoints": ["nose", "left_hand"], "skeleton": [[1, 2]]}


def marked(root: Path) -> Path:
    images = []
    for i, split in enumerate(["train", "train", "val"]):
        images.append({"file_name": f"{split}/{i}.png", "width": 200, "height": 150})
        image(root / split / f"{i}.png", 200, 150)
    boxes = [
        {"image_id": 0, "bbox": [1, 1, 31, 32], "keypoints": [5, 5, 2, 9, 9, 1]},  # a small one
        {"image_id": 0, "bbox": [1, 1, 32, 32], "category_id": 2},
        {"image_id": 0, "bbox": [1, 1, 96, 95], "iscrowd": 1, "keypoints": [0] * 6},
        {"image_id": 2, "bbox": [1, 1, 96, 96], "keypoints": [5, 5, 2, 0, 0, 0]},
    ]
    for split in ("train", "val"):
        own = [i for i, one in enumerate(images) if one["file_name"].startswith(split)]
        listed = [{**images[i], "id": i} for i in own]
        coco(root / f"{split}.json", listed, [box for box in boxes if box["image_id"] in own], [PERSON, "dog"])
    return root


def test_counts(tmp_path: Path) -> None:
    counts = count_annotations(open_dataset(marked(tmp_path)))
    assert counts.kinds == ("points", "boxes")
    assert counts.splits == ("train", "val")
    assert counts.names == ("person", "dog")
    assert counts.objects.tolist() == [[2, 1], [1, 0]]
    assert counts.images.tolist() == [2, 1]
    assert counts.sizes.tolist() == [[1, 1, 1], [0, 1, 0]]
    assert counts.on_image.tolist() == [0, 1, 3]
    assert counts.crowds == 1
    assert counts.points.tolist() == [[0, 0, 2], [1, 1, 0]]


def test_counts_of_pixels(tmp_path: Path) -> None:
    values = np.zeros((30, 40))
    values[:15], values[0] = 1, 255
    for i in range(3):
        image(tmp_path / "images" / f"{i}.png")
        mask(tmp_path / "masks" / f"{i}.png", values if i else values * 0)
    counts = count_annotations(open_dataset(tmp_path))
    assert counts.names == ()
    assert counts.mask_names == ("background", "foreground")
    assert counts.mask_images.tolist() == [3, 2]
    assert np.allclose(counts.pixels, [30 + 15 + 15, 14 + 14] / np.float64(88))
    assert counts.ignored == pytest.approx(2 / 90)


def test_the_command_counts_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.png"
    assert data(str(marked(tmp_path / "set")), out=out) == 0
    printed = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in printed]
    assert ["person", "2", "1", "2", "1", "1", "1"] in rows
    assert ["all", "3", "1", "3", "1", "2", "1"] in rows
    assert ["left_hand", "0", "1", "1"] in rows
    assert "objects   0 to 3 an image, 1 in the middle; 1 image without any" in printed
    with Image.open(out) as sheet:
        assert sheet.width > 600
    with pytest.raises(OptionError, match=r"a sheet is a \.png file"):
        data(str(tmp_path / "set"), out=tmp_path / "sheet.txt")


def test_every_flaw_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image(tmp_path / "a.png")
    coco(tmp_path / "a.json", [{"file_name": "a.png"}], [{"image_id": 0, "bbox": [i, 1, 0, 9]} for i in range(9)])
    data(str(tmp_path), passed_over=True)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"a.json, annotation {i}\tboxes without area, which are left out" for i in range(9)]


def test_marks_are_drawn_where_the_augmentation_brings_them(tmp_path: Path) -> None:
    source = open_dataset(marked(tmp_path)).source
    assert isinstance(source, AnnotatedSource)
    pixels = np.full((150, 200, 3), 128, np.uint8)
    plain, mirrored = (
        draw_augmented(pixels, source, 2, Preprocess(150, 200), augmentation, (150, 200))
        for augmentation in (Augmentation(), single(MIRROR, ()))
    )
    sides = [np.flatnonzero((drawn != 128).any((0, 2))) for drawn in (plain, mirrored)]
    assert sides[0].max() < 110
    assert sides[1].min() > 90
    assert (mirrored[5, 194:196] > 200).all(), "the nose"


@pytest.mark.slow
def test_the_preview_draws_them(tmp_path: Path) -> None:
    preview(str(marked(tmp_path / "set")), policy="light", size=100, out=tmp_path / "marked.png")
    sheet = np.asarray(Image.open(tmp_path / "marked.png").convert("RGB")).astype(int)
    assert (np.abs(sheet - class_colour(0)).max(2) < 40).sum() > 500, "boxes in the colour of the first class"
