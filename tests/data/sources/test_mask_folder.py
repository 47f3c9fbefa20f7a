"""Folders of images beside folders of masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from marked_files import image, mask
from PIL import Image

from hubel.core.errors import DataError
from hubel.core.notes import Caution
from hubel.data import open_dataset, open_source
from hubel.data.sources.folder import FolderSource
from hubel.data.sources.mask_folder import MaskFolder, pair_key

HALVES = np.repeat(np.arange(40)[None] // 20, 30, 0)  # 0 at the left, 1 at the right


def opened(root: Path, void: int | None = None) -> tuple[MaskFolder, list[str]]:
    dataset = open_dataset(root, void=void)
    assert isinstance(dataset.source, MaskFolder)
    return dataset.source, dataset.notes()


def pairs(root: Path, values: np.ndarray, n: int = 3) -> None:
    for i in range(n):
        image(root / "images" / f"{i}.png")
        mask(root / "masks" / f"{i}.png", values)


@pytest.mark.parametrize(
    ("images_at", "masks_at"),
    [
        ("images/{}.png", "masks/{}.png"), ("images/{}.jpg", "labels/{}.png"),
        ("train/images/{}.png", "train/masks/{}.png"),
        ("images/train/{}.png", "annotations/train/{}.png"), ("train/{}.png", "train_masks/{}_mask.png"),
        ("train/{}.png", "trainannot/{}.png"), ("imgs/{}.png", "gt/{}_gt.png"), ("images/{}.jpg", "labels/{}_L.png"),
        ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"), ("inner/images/{}.png", "inner/masks/{}.png"),
    ],
)  # fmt: skip
def test_found_by_names(tmp_path: Path, images_at: str, masks_at: str) -> None:
    for i in range(3):
        image(tmp_path / images_at.format(f"p{i}"))
        mask(tmp_path / masks_at.format(f"p{i}"), HALVES * (i + 1))
    source, notes = opened(tmp_path)
    assert source.annotated == ("masks",)
    assert source.names == source.mask_names == ("0", "1", "2", "3")
    for row in range(3):
        found = source.annotation(row)
        assert found.mask is not None
        assert (found.mask == HALVES * (row + 1)).all()
        assert len(found.boxes) == 0
    assert notes == []
    dataset = open_dataset(tmp_path)
    assert dataset.labels() == ["0|1", "0|2", "0|3"]
    if "train" in images_at:
        assert len(dataset.rows("train")) == 3


def test_names_come_from_a_file(tmp_path: Path) -> None:
    pairs(tmp_path, HALVES * 2)
    for text in ("sky\nroad\ncar\n", "0: sky\n1: road\n2: car"):
        (tmp_path / "classes.txt").write_text(text)
        assert opened(tmp_path)[0].names == ("sky", "road", "car")
    (tmp_path / "classes.txt").unlink()
    for text in ('["sky", "road", "car"]', '{"0": "sky", "1": "road", "2": "car"}', '{"sky": 0, "road": 1, "car": 2}'):
        (tmp_path / "classes.json").write_text(text)
        assert opened(tmp_path)[0].names == ("sky", "road", "car")


def test_a_void_class_is_ignored(tmp_path: Path) -> None:
    pairs(tmp_path, HALVES + 1)
    (tmp_path / "codes.txt").write_text("sky\nvoid\nroad")
    source, notes = opened(tmp_path)
    assert source.names == ("sky", "road")
    assert notes == ["pixels of the class void are ignored"]
    assert source.annotation(0).mask[0, [0, -1]].tolist() == [255, 1]  # type: ignore[index]
    (tmp_path / "codes.txt").unlink()
    source, _ = opened(tmp_path, void=2)
    assert source.names == ("1",)
    assert source.annotation(0).mask[0, [0, -1]].tolist() == [0, 255]  # type: ignore[index]


def test_255_is_no_class_beside_others(tmp_path: Path) -> None:
    values = HALVES.copy()
    values[:5] = 255
    pairs(tmp_path, values)
    source, _ = opened(tmp_path)
    assert source.names == ("background", "foreground")
    assert (source.annotation(0).mask == values).all()


def numbered(root: Path, counts: list[int]) -> None:
    """Masks with so many upright stripes each, numbered from 1."""
    for i, count in enumerate(counts):
        image(root / "images" / f"{i}.png")
        mask(root / "masks" / f"{i}.png", np.repeat((np.arange(40)[None] * (count + 1)) // 40, 30, 0))


def test_numbers_of_objects_are_no_classes(tmp_path: Path) -> None:
    numbered(tmp_path, [1, 1, 2, 3, 1, 2, 5, 4])
    source, notes = opened(tmp_path)
    assert source.names == ("background", "foreground")
    found = source.annotation(6).mask
    assert found is not None
    assert (found == (np.arange(40)[None] * 6 // 40 > 0)).all()
    assert len(notes) == 1
    assert "number the objects of each image, 1 to 5" in notes[0]
    assert "classes.txt" in notes[0]
    (tmp_path / "masks" / "classes.txt").write_text("nothing\na\nb\nc\nd\ne\n")
    assert opened(tmp_path)[0].names == ("nothing", "a", "b", "c", "d", "e")


@pytest.mark.parametrize("counts", [[1, 2, 3, 1, 2, 3, 1], [1, 2] * 5, [3] * 9])
def test_too_little_to_take_numbers_for_those_of_objects(tmp_path: Path, counts: list[int]) -> None:
    numbered(tmp_path, counts)
    source, notes = opened(tmp_path)
    assert source.names == tuple(map(str, range(max(counts) + 1)))
    assert notes == []


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_black_and_white(tmp_path: Path, ending: str) -> None:
    for i in range(3):
        image(tmp_path / "images" / f"{i}.jpg")
        mask(tmp_path / "masks" / f"{i}.{ending}", HALVES * 255)
    source, _ = opened(tmp_path)
    assert source.names == ("background", "foreground")
    wrong = source.annotation(0).mask != HALVES
    assert wrong.sum() == 0


def test_indices_of_a_palette(tmp_path: Path) -> None:
    pairs(tmp_path, HALVES)
    for i in range(3):
        picture = Image.fromarray(HALVES.astype(np.uint8), "P")
        picture.putpalette([200, 0, 0, 0, 99, 0])
        picture.save(tmp_path / "masks" / f"{i}.png")
    source, _ = opened(tmp_path)
    assert (source.annotation(1).mask == HALVES).all()


def test_colours(tmp_path: Path) -> None:
    colours = np.array([[0, 0, 0], [64, 128, 64]], np.uint8)
    pairs(tmp_path, colours[HALVES])
    mask(tmp_path / "masks" / "2.png", np.zeros((30, 40, 3)))  # only black, which is read as grey
    source, notes = opened(tmp_path)
    assert source.names == ("#000000", "#408040")
    assert (source.annotation(0).mask == HALVES).all()
    assert not source.annotation(2).mask.any()  # type: ignore[union-attr]
    assert "label_colors.txt" in notes[0]
    for name, text in (
        ("label_colors.txt", "64 128 64\tTree\n0 0 0\tSky"),
        ("class_dict.csv", "name,r,g,b\nTree,64,128,64\nSky,0,0,0"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nTree:64,128,64::\nSky:0,0,0::"),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
        source, notes = opened(tmp_path)
        assert source.names == ("Tree", "Sky")
        assert (source.annotation(0).mask == 1 - HALVES).all()
        assert notes == []
        (tmp_path / name).unlink()


def test_flaws_are_counted_and_named(tmp_path: Path) -> None:
    pairs(tmp_path, HALVES, 8)
    (tmp_path / "classes.txt").write_text("sky\nroad")
    mask(tmp_path / "masks" / "1.png", np.zeros((15, 20)))  # half the size
    mask(tmp_path / "masks" / "2.png", np.zeros((30, 90)))  # another shape
    mask(tmp_path / "masks" / "3.png", HALVES * 7)  # a class that nobody names
    (tmp_path / "masks" / "4.png").write_bytes(b"nothing")
    mask(tmp_path / "masks" / "5.png", np.random.default_rng(0).integers(0, 255, (30, 40, 3)))  # a photo
    (tmp_path / "masks" / "6.png").unlink()
    mask(tmp_path / "masks" / "9.png", HALVES)
    dataset = open_dataset(tmp_path)
    notes = dataset.notes()
    expected = [
        "images without a mask, which are left out: 1 (images/6.png)",
        "masks without an image: 1 (masks/9.png)",
        "masks of another size than their image, which are fitted to it: 1 (masks/1.png)",
        "masks of another shape than their image, which are left out: 1 (masks/2.png)",
        "masks with pixels of an unknown class (7), which are ignored: 1 (masks/3.png)",
        "masks that cannot be read, whose images are left out: 2 (masks/4.png: no mask that can be read (no image in a "
        "format that hubel reads), masks/5.png: 1,200 colours; a mask has one for each class)",
    ]
    assert [note for note in notes if isinstance(note, Caution)][: len(expected)] == expected
    assert "4 images left out because they have no label" in notes
    assert len(dataset.rows()) == 4
    source = dataset.source
    assert isinstance(source, MaskFolder)
    assert source.annotation(1).mask.shape == (30, 40)  # type: ignore[union-attr]
    assert (source.annotation(2).mask == 255).all()
    assert source.annotation(3).mask[0, [0, -1]].tolist() == [0, 255]  # type: ignore[index]


def test_a_mask_of_a_photo_on_its_side(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.png", orientation=6)
    mask(tmp_path / "masks" / "a.png", HALVES)  # as the sensor saw it: right becomes below
    source, notes = opened(tmp_path)
    found = source.annotation(0).mask
    assert found is not None
    assert found.shape == (40, 30)
    assert (found[:20] == 0).all()
    assert (found[20:] == 1).all()
    assert "masks of another size" in notes[0]


def test_a_changed_mask_changes_the_fingerprint(tmp_path: Path) -> None:
    pairs(tmp_path, HALVES)
    first = open_dataset(tmp_path).index
    assert open_dataset(tmp_path).index.fingerprint() == first.fingerprint()
    mask(tmp_path / "masks" / "1.png", HALVES[:, ::-1])  # the same classes, as often
    assert open_dataset(tmp_path).index.fingerprint() != first.fingerprint()


@pytest.mark.parametrize(
    "names", [("with_mask", "without_mask"), ("mask", "no_mask"), ("images", "labels"), ("cat", "mask")]
)
def test_class_folders_stay_what_they_are(tmp_path: Path, names: tuple[str, str]) -> None:
    rng = np.random.default_rng(0)
    for name in names:
        for i in range(3):
            mask(tmp_path / name / f"{i}.png", rng.integers(0, 255, (30, 40, 3)))
    assert isinstance(open_source(tmp_path), FolderSource)


def test_too_many_classes(tmp_path: Path) -> None:
    pairs(tmp_path, HALVES)
    (tmp_path / "classes.txt").write_text("\n".join(f"class {i}" for i in range(300)))
    with pytest.raises(DataError, match="300 classes of pixels are more than the 255"):
        open_dataset(tmp_path)


def test_pairs() -> None:
    assert pair_key("images/val/a.b.jpg")[0] == pair_key("masks/val/a.b_mask.png")[0] == "val/a.b"
    assert pair_key("images/val/a.jpg")[0] != pair_key("masks/train/a.png")[0]


def test_street_scenes(shared: Path) -> None:
    if not (shared / "camvid").is_dir():
        pytest.skip("needs shared/data/camvid")
    dataset = open_dataset(shared / "camvid", void=11)
    source = dataset.source
    assert isinstance(source, MaskFolder)
    assert source.names == tuple(map(str, range(11)))
    assert [len(dataset.rows(split)) for split in ("train", "val")] == [367, 101]
    found = source.annotation(0).mask
    assert found is not None
    assert found.shape == (360, 480)
    raw = np.asarray(Image.open(shared / "camvid" / "train" / "masks" / "0001TP_006690.png"))
    assert (found == np.where(raw == 11, 255, raw)).all()
    assert dataset.notes() == []
