"""Pascal VOC's XML, and tables of boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from marked_files import image, mask, text, voc

from hubel.core.errors import DataError, OptionError
from hubel.data import open_dataset, open_source
from hubel.data.sources.box_table import BoxTable
from hubel.data.sources.table import TableSource
from hubel.data.sources.voc import VOC_CLASSES, VocSource, parse_xml, voc_colours

BOXES = (("cat", 1, 2, 11, 22), ("my dog", 20, 5, 35, 15))


def opened(data: Path) -> tuple[VocSource, list[str]]:
    dataset = open_dataset(data)
    assert isinstance(dataset.source, VocSource)
    return dataset.source, dataset.notes()


@pytest.mark.parametrize(
    ("images_at", "xml_at"),
    [
        ("JPEGImages/{}.png", "Annotations/{}.xml"), ("{}.png", "{}.xml"), ("images/{}.png", "annotations/{}.xml"),
        ("train/{}.png", "train/{}.xml"),
        ("VOCdevkit/VOC2012/JPEGImages/{}.png", "VOCdevkit/VOC2012/Annotations/{}.xml"),
        ("images/{}.png", "images/{}.xml"),
    ],
)  # fmt: skip
def test_found_by_names(tmp_path: Path, images_at: str, xml_at: str) -> None:
    for name in "abc":
        image(tmp_path / images_at.format(name))
    voc(tmp_path / xml_at.format("a"), *BOXES)
    voc(tmp_path / xml_at.format("b"))
    source, notes = opened(tmp_path)
    assert source.names == ("cat", "my dog")
    assert source.annotation(0).boxes.tolist() == [[1, 2, 11, 22], [20, 5, 35, 15]]
    assert notes[0].startswith("images without an XML file, which count as without objects: 1 (")
    assert notes[-1] == "2 images without an object"


def test_sets_and_masks(tmp_path: Path) -> None:
    values = np.zeros((30, 40))
    values[5:10, 5:10], values[4, 4:11] = VOC_CLASSES.index("cat") + 1, 255
    for name in "abc":
        image(tmp_path / "JPEGImages" / f"{name}.jpg")
        voc(tmp_path / "Annotations" / f"{name}.xml", ("cat", 5, 5, 10, 10), ("dog", 20, 5, 30, 9))
    for name in "ab":
        mask(tmp_path / "SegmentationClass" / f"{name}.png", values)
    text(tmp_path / "ImageSets" / "Main" / "train.txt", "a", "b")
    text(tmp_path / "ImageSets" / "Main" / "val.txt", "c")
    dataset = open_dataset(tmp_path)
    source = dataset.source
    assert isinstance(source, VocSource)
    assert source.annotated == ("boxes", "masks")
    assert source.names == VOC_CLASSES
    assert source.mask_names == ("background", *VOC_CLASSES)
    assert [len(dataset.rows(split)) for split in ("train", "val")] == [2, 1]
    assert (source.annotation(0).mask == values).all()
    assert (source.annotation(2).mask == 255).all()


def test_the_colours_of_voc() -> None:
    """Three rows of the table on its page."""
    names = {f"{value & 0xFFFFFF:06x}": name for value, name in voc_colours().items()}
    assert (names["000000"], names["800000"], names["c08080"], names["0040 80".replace(" ", "")]) == (
        "background", "aeroplane", "person", "tvmonitor",
    )  # fmt: skip


def test_flaws_are_counted_and_named(tmp_path: Path) -> None:
    for name in "abcd":
        image(tmp_path / f"{name}.png")
    voc(tmp_path / "a.xml", *BOXES, ("cat", 9, 9, 3, 3), ("cat", 30, 20, 70, 80), ("cat", 4, "x", 8, 9))
    voc(tmp_path / "b.xml", *BOXES, size=(80, 60))
    text(tmp_path / "c.xml", '<!DOCTYPE a [<!ENTITY b "c">]>', "<annotation>&b;</annotation>")
    text(tmp_path / "d.xml", "<annotation><object>")
    voc(tmp_path / "gone.xml", *BOXES)
    source, notes = opened(tmp_path)
    for note in (
        "boxes with swapped corners, which are put right: 1 (a.xml, object 3)",
        "boxes that reach out of their image, which are cut at its edge: 1 (a.xml, object 4)",
        "boxes without four numbers, which are left out: 1 (a.xml, object 5)",
        "images of another size than their annotations say; these are scaled to it: 1 (b.png)",
        "  c.png: c.xml: declares types or entities, which no annotation needs",
        "  gone.jpg: there is no such image, which gone.xml annotates",
    ):
        assert note in notes
    assert any(note.startswith("  d.png: d.xml: no readable XML") for note in notes)
    assert source.annotation(1).boxes[0].tolist() == [0.5, 1, 5.5, 11]


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"<a>" * 9, b"<?xml version='1.0'?><!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>"]
)
def test_hostile_xml(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(declares|no readable)"):
        parse_xml(data)


def table(root: Path, *lines: str, header: str = "image_path,xmin,ymin,xmax,ymax,label") -> Path:
    for name in "abc":
        image(root / "photos" / f"{name}.png")
    return text(root / "boxes.csv", header, *lines)


def test_a_table_of_boxes(tmp_path: Path) -> None:
    path = table(tmp_path, "photos/a.png,1,2,11,22,cat", "photos/a.png,20,5,35,15,dog", "photos/b.png,,,,,")
    dataset = open_dataset(path)
    source = dataset.source
    assert isinstance(source, BoxTable)
    assert source.annotated == ("boxes",)
    assert source.annotation(0).boxes.tolist() == [[1, 2, 11, 22], [20, 5, 35, 15]]
    assert dataset.labels() == ["cat|dog", ""]


def test_tables_as_others_write_them(tmp_path: Path) -> None:
    header = "filename;x1;y1;x2;y2;class;split"
    path = table(tmp_path, "a.png;1,5;2;11;22;cat;train", "b.png;1;2;3;4;cat;val", header=header)
    dataset = open_dataset(path, root=tmp_path / "photos")
    assert dataset.source.annotation(0).boxes.tolist() == [[1.5, 2, 11, 22]]  # type: ignore[attr-defined]
    assert [len(dataset.rows(split)) for split in ("train", "val")] == [1, 1]
    with pytest.raises(OptionError, match="--root"):
        open_dataset(path, root=tmp_path / "nowhere")


def test_flaws_of_a_table(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "photos/a.png,1,2,11,22,cat",
        "photos/a.png,1,2,11,22,",
        "photos/b.png,1,2,x,22,cat",
        "gone.png,1,2,3,4,cat",
    )
    dataset = open_dataset(path)
    assert "boxes without a label, which are left out: 1 (boxes.csv, line 3)" in dataset.notes()
    assert "boxes without four numbers, which are left out: 1 (boxes.csv, line 4)" in dataset.notes()
    assert dataset.index.unreadable() == [("gone.png", "there is no such file")]
    with pytest.raises(DataError, match="no row with a box"):
        open_dataset(table(tmp_path, "photos/a.png,,,,,"))


def test_other_tables_stay_what_they_are(tmp_path: Path) -> None:
    path = table(tmp_path, "photos/a.png,cat,1", "photos/b.png,dog,2", header="image_path,label,xmin")
    assert isinstance(open_source(path), TableSource)
