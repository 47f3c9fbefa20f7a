"""Hugging Face data sets on the disk: what `save_to_disk` writes, and folders of Parquet as the hub has them.

The files are written by pyarrow as `datasets` 5.2 writes them; where that library is installed, by itself as well.
"""

from __future__ import annotations

import contextlib
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hf_files import FEATURES, parquet, saved, several, table
from tar_files import labels_of, level, one_line, picture

from hubel.core.errors import DataError, DecodeError
from hubel.data.index import scan
from hubel.data.sources import open_source
from hubel.data.sources.listing import SPLITS
from hubel.data.sources.parquet import ParquetSource
from hubel.data.sources.saved import SavedSource


def levels(source: Any, rows: int) -> list[int]:
    return [level(source.read(row, "")) for row in range(rows)]


# save_to_disk -----------------------------------------------------------------------------------


def test_one_split(tmp_path: Path) -> None:
    source = open_source(saved(tmp_path / "set", [table(list(range(7)), [0, 1, 0, 1, 0, -1, None]), table([9], [1])]))
    assert isinstance(source, SavedSource)
    listing = source.listing()
    assert labels_of(listing) == ["cat", "dog", "cat", "dog", "cat", None, None, "dog"]
    assert levels(source, 8) == [0, 1, 2, 3, 4, 5, 6, 9]
    assert (source.name, source.location) == ("set", str(tmp_path / "set"))
    assert listing.paths[7] == "data-00001-of-00002.arrow[0]"
    assert not listing.split.any()
    assert len({0, *listing.stamp.tolist()}) == 9


def test_several_splits(tmp_path: Path) -> None:
    several(
        tmp_path, train=[table([1, 2], [0, 1]), table([3], [0])], validation=[table([4], [1])], other=[table([5], [0])]
    )
    source = open_source(tmp_path)
    listing = source.listing()
    assert [SPLITS[code] for code in listing.split] == ["train", "train", "train", "val", ""]
    assert listing.paths[3] == "validation/data-00000-of-00001.arrow[0]"
    assert levels(source, 5) == [1, 2, 3, 4, 5]
    assert labels_of(open_source(tmp_path / "train").listing()) == ["cat", "dog", "cat"]


def test_labels_as_text_and_columns_by_their_features(tmp_path: Path) -> None:
    assert labels_of(SavedSource(saved(tmp_path / "a", [table([1, 2], ["x", "y"], None)], None)).listing()) == [
        "x",
        "y",
    ]
    made = table([1, 2], [1, 0], None, label="species")
    masks = made.append_column("annotation", pa.array([b"", b""]))
    features = {"species": FEATURES["label"], "image": {"_type": "Image"}}
    source = SavedSource(saved(tmp_path / "b", [masks], features))
    assert labels_of(source.listing()) == ["dog", "cat"]
    assert levels(source, 2) == [1, 2]
    renamed = made.rename_columns(["photo", "species"]).append_column("blob", pa.array([b"", b""])).select([2, 0, 1])
    features = {"photo": {"_type": "Image"}, "species": FEATURES["label"]}
    assert levels(SavedSource(saved(tmp_path / "c", [renamed], features)), 2) == [1, 2]


def test_without_labels(tmp_path: Path) -> None:
    saved(tmp_path, [table([1, 2], [0, 1]).drop_columns(["label"])])
    assert "has no column of labels (label, " in one_line(tmp_path)
    source = open_source(tmp_path, labelled=False)
    assert labels_of(source.listing()) == ["", ""]
    assert levels(source, 2) == [1, 2]
    saved(tmp_path, [table([1, 2], [None, 1])])
    assert labels_of(open_source(tmp_path, labelled=False).listing()) == ["", "dog"]


