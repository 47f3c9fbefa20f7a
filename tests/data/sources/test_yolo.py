"""YOLO's text files: their places, data.yaml, and what is wrong in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from marked_files import image, text

from hubel.core.errors import DataError
from hubel.data import open_dataset, open_source
from hubel.data.sources.folder import FolderSource
from hubel.data.sources.yolo import YoloSource, box_line, parse_line

LINES = ("0 0.5 0.5 0.5 0.4", "1 0.25 0.5 0.1 0.2")


def opened(data: Path) -> tuple[YoloSource, list[str]]:
    dataset = open_dataset(data)
    assert isinstance(dataset.source, YoloSource)
    return dataset.source, dataset.notes()


@given(
    number=st.integers(0, 999),
    size=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    shares=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.01, 0.1), st.floats(0.01, 0.1)),
)
def test_a_box_survives_being_written(number: int, size: tuple[int, int], shares: tuple[float, ...]) -> None:
    width, height = size
    left, top = shares[0] * width, shares[1] * height
    box = [left, top, left + shares[2] * width, top + shares[3] * height]
    parsed = parse_line(box_line(number, box, width, height))
    assert parsed is not None
    assert parsed[0] == number
    assert np.allclose(np.array(parsed[1]) * [width, height, width, height], box, atol=1e-6 * max(size))


@pytest.mark.parametrize(
    ("images_at", "labels_at"),
    [
        ("images/{}.png", "labels/{}.txt"), ("{}.png", "{}.txt"), ("train/images/{}.png", "train/labels/{}.txt"),
        ("images/train/{}.png", "labels/train/{}.txt"), ("train/{}.png", "train/{}.txt"),
        ("obj_train_data/{}.png", "obj_train_data/{}.txt"), ("inner/images/{}.png", "inner/labels/{}.txt"),
    ],
)  # fmt: skip
def test_found_by_names(tmp_path: Path, images_at: str, labels_at: str) -> None:
    for name in "abc":
        image(tmp_path / images_at.format(name))
    text(tmp_path / labels_at.format("a"), *LINES)
    text(tmp_path / labels_at.format("b"))
    source, notes = opened(tmp_path)
    assert source.annotated == ("boxes",)
    assert source.names == ("0", "1")
    assert np.allclose(source.annotation(0).boxes, [[10, 9, 30, 21], [8, 12, 12, 18]])
    assert len(source.annotation(1).boxes) == 0
    assert notes[0].startswith("images without a text file, which count as without objects: 1 (")
    assert notes[-1] == "2 images without an object"
    if "train" in images_at and "obj" not in images_at:
        assert len(open_dataset(tmp_path).rows("train")) == 3


@pytest.mark.parametrize("names", ["[cat, dog]", "{0: cat, 1: dog}", "\n  - cat\n  - dog"])
def test_data_yaml(tmp_path: Path, names: str) -> None:
    """As Roboflow writes it: its paths lead out of the folder."""
    for split, n in (("train", 3), ("valid", 2), ("test", 1)):
        for i in range(n):
            image(tmp_path / split / "images" / f"{i}{split}.png")
            text(tmp_path / split / "labels" / f"{i}{split}.txt", *LINES)
    yaml = text(
        tmp_path / "data.yaml", "train: ../train/images", "val: ../valid/images", "test: ../test/images", "nc: 2",
        f"names: {names}",
    )  # fmt: skip
    for data in (tmp_path, yaml):
        source, _ = opened(data)
        assert source.names == ("cat", "dog")
        dataset = open_dataset(data)
        assert [len(dataset.rows(split)) for split in ("train", "val", "test")] == [3, 2, 1]
        assert dataset.labels()[0] == "cat|dog"


def test_lists_of_images(tmp_path: Path) -> None:
    for name in "abc":
        image(tmp_path / "images" / f"{name}.png")
        text(tmp_path / "labels" / f"{name}.txt", *LINES)
    text(tmp_path / "train.txt", "images/a.png", "./images/b.png")
    text(tmp_path / "val.txt", "images/c.png")
    text(tmp_path / "data.yaml", "path: .", "train: train.txt", "val: val.txt", "names: [cat, dog]")
    dataset = open_dataset(tmp_path)
    assert [len(dataset.rows(split)) for split in ("train", "val")] == [2, 1]


def test_one_folder_for_train_and_val_is_no_split(tmp_path: Path) -> None:
    """As the small sample sets of the well-known trainer have it: what measures must not teach."""
    for name in "abc":
        image(tmp_path / "images" / f"{name}.png")
        text(tmp_path / "labels" / f"{name}.txt", *LINES)
    text(tmp_path / "data.yaml", "train: images", "val: images", "names: [cat, dog]")
    dataset = open_dataset(tmp_path)
    assert not dataset.split_codes().any()
    assert any("held out" in note for note in dataset.notes())


def test_polygons_and_key_points(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "0 0.25 0.2 0.75 0.2 0.75 0.8 0.25 0.8")
    source, _ = opened(tmp_path)
    assert source.annotated == ("boxes", "masks")
    found = source.annotation(0)
    assert found.mask is not None
    assert np.allclose(found.boxes, [[10, 6, 30, 24]])
    assert found.mask.sum() == 20 * 18
    text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.5 0.5 0.5 0.4 2 0.6 0.4 1 0 0 0")
    text(tmp_path / "data.yaml", "train: images", "names: [person]", "kpt_shape: [3, 3]", "flip_idx: [0, 2, 1]")
    source, _ = opened(tmp_path)
    assert source.annotated == ("points", "boxes")
    assert source.point_mirror == (0, 2, 1)
    assert np.allclose(source.annotation(0).points[0], [[20, 12, 2], [24, 12, 1], [0, 0, 0]])


def test_flaws_are_counted_and_named(tmp_path: Path) -> None:
    for name in "abcd":
        image(tmp_path / "images" / f"{name}.png")
    text(tmp_path / "classes.txt", "cat", "dog")
    text(tmp_path / "labels" / "a.txt", *LINES, "7 0.5 0.5 0.1 0.1", "cat 1 2", "0 200 100 50 40", "0 0.5 0.5 0 0.1")
    text(tmp_path / "labels" / "b.txt", *LINES, LINES[0], "0 0.99 0.5 0.2 0.2", "1 3 3 0.2 0.2")
    (tmp_path / "labels" / "c.txt").write_bytes(b"\xff\xfe\x00")
    text(tmp_path / "labels" / "d.txt", "0 0.5 0.5 0.2 0.2 0.9")  # with the confidence of a detector
    text(tmp_path / "labels" / "gone.txt", *LINES)
    dataset = open_dataset(tmp_path)
    notes = dataset.notes()
    for note in (
        "lines that are no object, which are left out: 1 (labels/a.txt, line 4)",
        "lines in pixels instead of shares of the image, which are left out: 1 (labels/a.txt, line 5)",
        "text files of labels without an image: 1 (labels/gone.txt)",
        "objects of an unknown class (7), which are left out: 1 (labels/a.txt, line 3)",
        "boxes without area, which are left out: 1 (labels/a.txt, line 6)",
        "objects that are there twice, which count once: 1 (labels/b.txt, line 3)",
        "boxes that reach out of their image, which are cut at its edge: 1 (labels/b.txt, line 4)",
        "boxes outside of their image, which are left out: 1 (labels/b.txt, line 5)",
        "  images/c.png: labels/c.txt is no text",
    ):
        assert note in notes
    source = dataset.source
    assert isinstance(source, YoloSource)
    assert [len(source.annotation(row).boxes) for row in (0, 1, 3)] == [2, 3, 1]


def test_no_labels_at_all(tmp_path: Path) -> None:
    image(tmp_path / "train" / "images" / "a.png")
    text(tmp_path / "data.yaml", "train: train/images", "names: [cat]")
    with pytest.raises(DataError, match="no image has a text file of labels"):
        open_dataset(tmp_path)


def test_class_folders_stay_what_they_are(tmp_path: Path) -> None:
    for name in ("cat/a", "cat/b", "dog/a", "dog/b"):
        image(tmp_path / f"{name}.png")
        text(tmp_path / f"{name}.txt", "0 0.5 0.5 0.5 0.5")
    text(tmp_path / "notes.txt", "1 2 3 4 5")
    text(tmp_path / "data.yaml", "author: someone")
    assert isinstance(open_source(tmp_path), FolderSource)
