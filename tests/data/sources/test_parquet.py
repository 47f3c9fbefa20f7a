"""Parquet files in the layout of Hugging Face data sets."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from picture_files import encode

from hubel.core.errors import DataError, DecodeError
from hubel.data.decode import decode
from hubel.data.index import scan
from hubel.data.sources import open_source
from hubel.data.sources.listing import SPLITS, Listing
from hubel.data.sources.parquet import ParquetSource, is_parquet

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def picture(level: int) -> bytes:
    return encode(np.full((3, 4), level, np.uint8), "PNG")


def written(
    path: Path, levels: list[int | None], labels: Any, *, plain: bool = False, names: Any = None, image: str = "image"
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = [None if level is None else picture(level) for level in levels]
    if plain:
        images = pa.array(data, pa.binary())
    else:
        images = pa.array([{"bytes": item, "path": "x.png"} for item in data], STRUCT)
    table = pa.table({"id": range(len(levels)), image: images, "label": labels})
    if names is not None:
        info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    pq.write_table(table, path, row_group_size=2)
    return path


def labels_of(listing: Listing) -> list[str | None]:
    return [None if code < 0 else listing.labels[code] for code in listing.label]


@pytest.mark.parametrize("plain", [False, True])
def test_one_file(tmp_path: Path, plain: bool) -> None:
    path = written(tmp_path / "t.parquet", [10, 20, 30], [0, 1, 0], plain=plain, names=["cat", "dog"], image="img")
    source = open_source(path)
    listing = source.listing()
    assert labels_of(listing) == ["cat", "dog", "cat"]
    assert [listing.paths[i] for i in range(3)] == [f"t.parquet[{i}]" for i in range(3)]
    assert not listing.split.any()
    assert len({0, *listing.stamp.tolist()}) == 4
    for row, level in enumerate((10, 20, 30)):
        data = source.read(row, "")
        assert isinstance(data, bytes)
        assert (decode(data, name="").pixels == level).all()


def test_several_files_in_order_with_their_splits(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for i in (1, 10, 2):
        written(folder / "data" / f"train-{i}-of-10.parquet", [i, i + 100], ["a", "b"])
    written(folder / "data" / "validation.parquet", [7], ["a"])
    written(folder / "test" / "part0.parquet", [8], ["b"])
    (folder / ".hidden.parquet").touch()
    assert is_parquet(folder)
    source = open_source(folder)
    listing = source.listing()
    assert source.name == "set"
    assert [SPLITS[code] for code in listing.split] == ["train"] * 6 + ["val", "test"]
    levels = [int(decode(source.read(i, ""), name="").pixels[0, 0]) for i in range(8)]  # type: ignore[arg-type]
    assert levels == [1, 101, 2, 102, 10, 110, 7, 8]
    assert listing.paths[4] == "train-10-of-10.parquet[0]"
    assert len(set(listing.stamp.tolist())) == 8


def test_equal_names_in_two_folders_have_different_stamps(tmp_path: Path) -> None:
    import os

    for folder in ("train", "test"):
        os.utime(written(tmp_path / folder / "part.parquet", [1, 2], ["a", "b"]), ns=(10**18, 10**18))
    stamps = ParquetSource(tmp_path).listing().stamp
    assert len(set(stamps.tolist())) == 4


def test_labels_without_names_or_value(tmp_path: Path) -> None:
    assert labels_of(ParquetSource(written(tmp_path / "t.parquet", [1, 2, 3], [7, None, 3])).listing()) == [
        "7",
        None,
        "3",
    ]
    assert labels_of(ParquetSource(written(tmp_path / "u.parquet", [1, 2], ["x", "y"])).listing()) == ["x", "y"]


def test_minus_one_is_no_label(tmp_path: Path) -> None:
    """Hugging Face writes it where the labels of a test split are secret."""
    path = written(tmp_path / "t.parquet", [1, 2, 3], [0, -1, None], names=["cat", "dog"])
    assert labels_of(ParquetSource(path).listing()) == ["cat", None, None]


@pytest.mark.parametrize("label", [2, 5])
def test_a_label_without_a_name(tmp_path: Path, label: int) -> None:
    path = written(tmp_path / "t.parquet", [1, 2], [0, label], names=["cat", "dog"])
    with pytest.raises(DataError, match=f"row 1: no class has the number {label}"):
        ParquetSource(path).listing()


@pytest.mark.parametrize("metadata", [b"{", b"[]", b'{"info": {"features": {"other": 1}}}', b"\xff"])
def test_damaged_metadata_is_none(tmp_path: Path, metadata: bytes) -> None:
    table = pa.table({"image": pa.array([picture(1)]), "label": [1]}).replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, tmp_path / "t.parquet")
    assert labels_of(ParquetSource(tmp_path / "t.parquet").listing()) == ["1"]


@pytest.mark.parametrize("plain", [False, True])
def test_null_bytes_are_named(tmp_path: Path, plain: bool) -> None:
    source = ParquetSource(written(tmp_path / "t.parquet", [1, None, 3], ["a", "b", "a"], plain=plain))
    with pytest.raises(DecodeError, match="the row has no image bytes"):
        source.read(1, "t.parquet[1]")
    file = "" if plain else ", and its file x.png: there is no such file"
    assert scan(source).unreadable() == [("t.parquet[1]", f"the row has no image bytes{file}")]


def test_a_null_struct_is_named(tmp_path: Path) -> None:
    images = pa.array([None, {"bytes": picture(1), "path": None}], STRUCT)
    pq.write_table(pa.table({"image": images, "label": ["a", "b"]}), tmp_path / "t.parquet")
    source = ParquetSource(tmp_path / "t.parquet")
    with pytest.raises(DecodeError, match="no image bytes"):
        source.read(0, "x")
    assert source.read(1, "x") == picture(1)


def test_many_threads_read_the_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ParquetSource(written(tmp_path / "t.parquet", list(range(40)), ["a"] * 40))
    opened = []
    real = pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", lambda *a, **k: opened.append(a) or real(*a, **k))
    with ThreadPoolExecutor(8) as pool:
        data = list(pool.map(lambda row: source.read(row, ""), range(40)))
    assert data == [picture(level) for level in range(40)]
    assert len(opened) == 1


def test_missing_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": pa.array([picture(1)]), "kind": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"has no column of labels \(label, .*\); it has image, kind"):
        ParquetSource(tmp_path / "a.parquet").listing()
    pq.write_table(pa.table({"image": ["a.png"], "label": ["a"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="no column of encoded images; it has image, label"):
        ParquetSource(tmp_path / "b.parquet").listing()


def test_real_pictures(shared: Path) -> None:
    if not (shared / "cifar10").is_dir():
        pytest.skip("needs ../shared/data/cifar10")
    source = ParquetSource(shared / "cifar10" / "test.parquet")
    listing = source.listing()
    assert len(listing) == 10_000
    assert set(listing.labels) >= {"airplane", "bird", "truck"}
    assert np.bincount(listing.label).tolist() == [1000] * 10
    assert decode(source.read(9999, ""), name="").pixels.shape == (32, 32, 3)


@pytest.mark.parametrize("kind", [pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())])
def test_other_types_of_bytes(tmp_path: Path, kind: pa.DataType) -> None:
    images = [picture(level) for level in (1, 2, 1)]
    pq.write_table(pa.table({"Image": pa.array(images).cast(kind), "Label": [*"aba"]}), tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet")
    assert source.listing().labels == ("a", "b")
    assert [source.read(row, "") for row in range(3)] == images


def test_a_column_of_splits(tmp_path: Path) -> None:
    """It counts where the name of the file says nothing."""
    table = pa.table(
        {"image": [picture(level) for level in range(4)], "label": [*"abab"], "split": ["train", "Test", None, " "]}
    )
    for name in ("t", "val-0"):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    splits = [SPLITS[code] for code in open_source(tmp_path).listing().split]
    assert splits == ["train", "test", "", "", *(["val"] * 4)]
    pq.write_table(table.set_column(2, "split", [["all"] * 4]), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet, row 0: split is train, val or test, not 'all'"):
        open_source(tmp_path / "t.parquet").listing()


@pytest.mark.parametrize("images", [True, False])
def test_two_columns_of_one_name(tmp_path: Path, images: bool) -> None:
    first = pa.array([picture(1)] if images else ["a.png"])
    names = ["image" if images else "image_path", "label", "label"]
    pq.write_table(pa.Table.from_arrays([first, pa.array(["x"]), pa.array(["y"])], names), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet has 2 columns called label; expected one"):
        open_source(tmp_path / "t.parquet").listing()