def test_files_beside_instead_of_bytes(tmp_path: Path) -> None:
    """Only inside the folder, after all links are followed."""
    (tmp_path / "outside.png").write_bytes(picture(1))
    inside = tmp_path / "set"
    (inside / "images").mkdir(parents=True)
    (inside / "images" / "1.png").write_bytes(picture(7))
    (inside / "link.png").symlink_to(tmp_path / "outside.png")
    paths = [
        "images/1.png",
        "../outside.png",
        str(tmp_path / "outside.png"),
        "link.png",
        "gone.png",
        "images\\..\\..\\outside.png",
    ]
    paths += ["C:/outside.png", "images", ""]
    saved(inside, [table([{"bytes": None, "path": path} for path in paths] + [None], [0, 1] * 5)])
    source = open_source(inside)
    assert levels(source, 1) == [7]
    reasons = []
    for row in range(1, 10):
        with pytest.raises(DecodeError) as caught:
            source.read(row, f"row {row}")
        assert caught.value.name == f"row {row}"
        assert caught.value.reason.startswith("the row has no image bytes")
        reasons.append(caught.value.reason.removeprefix("the row has no image bytes"))
    assert [reason.rsplit(" ", 2)[-2:] for reason in reasons[:2]] == [["leads", "elsewhere"]] * 2
    assert f"its file link.png: its real path lies outside of {inside}" in reasons[2]
    assert reasons[3] == ", and its file gone.png: there is no such file"
    assert "leads elsewhere" in reasons[4]
    assert "leads elsewhere" in reasons[5]
    assert reasons[6] == ", and its file images: a folder, not a regular file"
    assert reasons[7:] == ["", ""]


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("dataset_dict.json", "{", "dataset_dict.json is no readable JSON"),
        ("dataset_dict.json", "[1]", "holds [1]; expected a JSON object"),
        ("dataset_dict.json", '{"splits": "train"}', "splits is train; expected names of folders beside it"),
        ("dataset_dict.json", '{"splits": []}', "splits is []; expected names of folders beside it"),
        ("dataset_dict.json", '{"splits": ["../train"]}', "expected names of folders beside it"),
        ("dataset_dict.json", '{"splits": ["test"]}', "state.json is missing; expected it in a folder that"),
        ("train/state.json", "[" * 100_000, "state.json is no readable JSON"),
        ("train/state.json", "{}", "_data_files is None; expected names of files beside it"),
        ("train/state.json", '{"_data_files": [{"filename": "../../x.arrow"}]}', "expected names of files beside it"),
        ("train/state.json", '{"_data_files": [{"filename": "/x.arrow"}]}', "expected names of files beside it"),
        ("train/state.json", '{"_data_files": [{"filename": 3}, 4]}', "is no readable file of Arrow's stream format"),
        ("train/state.json", '{"_data_files": [{"filename": "gone.arrow"}]}', "gone.arrow is no readable file"),
        ("train/state.json", '{"_data_files": [{"filename": "a"}], "_indices_data_files": [1]}', "a file of indices"),
        ("train/data-00000-of-00001.arrow", "x" * 100, "is no readable file of Arrow's stream format"),
        ("train/data-00000-of-00001.arrow", "", "is no readable file of Arrow's stream format"),
    ],
)
def test_damaged_descriptions(tmp_path: Path, file: str, content: str, text: str) -> None:
    several(tmp_path, train=[table([1, 2], [0, 1])])
    (tmp_path / file).write_text(content)
    assert text in one_line(tmp_path)


def test_damaged_rows(tmp_path: Path) -> None:
    saved(tmp_path, [table([1, 2], [0, 2])])
    assert "data-00000-of-00001.arrow, row 1: no class has the number 2" in one_line(tmp_path)
    saved(tmp_path, [table([1, 2], [{"a": 0}, {"a": 1}], None)], None)
    assert "the column label holds struct<a: int64>; expected text, numbers, or lists of them" in one_line(tmp_path)
    twice = {"label": {"names": ["cat", "cat"], "_type": "ClassLabel"}}
    saved(tmp_path, [table([1, 2], [0, 1])], twice)
    assert "calls two classes 'cat'; expected a name of its own for each" in one_line(tmp_path)


