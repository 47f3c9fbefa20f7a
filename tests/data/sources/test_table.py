"""Tables that name image files."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from picture_files import RGB, SAMPLES, encode

from hubel.core.errors import DataError, DecodeError, OptionError
from hubel.data.dataset import open_dataset
from hubel.data.index import scan
from hubel.data.sources import open_source
from hubel.data.sources.listing import SPLITS
from hubel.data.sources.parquet import values_of
from hubel.data.sources.table import TableSource, is_path_table

Row = dict[str, str | None]

PICTURES = {f"{name}.png": encode(RGB // (number + 1), "PNG") for number, name in enumerate("abcd")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for name, content in PICTURES.items():
        (tmp_path / "pictures" / name).write_bytes(content)
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
    assert [source.read(i, listing.paths[i]) for i in range(4)] == [*PICTURES.values()]


@KINDS
def test_missing_files_are_named_and_left_out(folder: Path, kind: str) -> None:
    rows: list[Row] = [{"image_path": "pictures/a.png", "label": "x"}]
    rows += [{"image_path": name, "label": "x"} for name in ("gone.png", "pictures/gone.png", "\0", "")]
    path = written(folder / f"t.{kind}", rows)
    index = open_dataset(path).index
    empty = "row 5" if kind == "parquet" else "line 6"
    assert index.unreadable() == [
        *((name, "there is no such file") for name in ("gone.png", "pictures/gone.png", "\0")),
        (empty, "the row names no file"),
    ]
    assert index.usable().tolist() == [0]
    (folder / "gone.png").write_bytes(SAMPLES["PNG"])
    assert open_dataset(path).index.usable().tolist() == [0, 1]


@KINDS
def test_none_of_the_files_is_there(folder: Path, kind: str) -> None:
    source = TableSource(written(folder / f"t.{kind}", [{"image_path": "gone/a.png", "label": "x"}] * 2))
    message = (
        "none of the 2 files that it names exists; the first is 'gone/a.png' in (line 2|row 1), looked for in .*--root"
    )
    with pytest.raises(DataError, match=message):
        source.listing()


@KINDS
def test_paths_may_start_elsewhere(folder: Path, kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("tables")
    path = written(elsewhere / f"t.{kind}", [{"image_path": f"{name}.png", "label": name} for name in "ab"])
    dataset = open_dataset(path, root=folder / "pictures")
    assert dataset.classes() == ("a", "b")
    assert dataset.notes() == []
    with pytest.raises(OptionError, match="no/where is no folder"):
        open_dataset(path, root="no/where")
    with pytest.raises(
        OptionError, match="--root is the folder that the paths of a table start at; this is a folder of"
    ):
        open_dataset(folder, root=folder)


@KINDS
def test_a_row_that_is_there_twice_counts_once(folder: Path, kind: str) -> None:
    names = ("pictures/a.png", "./pictures/a.png", str(folder / "pictures" / "a.png"), "pictures/b.png")
    rows: list[Row] = [{"image_path": name, "label": "x"} for name in names]
    assert open_source(written(folder / f"t.{kind}", rows)).listing().labels == ("x",)
    assert len(open_source(folder / f"t.{kind}").listing()) == 2


@KINDS
@pytest.mark.parametrize("several", [False, True])
def test_rows_that_contradict_each_other_are_named_and_left_out(folder: Path, kind: str, several: bool) -> None:
    path = folder / f"t.{kind}"
    consistent: list[Row] = [{"image_path": f"pictures/{n}.png", "label": "x|y", "split": "train"} for n in "abcd"]
    assert len(open_dataset(written(path, consistent), multi_label=several).rows()) == 4  # and now they are remembered
    rows: list[Row] = [
        *consistent,
        {"image_path": "pictures/a.png", "label": "y|x|x" if several else "x|y", "split": "train"},
        {"image_path": "pictures/b.png", "label": "x", "split": "train"},
        {"image_path": "pictures/c.png", "label": None, "split": "train"},
        {"image_path": "./pictures/d.png", "label": "x|y", "split": "test"},
    ]
    index = open_dataset(written(path, rows), multi_label=several).index
    place, first = ("row", 1) if kind == "parquet" else ("line", 2)
    nothing = "the label ''" if several and kind != "parquet" else "no label"
    both = "the label 'x|y' in train"
    assert index.unreadable() == [
        ("pictures/b.png", f"{place} {first + 1} says {both}, {place} {first + 5} says the label 'x' in train"),
        ("pictures/c.png", f"{place} {first + 2} says {both}, {place} {first + 6} says {nothing} in train"),
        ("pictures/d.png", f"{place} {first + 3} says {both}, {place} {first + 7} says the label 'x|y' in test"),
    ]
    assert [index.paths[row] for row in index.usable()] == ["pictures/a.png"]


@KINDS
def test_missing_columns(folder: Path, kind: str) -> None:
    path = written(folder / f"t.{kind}", [{"image_path": "pictures/a.png", "kind": "x"}])
    with pytest.raises(
        DataError, match=r"no column of labels \(label, .*\); its columns are image_path, kind; name them"
    ):
        TableSource(path).listing()
    assert TableSource(path, labelled=False).listing().labels == ("",)


def test_an_empty_table(folder: Path) -> None:
    (folder / "t.csv").touch()
    with pytest.raises(DataError, match=r"no column of image paths .* or of labels .*; its columns are nothing"):
        TableSource(folder / "t.csv").listing()


def test_a_table_of_other_things(folder: Path) -> None:
    names = ["label", *(f"pixel{i}" for i in range(784))]
    (folder / "t.csv").write_text(",".join(names) + "\n" + "1," * 784 + "\n")
    with pytest.raises(
        DataError, match=r"no column of image paths .*; its columns are label, pixel0, .*, pixel18, ...;"
    ):
        TableSource(folder / "t.csv").listing()


PATHS = ["image_path", "Image Path", "file_name", "filename", "path", "file", "image", "FILE-NAME"]
NAMES = ["label", "Label ", "class", "category", "target", "labels"]


@pytest.mark.parametrize(("path", "label"), [*((path, "label") for path in PATHS), *(("path", name) for name in NAMES)])
@KINDS
def test_usual_names_of_columns(folder: Path, kind: str, path: str, label: str) -> None:
    table = written(folder / f"t.{kind}", [{"id": "1", label: "cat", path: "pictures/a.png"}])
    assert is_path_table(table)
    assert open_source(table).listing().labels == ("cat",)


def test_images_come_before_paths(folder: Path) -> None:
    """A column of encoded images may stand beside one of their names."""
    pq.write_table(pa.table({"image": [SAMPLES["PNG"]], "file_name": ["a.png"], "label": ["x"]}), folder / "t.parquet")
    assert not is_path_table(folder / "t.parquet")


def test_images_come_before_paths_that_lead_nowhere(folder: Path) -> None:
    """Such as those of the machine that the images come from."""
    table = {"image": [SAMPLES["PNG"]], "image_path": ["/mnt/a.png"], "label": ["x"]}
    pq.write_table(pa.table(table), folder / "t.parquet")
    assert open_dataset(folder / "t.parquet").labels() == ["x"]


def test_images_that_are_not_embedded_are_named_by_their_paths(folder: Path) -> None:
    images = [{"bytes": None, "path": f"pictures/{name}"} for name in PICTURES]
    for column in ("image", "image_path"):
        pq.write_table(pa.table({column: images, "label": [*"xxyy"]}), folder / "t.parquet")
        dataset = open_dataset(folder / "t.parquet")
        assert dataset.labels() == [*"xxyy"]
        assert [dataset.source.read(row, "") for row in range(4)] == [*PICTURES.values()]


def test_paths_that_are_no_text(folder: Path) -> None:
    pq.write_table(pa.table({"image": [[1, 2]], "label": ["x"]}), folder / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet, row 1: the image path is a list; expected text"):
        open_source(folder / "t.parquet").listing()


def test_missing_splits_are_none(folder: Path) -> None:
    """NaN stands for a missing text in a column of pandas."""
    names, splits = [f"pictures/{name}" for name in PICTURES], [float("nan")] * 4
    pq.write_table(pa.table({"image_path": names, "label": [*"xxyy"], "split": splits}), folder / "t.parquet")
    assert open_dataset(folder / "t.parquet").split_codes().tolist() == [0] * 4


ROWS = [("image_path", "label"), *((f"pictures/{n}.png", n * 2) for n in "abcd")]


def joined(delimiter: str, end: str = "\n", rows: list[tuple[str, str]] = ROWS) -> str:
    return end.join(delimiter.join(row) for row in rows) + end


@pytest.mark.parametrize(
    "encoding",
    [
        *("utf-8", "utf-8-sig", "utf-16", "utf-16-le with a mark", "utf-16-be with a mark"),
        *("utf-16-le", "utf-16-be", "utf-32", "utf-32-be with a mark"),
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        joined(","), joined(";"), joined("\t"), joined("|"), joined(", "), "\n \r\n" + joined(","),
        joined(",", "\r\n"), joined(";", "\r"),
        "sep=;\r\n" + joined(";", "\r\n"), joined(",") + "\n,\n , \n", joined(",").replace("/", "\\"), joined(" , "),
        joined(", ").replace("aa", '"aa"').replace("pictures/b.png", '"pictures/b.png"'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_ways_to_write_a_table(folder: Path, text: str, encoding: str, ending: str) -> None:
    name, _, mark = encoding.partition(" ")
    (folder / f"t.{ending}").write_bytes((("\ufeff" if mark else "") + text).encode(name))
    dataset = open_dataset(folder / f"t.{ending}")
    assert dataset.classes() == ("aa", "bb", "cc", "dd")
    assert dataset.notes() == []


def test_korean_as_excel_writes_it(folder: Path) -> None:
    rows = [ROWS[0], ("pictures/a.png", "고양이"), ("pictures/b.png", "강아지"), ("pictures/c.png", "펭귄")]
    (folder / "t.csv").write_bytes(joined(",", "\r\n", rows).encode("cp949"))
    dataset = open_dataset(folder / "t.csv")
    assert dataset.classes() == ("강아지", "고양이", "펭귄")
    assert dataset.notes() == [
        "t.csv is no UTF-8 text; it is read as Korean in the code page cp949: 고양이, 강아지, 펭귄"
    ]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp437"])
@pytest.mark.parametrize("label", ["Ärger", "chat méchant", "Größe"])
def test_another_code_page(folder: Path, encoding: str, label: str) -> None:
    (folder / "t.csv").write_bytes(joined(",", rows=[ROWS[0], ("pictures/a.png", label)]).encode(encoding))
    with pytest.raises(DataError, match=r"no readable table: its encoding is unknown; save it as UTF-8$"):
        TableSource(folder / "t.csv").listing()


def test_paths_of_another_system(folder: Path) -> None:
    name = unicodedata.normalize("NFD", "é.png")
    (folder / name).write_bytes(SAMPLES["PNG"])
    written(folder / "t.csv", [{"image_path": unicodedata.normalize("NFC", name), "label": "x"}])
    assert open_dataset(folder / "t.csv").index.usable().tolist() == [0]


def test_a_blank_is_part_of_the_name_of_a_file_that_has_it(folder: Path) -> None:
    (folder / " a.png").write_bytes(SAMPLES["PNG"])
    written(folder / "t.csv", [{"image_path": " a.png", "label": "x"}])
    assert open_dataset(folder / "t.csv").index.usable().tolist() == [0]


def test_quotes_and_blank_lines(folder: Path) -> None:
    text = 'label,"image_path"\r\n"a, b",pictures/a.png\r\n\r\n"two\nlines",pictures/b.png\r\nx,none.png\r\n'
    (folder / "t.csv").write_bytes(text.encode())
    source = TableSource(folder / "t.csv")
    assert source.listing().labels == ("a, b", "two\nlines", "x")
    with pytest.raises(DecodeError, match=r"none\.png: there is no such file"):
        source.read(2, "none.png")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (joined(",").replace("bb", '"bb'), 3),
        ("\n\nsep=,\n" + joined(",").replace("aa", '"a\na"').replace("dd\n", '"dd'), 9),
    ],
)
def test_a_quotation_mark_that_is_never_closed(folder: Path, text: str, line: int) -> None:
    """It would take the rest of the table for one label."""
    (folder / "t.csv").write_text(text)
    with pytest.raises(DataError, match=rf"no readable table: the quotation mark in line {line} is never closed$"):
        TableSource(folder / "t.csv").listing()


def test_places_count_the_lines_before_the_header(folder: Path) -> None:
    (folder / "t.csv").write_text("\nsep=;\nimage_path;label;split\npictures/a.png;x;never\n")
    with pytest.raises(DataError, match=r"t\.csv, line 4: split is"):
        TableSource(folder / "t.csv").listing()


def test_short_and_long_lines(folder: Path) -> None:
    (folder / "t.csv").write_text("image_path,label\npictures/a.png\npictures/b.png,x,y,z\n")
    assert TableSource(folder / "t.csv").listing().label.tolist() == [-1, 0]


@KINDS
def test_an_unknown_split(folder: Path, kind: str) -> None:
    rows: list[Row] = [{"image_path": "pictures/a.png", "label": "x", "split": "holdout"}]
    with pytest.raises(DataError, match="split is train, val or test, not 'holdout'"):
        TableSource(written(folder / f"t.{kind}", rows)).listing()


@pytest.mark.parametrize("data", [b"image_path,label\n" + b"x" * 200_000, b"\x89PNG\r\n\x1a\n\0\xff\xff"])
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
    assert index.labels == ("cat|dog", "dog", "cat", "")
    assert scan(open_source(folder / "t.csv")).classes() == ("cat|", "cat|dog", "dog", "|")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_image_of_no_class(folder: Path, kind: str) -> None:
    rows: list[Row] = [
        {"image_path": f"pictures/{n}.png", "label": label} for n, label in zip("abc", ("cat", "", "dog"), strict=True)
    ]
    path = written(folder / f"t.{kind}", rows)
    several = open_dataset(path, multi_label=True)
    assert several.targets(several.classes()).tolist() == [[1, 0], [0, 0], [0, 1]]
    one = open_dataset(path)
    assert one.rows().tolist() == [0, 2]
    assert one.notes() == ["1 image left out because it has no label"]


def test_links_of_a_stranger_may_not_leave_the_folder_of_the_table(folder: Path) -> None:
    (folder / "inner").mkdir()
    try:
        (folder / "inner" / "link.png").symlink_to(folder / "pictures" / "a.png")
    except OSError:
        pytest.skip("links are not allowed here")
    names = ["link.png", "../pictures/a.png", str(folder / "pictures" / "a.png")]
    table = written(folder / "inner" / "t.csv", [{"image_path": name, "label": "x"} for name in names])
    assert TableSource(table).read(0, names[0]) == PICTURES["a.png"]
    source = TableSource(table, within=table.parent)
    with pytest.raises(DecodeError, match="lies outside"):
        source.read(0, names[0])
    assert source.read(1, names[1]) == source.read(2, names[2]) == SAMPLES["PNG"]


def test_values_are_those_of_all_batches_and_cheap(tmp_path: Path) -> None:
    n = 70_000  # more than Arrow gives at once
    pq.write_table(pa.table({"a": range(n), "b": ["x", None] * (n // 2)}), tmp_path / "t.parquet")
    rows = list(values_of(tmp_path / "t.parquet", ("b", None, "a")))
    assert rows[:2] == [("x", None, 0), (None, None, 1)]
    assert rows[-1] == (None, None, n - 1)
    assert len(rows) == n
