"""Which kind of source a thing is; files given by hand; the listing."""

from __future__ import annotations

import gzip
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import SAMPLES

from hubel.core.errors import DataError, DecodeError, OptionError, UnknownNameError
from hubel.data.sources import KINDS, ArraySource, Source, open_source
from hubel.data.sources.arrays import ListSource
from hubel.data.sources.builtin import XO
from hubel.data.sources.folder import FolderSource
from hubel.data.sources.listing import ListingBuilder, class_names, natural_key
from hubel.data.sources.parquet import ParquetSource
from hubel.data.sources.table import TableSource


def test_each_kind_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("folder/a/1.png", "folder/b/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(SAMPLES["PNG"])
    for end, mark in (("csv", ","), ("TSV", "\t")):
        (tmp_path / f"t.{end}").write_text(f"image_path{mark}label\n")
    pq.write_table(pa.table({"image_path": ["x"], "label": ["a"]}), tmp_path / "paths.parquet")
    (tmp_path / "set").mkdir()
    pq.write_table(pa.table({"image": [b"x"], "label": ["a"]}), tmp_path / "set" / "train.parquet")
    (tmp_path / "idx").mkdir()
    for kind, head in (("images-idx3", b"\0\0\x08\x03" + bytes(3) + b"\1" * 9), ("labels-idx1", b"\0\0\x08\x01")):
        data = b"\0\0\x08\x03" + b"\0\0\0\1" * 3 + b"\7" if kind[0] == "i" else head + b"\0\0\0\1\2"
        (tmp_path / "idx" / f"train-{kind}-ubyte.gz").write_bytes(gzip.compress(data))
    kinds = {
        "folder": FolderSource,
        "t.csv": TableSource,
        "t.TSV": TableSource,
        "paths.parquet": TableSource,
        "set": ParquetSource,
        "set/train.parquet": ParquetSource,
        "idx": ArraySource,
    }
    for name, kind in kinds.items():
        for path in (tmp_path / name, str(tmp_path / name)):
            source = open_source(path)
            assert isinstance(source, kind)
            assert isinstance(source, Source)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert isinstance(open_source("~/folder"), FolderSource)
    assert open_source(source) is source
    assert open_source("xo", xo=XO(count=4)).listing().label.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("place", ["", "cat", "train", "train/cat"])
@pytest.mark.parametrize(
    "strays",
    [
        {"x.parquet": b"PAR1"},
        {"state.json": b"{}", "dataset_info.json": b"{}", "dataset_dict.json": b"{}"},
        {"train-images-idx3-ubyte": b""},
        {"x.tar": b""},
    ],
)
def test_files_of_another_kind_leave_photos_alone(
    tmp_path: Path, strays: dict[str, bytes], place: str, *, labelled: bool
) -> None:
    names = [f"{place.partition('/')[0] if 'train' in place else ''}/{name}/1.png" for name in ("cat", "dog")]
    for name, data in {
        **dict.fromkeys(names, SAMPLES["PNG"]),
        **{f"{place}/{n}": d for n, d in strays.items()},
    }.items():
        (tmp_path / name.strip("/")).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name.strip("/")).write_bytes(data)
    listing = open_source(tmp_path, labelled=labelled).listing()
    assert (listing.labels, sum(listing.skipped.values())) == (("cat", "dog"), len(strays))


def test_files_of_another_kind_leave_photos_without_labels_alone(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "x.parquet"):
        (tmp_path / name).write_bytes(SAMPLES["PNG"])
    assert len(open_source(tmp_path, labelled=False).listing()) == 2


