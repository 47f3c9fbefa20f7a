"""Tables that name image files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from picture_files import SAMPLES

from hubel.core.errors import DataError, DecodeError
from hubel.data.index import scan
from hubel.data.sources import open_source
from hubel.data.sources.listing import SPLITS
from hubel.data.sources.parquet import text_rows
from hubel.data.sources.table import TableSource, is_path_table

Row = dict[str, str | None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for name in "abcd":
        (tmp_path / "pictures" / f"{name}.png").write_bytes(SAMPLES["PNG"])
    return tmp_path


def written(path: Path, rows: list[Row]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: [row[name] for row in rows] for name in rows[0]}), path)
        return path
    mark = "," if path.suffix == ".csv" else "\t"
    lines = [mark.join(rows[0]), *(mark.join(value or "" for value in row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


KINDS = pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])


@KINDS
def test_rows(folder: Path, kind: str) -> None:
    rows: list[Row] = [
        {"image_path": "pictures/a.png", "label": "cat", "split": "train"},
        {"image_path": str(folder / "pictures" / "b.png"), "label": "Hündin", "split": "Validation"},
        {"image_path": "pictures/c.png", "label": None, "split": None},
        {"image_path": "pictures/d.png", "label": "cat", "split": "test"},
    ]
    path = written(folder / f"t.{kind}", rows)
    assert is_path_table(path)
    source = open_source(path)
    listing = source.listing()
    assert [listing.paths[i] for i in range(4)] == [row["image_path"] for row in rows]
    assert listing.labels == ("cat", "Hündin")
    assert listing.label.tolist() == [0, 1, -1, 0]
    assert [SPLITS[code] for code in listing.split] == ["train", "val", "", "test"]
    assert listing.stamp.all()
    assert all(source.read(i, listing.paths[i]) == SAMPLES["PNG"] for i in range(4))


@KINDS
def test_missing_files_are_named(folder: Path, kind: str) -> None:
    rows: list[Row] = [{"image_path": "pictures/a.png", "label": "x"}]
    rows += [{"image_path": name, "label": "x"} for name in ("gone.png", "pictures/gone.png", "\0", "")]
    source = TableSource(written(folder / f"t.{kind}", rows))
    line = 2 if kind == "parquet" else 3
    with pytest.raises(
        DataError, match=rf"names 4 files that cannot be found; the first is 'gone.png' in line {line}$"
    ):
        source.listing()
    with pytest.raises(DataError, match="names a file that"):
        TableSource(written(folder / f"t.{kind}", rows[:2])).listing()


@KINDS
def test_missing_columns(folder: Path, kind: str) -> None:
    path = written(folder / f"t.{kind}", [{"image_path": "pictures/a.png", "class": "x"}])
    with pytest.raises(DataError, match="has no column label; its columns are image_path, class"):
        TableSource(path).listing()


def test_an_empty_table(folder: Path) -> None:
    (folder / "t.csv").touch()
    with pytest.raises(DataError, match="has no column image_path or label; its columns are nothing"):
        TableSource(folder / "t.csv").listing()


def test_a_byte_order_mark_quotes_and_blank_lines(folder: Path) -> None:
    text = 'label,"image_path"\r\n"a, b",pictures/a.png\r\n\r\n"two\nlines",pictures/b.png\r\nx,none.png\r\n'
    (folder / "t.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    with pytest.raises(DataError, match=r"'none\.png' in line 6"):
        TableSource(folder / "t.csv").listing()
    (folder / "none.png").touch()
    assert TableSource(folder / "t.csv").listing().labels == ("a, b", "two\nlines", "x")


def test_short_and_long_lines(folder: Path) -> None:
    (folder / "t.csv").write_text("image_path,label\npictures/a.png\npictures/b.png,x,y,z\n")
    assert TableSource(folder / "t.csv").listing().label.tolist() == [-1, 0]


@KINDS
def test_an_unknown_split(folder: Path, kind: str) -> None:
    rows: list[Row] = [{"image_path": "pictures/a.png", "label": "x", "split": "holdout"}]
    with pytest.raises(DataError, match="split is train, val or test, not 'holdout'"):
        TableSource(written(folder / f"t.{kind}", rows)).listing()


@pytest.mark.parametrize("data", ["image_path,label\nä,x\n".encode("utf-16"), b"image_path,label\n" + b"x" * 200_000])
def test_no_readable_table(folder: Path, data: bytes) -> None:
    (folder / "t.csv").write_bytes(data)
    with pytest.raises(DataError, match="is no readable table"):
        TableSource(folder / "t.csv").listing()


def test_a_parquet_that_is_none(folder: Path) -> None:
    (folder / "t.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="is no readable Parquet file"):
        open_source(folder / "t.parquet")


def test_several_labels(folder: Path) -> None:
    labels = ("cat|dog", "dog", "cat|", "|")
    rows: list[Row] = [
        {"image_path": f"pictures/{n}.png", "label": label} for n, label in zip("abcd", labels, strict=True)
    ]
    index = scan(open_source(written(folder / "t.csv", rows), multi_label=True))
    classes = index.classes(multi_label=True)
    assert classes == ("cat", "dog")
    targets = index.targets(index.usable(), classes, multi_label=True)
    assert targets.dtype == "float32"
    assert targets.tolist() == [[1, 1], [0, 1], [1, 0], [0, 0]]
    with pytest.raises(DataError, match=r"'dog' that the model does not know; it knows cat$"):
        index.targets(index.usable(), ("cat",), multi_label=True)
    assert index.classes() == ("cat|", "cat|dog", "dog", "|")


def test_links_of_a_stranger_may_not_leave_the_folder_of_the_table(folder: Path) -> None:
    (folder / "inner").mkdir()
    try:
        (folder / "inner" / "link.png").symlink_to(folder / "pictures" / "a.png")
    except OSError:
        pytest.skip("links are not allowed here")
    names = ["link.png", "../pictures/a.png", str(folder / "pictures" / "a.png")]
    table = written(folder / "inner" / "t.csv", [{"image_path": name, "label": "x"} for name in names])
    assert TableSource(table).read(0, names[0]) == SAMPLES["PNG"]
    source = TableSource(table, within=table.parent)
    with pytest.raises(DecodeError, match="lies outside"):
        source.read(0, names[0])
    assert source.read(1, names[1]) == source.read(2, names[2]) == SAMPLES["PNG"]


def test_text_rows_are_those_of_all_batches_and_cheap(tmp_path: Path) -> None:
    n = 70_000  # more than Arrow gives at once
    pq.write_table(pa.table({"a": range(n), "b": ["x", None] * (n // 2)}), tmp_path / "t.parquet")
    rows = list(text_rows(tmp_path / "t.parquet", ("b", "none", "a")))
    assert rows[:2] == [("x", "", "0"), ("", "", "1")]
    assert rows[-1] == ("", "", str(n - 1))
    assert len(rows) == n
