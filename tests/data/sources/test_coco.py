"""COCO's JSON: where its images lie, what its annotations become, and what is wrong in it."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marked_files import coco, image, mask

from hubel.core.errors import DataError, DecodeError
from hubel.core.notes import Caution
from hubel.data import open_dataset, open_source
from hubel.data.annotation import AnnotatedSource
from hubel.data.sources.coco import CocoSource
from hubel.data.sources.folder import FolderSource


def three(root: Path, folder: str = "images") -> list[dict]:
    for name in "abc":
        image(root / folder / f"{name}.png")
    return [{"file_name": f"{name}.png"} for name in "abc"]


BOXES = [
    {"image_id": 0, "bbox": [1, 2, 10, 20]},
    {"image_id": 0, "bbox": [20, 5, 15, 10], "category_id": 2},
    {"image_id": 1, "bbox": [0, 0, 40, 30], "iscrowd": 1},
]


@pytest.mark.parametrize(
    ("json_at", "images_at"),
    [
        ("annotations.json", "images"), ("images/_annotations.coco.json", "images"),
        ("annotations/instances.json", "."),
        ("annotations/instances_default.json", "images"), ("result.json", "."), ("inner/labels.json", "inner/images"),
    ],
)  # fmt: skip
def test_found_wherever_tools_put_it(tmp_path: Path, json_at: str, images_at: str) -> None:
    images = three(tmp_path, images_at)
    path = coco(tmp_path / json_at, images, BOXES)
    for data in (tmp_path, path):
        dataset = open_dataset(data)
        source = dataset.source
        assert isinstance(source, CocoSource)
        assert isinstance(source, AnnotatedSource)
        assert source.annotated == ("boxes",)
        assert source.names == ("cat", "dog")
        assert source.annotation(0).boxes.tolist() == [[1, 2, 11, 22], [20, 5, 35, 15]]
        assert source.annotation(0).classes.tolist() == [0, 1]
        assert source.annotation(1).crowd.tolist() == [True]
        assert source.annotation(2).boxes.shape == (0, 4)
        assert dataset.labels() == ["cat|dog", "cat", ""]
        assert dataset.notes() == ["1 image without an object"]


def test_splits_have_files_of_their_own(tmp_path: Path) -> None:
    """As Roboflow exports, which names its project as a category above the others."""
    above = {"id": 0, "name": "pets-x1", "supercategory": "none"}
    pets = [{"id": i, "name": name, "supercategory": "pets-x1"} for i, name in ((1, "cat"), (2, "dog"))]
    for split, number in (("train", 2), ("valid", 1), ("test", 1)):
        names = [image(tmp_path / split / f"{i}.png").name for i in range(number)]
        coco(
            tmp_path / split / "_annotations.coco.json",
            [{"file_name": name} for name in names],
            BOXES[:1],
            [above, *pets],
        )
    dataset = open_dataset(tmp_path)
    assert dataset.source.names == ("cat", "dog")  # type: ignore[attr-defined]
    assert [len(dataset.rows(split)) for split in ("train", "val", "test")] == [2, 1, 1]


def test_the_layout_of_coco_itself(tmp_path: Path) -> None:
    for split in ("train", "val"):
        image(tmp_path / f"{split}2017" / "000001.png")  # the same name in both
        for kind in ("instances", "person_keypoints"):
            coco(tmp_path / "annotations" / f"{kind}_{split}2017.json", [{"file_name": "000001.png"}], BOXES[:1])
        captions = {"images": [{"id": 0, "file_name": "000001.png"}], "annotations": [{"image_id": 0, "caption": "a"}]}
        (tmp_path / "annotations" / f"captions_{split}2017.json").write_text(json.dumps(captions))
    dataset = open_dataset(tmp_path)
    assert [dataset.index.paths[row] for row in range(2)] == ["train2017/000001.png", "val2017/000001.png"]
    assert [len(dataset.rows(split)) for split in ("train", "val")] == [1, 1]
    assert sum("is not used" in note for note in dataset.notes()) == 2
    points = open_source(tmp_path / "annotations" / "person_keypoints_val2017.json").listing()
    assert points.paths[0] == "val2017/000001.png"


MISTAKES = {
    "boxes that reach out of their image, which are cut at its edge": {"bbox": [-5, 3, 20, 40]},
    "boxes outside of their image, which are left out": {"bbox": [50, 3, 20, 10]},
    "boxes without area, which are left out": {"bbox": [5, 5, 0, 10]},
    "boxes with swapped corners, which are put right": {"bbox": [15, 15, -10, -5]},
    "boxes without four numbers, which are left out": {"bbox": [float("nan"), 1, 2, 3]},
    "boxes that are not four numbers": {"bbox": [1, 2, 3]},
    "objects without a box, which are left out": {"bbox": []},
    "annotations of an unknown class, which are left out": {"bbox": [1, 1, 2, 2], "category_id": 9},
    "annotations of an image that the file does not list, which are left out": {"bbox": [1, 1, 2, 2], "image_id": 77},
    "objects that are there twice, which count once": {"bbox": [1, 2, 10, 20], "category_id": 1},
}


@pytest.mark.parametrize("flaw", MISTAKES)
def test_flaws_are_counted_and_named(tmp_path: Path, flaw: str) -> None:
    images = three(tmp_path)
    coco(tmp_path / "annotations.json", images, [*BOXES, {"image_id": 0, **MISTAKES[flaw]}])
    dataset = open_dataset(tmp_path)
    (note,) = [note for note in dataset.notes() if flaw in note]
    assert isinstance(note, Caution)
    assert note == f"{flaw}: 1 (annotations.json, annotation 3)"
    assert ("annotations.json, annotation 3", flaw) in dataset.index.passed
    boxes = dataset.source.annotation(0).boxes.tolist()  # type: ignore[attr-defined]
    third = {"cut": [0, 3, 15, 30], "swapped": [5, 10, 15, 15]}
    assert boxes[2:] == [box for word, box in third.items() if word in flaw]


def test_missing_and_unlisted_images(tmp_path: Path) -> None:
    images = three(tmp_path)
    image(tmp_path / "images" / "other.png")
    coco(tmp_path / "annotations.json", [*images, {"file_name": "gone.png"}], BOXES)
    dataset = open_dataset(tmp_path)
    assert dataset.index.unreadable() == [("gone.png", "there is no such file")]
    assert "1 file passed over: images that no annotation file names (images/other.png)" in dataset.notes()
    coco(tmp_path / "annotations.json", [{"file_name": "x.png"}, {"file_name": "y.png"}], BOXES[:1])
    with pytest.raises(DataError, match=r"none of the 2 images can be used; the first is 'x.png'"):
        open_dataset(tmp_path / "annotations.json")


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"images": {}, "annotations": [], "file_name": 0, "bbox": 0}', '{"images": [1], "annotations": [2]}']
)  # fmt: skip
def test_damaged_json(tmp_path: Path, text: str) -> None:
    three(tmp_path)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError):
        CocoSource(tmp_path / "a.json").listing()


def test_sizes_that_differ(tmp_path: Path) -> None:
    images = three(tmp_path)
    images[0] |= {"width": 80, "height": 60}  # the images were halved since
    images[1] |= {"width": 30, "height": 40}
    coco(tmp_path / "annotations.json", images, [{"image_id": 0, "bbox": [10, 20, 40, 20]}, BOXES[2]])
    dataset = open_dataset(tmp_path)
    assert dataset.source.annotation(0).boxes.tolist() == [[5, 10, 25, 20]]  # type: ignore[attr-defined]
    assert [note[:45] for note in dataset.notes()[:2]] == [
        "images of another size than their annotations",
        "images of another shape than their annotation",
    ]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_annotations_of_a_photo_on_its_side(tmp_path: Path, orientation: int) -> None:
    """A mask turned by the decoder of images says where the box and the polygon have to be."""
    lying = np.zeros((30, 40), np.uint8)
    lying[5:15, 4:24] = 255
    path = image(tmp_path / "images" / "a.png", orientation=orientation)
    square = {"image_id": 0, "bbox": [4, 5, 20, 10], "segmentation": [[4, 5, 24, 5, 24, 15, 4, 15]]}
    coco(tmp_path / "annotations.json", [{"file_name": path.name}], [square])
    source = open_dataset(tmp_path).source
    from PIL import Image

    from hubel.data import decode

    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(lying).save(tmp_path / "lying.png", exif=exif)
    upright = decode((tmp_path / "lying.png").read_bytes(), name="lying").pixels
    rows, columns = np.nonzero(upright)
    found = source.annotation(0)  # type: ignore[attr-defined]
    assert found.boxes.tolist() == [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]
    assert (found.mask == (upright > 0)).all()


def test_regions_fill_masks(tmp_path: Path) -> None:
    images = three(tmp_path)
    square = {"bbox": [4, 4, 16, 16], "segmentation": [[4, 4, 20, 4, 20, 20, 4, 20]], "image_id": 0}
    inner = {
        "segmentation": [[8, 8, 12, 8, 12, 12, 8, 12]],
        "category_id": 2,
        "image_id": 0,
    }  # its box is the polygon's
    crowd = {
        "bbox": [0, 0, 40, 30],
        "segmentation": {"size": [30, 40], "counts": [0, 60, 1140]},
        "image_id": 1,
        "iscrowd": 1,
    }
    wrong = {"bbox": [1, 1, 3, 3], "segmentation": {"size": [3, 4], "counts": "00"}, "image_id": 1}
    line = {"bbox": [1, 1, 3, 3], "segmentation": [[1, 1, 4, 4]], "image_id": 2}
    boxed = {"bbox": [5, 5, 9, 9], "segmentation": [], "image_id": 2}  # as tools write an object without a region
    coco(tmp_path / "annotations.json", images, [inner, square, crowd, wrong, line, boxed])
    dataset = open_dataset(tmp_path)
    source = dataset.source
    assert isinstance(source, CocoSource)
    assert source.annotated == ("boxes", "masks")
    assert source.mask_names == ("background", "cat", "dog")
    found = source.annotation(0)
    wanted = np.zeros((30, 40), int)
    wanted[4:20, 4:20], wanted[8:12, 8:12] = 1, 2
    assert (found.mask == wanted).all()
    assert found.boxes[0].tolist() == [8, 8, 12, 12]
    group = source.annotation(1).mask
    assert group is not None
    assert (group[:, :2] == 255).all()
    assert (group[:, 2:] == 0).all()
    assert source.annotation(0, masks=False).mask is None
    assert sum("are left out: 1 (images/" in note for note in dataset.notes()) == 2


POINTS = {
    "id": 1,
    "name": "person",
    "keypoints": ["nose", "left_hand", "right_hand"],
    "skeleton": [[1, 2], [1, 3], [9, 1]],
}


def test_key_points(tmp_path: Path) -> None:
    images = three(tmp_path)
    marked = [
        {"image_id": 0, "bbox": [0, 0, 20, 20], "keypoints": [5, 6, 2, 7, 8, 1, 0, 0, 0]},
        {"image_id": 0, "keypoints": [5, 6, 2, 9, 9, 2, 60, 10, 2]},  # no box, and a point beyond the image
        {"image_id": 1, "bbox": [0, 0, 20, 20], "keypoints": [1, 2]},
    ]
    coco(tmp_path / "annotations.json", images, marked, [POINTS])
    dataset = open_dataset(tmp_path)
    source = dataset.source
    assert isinstance(source, CocoSource)
    assert source.annotated == ("points", "boxes")
    assert (source.point_names, source.point_mirror) == (("nose", "left_hand", "right_hand"), (0, 2, 1))
    assert source.limbs == ((0, 1), (0, 2))
    found = source.annotation(0)
    assert found.points[0].tolist() == [[5, 6, 2], [7, 8, 1], [0, 0, 0]]
    assert found.points[1].tolist() == [[5, 6, 2], [9, 9, 2], [0, 0, 0]]
    assert found.boxes[1].tolist() == [5, 6, 40, 10]
    assert not source.annotation(1).points.any()
    assert sum("key points" in note for note in dataset.notes()) == 2


def test_a_changed_label_changes_the_fingerprint(tmp_path: Path) -> None:
    images = three(tmp_path)
    prints = []
    for change in (
        {},
        {"bbox": [1, 2, 10, 21]},
        {"category_id": 2},
        {"iscrowd": 1},
        {"segmentation": [[1, 2, 9, 9, 3, 9]]},
    ):
        coco(tmp_path / "annotations.json", images, [{**BOXES[0], **change}, *BOXES[1:]])
        prints.append(open_dataset(tmp_path).index.fingerprint())
    assert len(set(prints)) == len(prints)
    coco(tmp_path / "annotations.json", images, BOXES)
    assert open_dataset(tmp_path).index.fingerprint() == prints[0]


def test_class_folders_stay_what_they_are(tmp_path: Path) -> None:
    """Photos beside which a JSON of something else lies, or a COCO file of other images."""
    for name in ("cat/a", "cat/b", "dog/a", "dog/b"):
        image(tmp_path / f"{name}.png")
    (tmp_path / "settings.json").write_text('{"images": 3, "annotations": "bbox"}')
    assert isinstance(open_source(tmp_path), FolderSource)
    coco(tmp_path / "elsewhere.json", [{"file_name": "z.png"}], BOXES[:1])
    assert isinstance(open_source(tmp_path), FolderSource)


def test_pedestrians(shared: Path) -> None:
    folder = shared / "penn-fudan"
    if not folder.is_dir():
        pytest.skip("needs shared/data/penn-fudan")
    source = open_dataset(folder).source
    assert isinstance(source, CocoSource)
    assert (source.annotated, source.names) == (("boxes", "masks"), ("pedestrian",))
    assert source.mask_names == ("background", "pedestrian")
    assert sum(len(source.annotation(row, masks=False).boxes) for row in range(170)) == 423
    found = source.annotation(0)
    assert found.mask is not None
    left, top, right, bottom = found.boxes[0].astype(int)
    assert set(np.unique(found.mask)) == {0, 1}
    assert found.mask[top:bottom, left:right].any(), "the box lies over its person"


def test_athletes(shared: Path) -> None:
    folder = shared / "sports-pose"
    if not folder.is_dir():
        pytest.skip("needs shared/data/sports-pose")
    source = open_dataset(folder).source
    assert isinstance(source, CocoSource)
    assert source.annotated == ("points", "boxes")
    assert len(source.point_names) == 14
    names = [source.point_names[i] for i in source.point_mirror]
    assert names[:2] == ["left_ankle", "left_knee"]
    assert names[12:] == ["neck", "head_top"]
    assert all(source.annotation(row).points.shape == (1, 14, 3) for row in range(300))


def test_masks_beside_boxes_count_objects(tmp_path: Path) -> None:
    images = three(tmp_path)
    for name in "abc":
        values = np.zeros((30, 40))
        values[2:5, 2:5], values[9:12, 9:12] = 1, 2
        mask(tmp_path / "masks" / f"{name}.png", values)
    coco(tmp_path / "annotations.json", images, BOXES[:1], ["cat"])
    source = open_dataset(tmp_path).source
    assert source.annotated == ("boxes", "masks")  # type: ignore[attr-defined]
    found = source.annotation(2).mask  # type: ignore[attr-defined]
    assert found[3, 3] == found[10, 10] == 1
    assert found.sum() == 18


NUMBERS = [True, -1, 0, 3, 10**400, 1e308, float("nan"), float("inf")]
JUNK = st.sampled_from([*NUMBERS, None, "", "x", "\0", [], [[]], [1], {}, {"id": [1]}, "é" * 300])


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Return the way to every value inside a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))] if path or inner else [path]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data())
def test_damage_anywhere_is_no_traceback(tmp_path: Path, draw: st.DataObject) -> None:
    if not (tmp_path / "images").exists():
        three(tmp_path)
    crowd = {
        "bbox": [0, 0, 9, 9],
        "segmentation": {"size": [30, 40], "counts": [0, 60, 1140]},
        "image_id": 1,
        "iscrowd": 1,
    }
    square = {
        "bbox": [4, 4, 16, 16],
        "segmentation": [[4, 4, 20, 4, 20, 20]],
        "image_id": 0,
        "keypoints": [1, 2, 2] * 3,
    }
    path = coco(tmp_path / "a.json", [{"file_name": f"{name}.png"} for name in "abc"], [square, crowd], [POINTS, "dog"])
    content = json.loads(path.read_text())
    for _ in range(draw.draw(st.integers(1, 3))):
        *way, last = draw.draw(st.sampled_from([place for place in places(content) if place]))
        holder = content
        for key in way:
            holder = holder[key]
        holder[last] = copy.deepcopy(draw.draw(JUNK))  # a list would else come to hold itself
    path.write_text(json.dumps(content))
    try:
        source = open_dataset(CocoSource(path)).source
    except DataError:
        return
    for row in range(len(source.listing())):
        with contextlib.suppress(DecodeError):
            found = source.annotation(row)  # type: ignore[attr-defined]
            assert np.isfinite(found.boxes).all()
            assert ((found.boxes >= 0) & (found.boxes <= (40, 30, 40, 30))).all()
            assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