def test_errors_for_data_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match="'digit'; did you mean digits"):
        open_source("digit")
    with pytest.raises(UnknownNameError, match="known ones are: digits, shapes, xo"):
        open_source("photographs")
    for name in ("photos.zip", "no/where", str(tmp_path / "gone")):
        with pytest.raises(DataError, match="no such file or folder"):
            open_source(name)
    for name in ("photos.zip", "photos.ZIP", "photos.7z", "photos.rar"):
        (tmp_path / name).write_bytes(b"PK")
        with pytest.raises(DataError, match=rf"^{name}: hubel does not read .* unpack it, and give the folder$"):
            open_source(name)
    (tmp_path / "photos.docx").write_bytes(b"PK")
    with pytest.raises(
        DataError, match=r"photos\.docx is no dataset that hubel reads; expected .*; a folder of class"
    ) as e:
        open_source("photos.docx")
    assert all(kind.name in str(e.value) for kind in KINDS)
    with pytest.raises(OptionError, match="belong to the dataset xo, not to digits"):
        open_source("digits", xo=XO())
    with pytest.raises(OptionError, match="belong to the dataset xo"):
        open_source((np.zeros((2, 4, 4)), ["a", "b"]), xo=XO())
    with pytest.raises(DataError, match="several labels an image come from a table"):
        open_source(tmp_path, multi_label=True)
    for data in ("digits", (np.zeros((2, 4, 4)), ["a|b", "b"])):
        assert open_source(data, multi_label=True)


def test_a_folder_named_like_a_built_in_dataset_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_source("digits"), ArraySource)
    (tmp_path / "digits").mkdir()
    assert isinstance(open_source("digits"), FolderSource)
    assert isinstance(open_source("xo"), ArraySource)


def test_files_given_by_hand(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(SAMPLES["PNG"])
    paths = [tmp_path / "a.png", str(tmp_path / "b.png"), "gone.png"]
    source = ListSource(paths, ["x", "y", "x"])
    listing = source.listing()
    assert listing.label.tolist() == [0, 1, 0]
    assert source.read(1, listing.paths[1]) == SAMPLES["PNG"]
    with pytest.raises(DecodeError, match=r"gone\.png: there is no such file"):
        source.read(2, listing.paths[2])
    with pytest.raises(DataError, match="3 images need 3 labels"):
        ListSource(paths, ["x"])


@given(st.lists(st.tuples(st.text(), st.none() | st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 2**64 - 1))))
def test_a_listing_holds_the_rows_that_were_added(rows: list[tuple[str, str | None, int, int]]) -> None:
    builder = ListingBuilder()
    for path, label, split, stamp in rows:
        builder.add(path, label, split, stamp)
    listing = builder.build()
    assert len(listing) == len(listing.paths) == len(rows)
    for i, (path, label, split, stamp) in enumerate(rows):
        assert listing.paths[i] == path
        assert (None if listing.label[i] < 0 else listing.labels[listing.label[i]]) == label
        assert (listing.split[i], listing.stamp[i]) == (split, stamp)


def test_a_listing_is_small() -> None:
    n = 40_000
    tracemalloc.start()
    builder = ListingBuilder()
    for i in range(n):
        builder.add(f"train/class-{i % 100:03d}/image-{i:016d}.jpg", f"class-{i % 100:03d}", 1, i + 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / n < 150
    listing = builder.build()
    arrays = (listing.paths.block, listing.paths.ends, listing.label, listing.split, listing.stamp)
    assert sum(array.nbytes for array in arrays) / n < 70


@given(st.lists(st.text(alphabet="aA19.\u0663é", max_size=6)), st.randoms())
def test_natural_order_is_an_order(names: list[str], luck: random.Random) -> None:
    ordered = sorted(names, key=natural_key)
    luck.shuffle(names)
    assert sorted(names, key=natural_key) == ordered


def test_natural_order() -> None:
    names = ["b", "10", "a2", "A10", "2", "1", "a02", "", "a"]
    assert sorted(names, key=natural_key) == ["", "1", "2", "10", "a", "a02", "a2", "A10", "b"]


def test_class_names() -> None:
    assert class_names(["10", "9", "9"]) == ("9", "10")
    with pytest.raises(DataError, match="only one class, 'cat'"):
        class_names(["cat", "cat"])
    with pytest.raises(DataError, match="no labelled image"):
        class_names([])


def test_empty_listing() -> None:
    assert len(ListingBuilder().build()) == 0
    assert np.array_equal(ListingBuilder().build().label, [])