@pytest.mark.parametrize("kind", [SavedSource, ParquetSource])
def test_damaged_bytes_raise_and_do_not_crash(tmp_path: Path, kind: type[SavedSource] | type[ParquetSource]) -> None:
    """Offsets in a mapped file are used as they lie; 400 damaged files give errors or images, and no fault."""
    rows = table(list(range(20)), [0, 1] * 10)
    if kind is SavedSource:
        where, path = saved(tmp_path, [rows]), tmp_path / "data-00000-of-00001.arrow"
    else:
        where = path = parquet(tmp_path / "t.parquet", list(range(20)), [0, 1] * 10)
    whole = path.read_bytes()
    luck = random.Random(1)
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(luck.randint(1, 6)):
            data[luck.randrange(len(data))] = luck.choice([0, 255, luck.randrange(256)])
        path.unlink()  # an earlier one may still be mapped
        path.write_bytes(data[: luck.randrange(len(data)) if luck.random() < 0.1 else len(data)])
        with contextlib.suppress(DataError, DecodeError):  # whatever else is raised fails the test
            source = kind(where)
            for row in range(len(source.listing())):
                with contextlib.suppress(DecodeError):
                    source.read(row, "")


def test_a_second_look_decodes_nothing(tmp_path: Path) -> None:
    several(tmp_path, train=[table([1, 2], [0, 1])], test=[table([3, 4], [0, 1])])
    assert scan(open_source(tmp_path)).reused == 0
    assert scan(open_source(tmp_path)).reused == 4
    os.utime(tmp_path / "test" / "data-00000-of-00001.arrow", ns=(10**18, 10**18))
    assert scan(open_source(tmp_path)).reused == 2


def test_many_threads(tmp_path: Path) -> None:
    saved(tmp_path, [table([i], [0]) for i in range(60)])
    source = SavedSource(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        data = list(pool.map(lambda row: source.read(row, ""), range(60)))
    assert data == [picture(i) for i in range(60)]


# The library itself -----------------------------------------------------------------------------


def test_as_the_library_reads_it(tmp_path: Path) -> None:
    """Files of Hugging Face's own library, and what it says of them."""
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(decode=False), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )

    def made(numbers: range) -> Any:
        images = [{"bytes": picture(i), "path": None} for i in numbers]
        return datasets.Dataset.from_dict({"image": images, "label": [i % 2 for i in numbers]}, features=features)

    splits = datasets.DatasetDict(
        {"train": made(range(10)), "validation": made(range(10, 14)), "test": made(range(20, 25))}
    )
    splits.save_to_disk(tmp_path / "saved", num_shards={"train": 3, "validation": 1, "test": 2})
    made(range(6)).select([5, 0, 2]).save_to_disk(tmp_path / "chosen")
    for name, split in splits.items():
        for i in range(2):
            (tmp_path / "hub" / "data").mkdir(parents=True, exist_ok=True)
            split.shard(2, i).to_parquet(tmp_path / "hub" / "data" / f"{name}-{i:05d}-of-00002.parquet")
    for folder, read in (
        ("saved", datasets.load_from_disk(tmp_path / "saved")),
        ("hub", datasets.load_dataset(str(tmp_path / "hub"), cache_dir=str(tmp_path / "cache"))),
        ("chosen", {"": datasets.load_from_disk(tmp_path / "chosen")}),
    ):
        source = open_source(tmp_path / folder)
        listing = source.listing()
        codes = {"": 0, "train": 1, "validation": 2, "test": 3}
        found = {
            name: [
                (source.read(row, ""), listing.labels[listing.label[row]])
                for row in range(len(listing))
                if listing.split[row] == codes[name]
            ]
            for name in read
        }
        for name, rows in read.items():
            assert found[name] == [(row["image"]["bytes"], features["label"].int2str(row["label"])) for row in rows]
        assert sum(map(len, found.values())) == len(listing)
