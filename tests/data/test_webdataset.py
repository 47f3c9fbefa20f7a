"""Images in tar archives, looked into once and read at random."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from tar_files import archive, header, labels_of, level, numbered, octal, one_line, picture

from hubel.data.index import scan
from hubel.data.sources import open_source
from hubel.data.sources.listing import SPLITS
from hubel.data.sources.webdataset import WebDatasetSource


def rows_of(path: Path) -> dict[str, str | None]:
    listing = WebDatasetSource(path).listing()
    return {listing.paths[i]: label for i, label in enumerate(labels_of(listing))}


# Samples ----------------------------------------------------------------------------------------


def test_a_folder_of_archives(tmp_path: Path) -> None:
    for i, split in enumerate(("test-0", "train-0", "train-1", "train-10", "val-0")):
        numbered(tmp_path / "set" / f"{split}.tar", range(10 * i, 10 * i + 3))
    source = open_source(tmp_path / "set")
    listing = source.listing()
    assert (source.name, source.location) == ("set", str(tmp_path / "set"))
    assert [SPLITS[code] for code in listing.split] == ["test"] * 3 + ["train"] * 9 + ["val"] * 3
    assert labels_of(listing) == ["0", "1", "0", "0", "1", "0", "0", "1", "0", "0", "1", "0", "0", "1", "0"]
    assert [level(source.read(i, "")) for i in range(15)] == [10 * i + j for i in range(5) for j in range(3)]
    assert listing.paths[6] == "train-1.tar/0020.png"
    assert listing.skipped == {}
    assert len({0, *listing.stamp.tolist()}) == 16


def test_splits_in_names_of_folders(tmp_path: Path) -> None:
    for split in ("training", "validation", "test"):
        numbered(tmp_path / split / "0.tar", range(2))
    listing = WebDatasetSource(tmp_path).listing()
    assert [SPLITS[code] for code in listing.split] == ["test", "test", "train", "train", "val", "val"]
    assert len(set(listing.stamp.tolist())) == 6


@pytest.mark.parametrize(
    ("files", "label"),
    [
        ({"cls": "7"}, "7"),
        ({"cls": " 007\n"}, "7"),
        ({"cls": "cat"}, "cat"),
        ({"txt": "\ufeffZoë\n"}, "Zoë"),
        ({"json": '{"label": 3}'}, "3"),
        ({"json": '{"x": 1, "class": "dog"}'}, "dog"),
        ({"json": "5"}, "5"),
        ({"json": '{"caption": "x"}', "txt": "cat"}, "cat"),
        ({"json": '{"label": 3}', "cls": "4", "txt": "5"}, "4"),
        ({"txt": "5", "json": '{"label": null}'}, "5"),
        ({"cls": "-1"}, "-1"),
        ({"CLS": "8"}, "8"),
        ({"cls": ""}, None),
        ({"json": '{"label": [1]}'}, "1"),
        ({"json": '{"label": 1.5}'}, "1.5"),
        ({"json": '{"label": true}'}, "True"),
        ({"json": '{"label": NaN}'}, None),
    ],
)
def test_labels(tmp_path: Path, files: dict[str, str], label: str | None) -> None:
    members = [("a/b.c/1.jpeg", picture(1)), *((f"a/b.c/1.{end}", text) for end, text in files.items())]
    path = archive(tmp_path / "t.tar", [*members, ("2.png", picture(2)), ("2.cls", "x")])
    assert rows_of(path) == {"t.tar/a/b.c/1.jpeg": label, "t.tar/2.png": "x"}
    backwards = archive(tmp_path / "u.tar", [*members[::-1], ("2.cls", "x"), ("2.png", picture(2))])
    assert labels_of(WebDatasetSource(backwards).listing()) == [label, "x"]


@pytest.mark.parametrize(
    ("end", "content", "reason"),
    [
        ("json", "{", ".json is no JSON"),
        ("json", "[" * 100_000, ".json is no JSON"),
        ("json", '{"label": {"name": "x"}}', ".json has a label that is neither text nor a number"),
        ("json", " " * (2**20 + 1), ".json is too long for a label"),
        ("txt", "a" * 4097, ".txt is too long for a label"),
        ("cls", b"\xff\xfe", ".cls is no UTF-8 text"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, end: str, content: str | bytes, reason: str) -> None:
    path = archive(
        tmp_path / "t.tar", [("1.png", picture(1)), (f"1.{end}", content), ("2.png", picture(2)), ("2.cls", "x")]
    )
    listing = WebDatasetSource(path).listing()
    assert labels_of(listing) == ["x"]
    assert listing.skipped == {f"{reason} (t.tar/1)": 1}


@pytest.mark.parametrize("name", ["classes.txt", "classnames.txt"])
def test_names_of_numbers(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("cat\nbig dog\n\n", encoding="utf-8")
    entries = [("1.png", picture(1)), ("1.cls", "1"), ("2.png", picture(2)), ("2.cls", "0")]
    path = archive(
        tmp_path / "t.tar", [*entries, ("3.png", picture(3)), ("3.cls", "-1"), ("4.png", b""), ("4.txt", "emu")]
    )
    assert list(rows_of(path).values()) == list(rows_of(tmp_path).values()) == ["big dog", "cat", None, "emu"]
    archive(path, [*entries, ("3.png", picture(3)), ("3.cls", "2")])
    assert "t.tar, sample 3: no class has the number 2; 2 classes are named" in one_line(path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"cat\ndog\ncat\n", "calls two classes 'cat'; expected a name of its own for each"),
        (b"cat\n\ndog\n", "line 2 is empty; expected the name of one class a line"),
        (b"\xff\xfe", "is no readable text"),
    ],
)
def test_damaged_names(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "classes.txt").write_bytes(content)
    numbered(tmp_path / "t.tar", range(2))
    assert text in one_line(tmp_path)


def test_members_passed_over_are_counted(tmp_path: Path) -> None:
    entries = [("1.png", picture(1)), ("1.cls", "x"), ("1.jpg", picture(9)), ("1.npy", b"")]
    entries += [("2.cls", "lost"), ("3.left.png", picture(3)), ("README", b"hello"), (".hidden.jpg", b"")]
    path = archive(tmp_path / "t.tar", [*entries, ("4.png", picture(4)), ("4.cls", "y"), ("1.txt", "too late")])
    listing = WebDatasetSource(path).listing()
    assert labels_of(listing) == ["x", "y"]
    assert listing.skipped == {
        "a sample has another file of this kind (t.tar/1.jpg)": 1,
        "neither images nor labels (npy, README, .hidden.jpg)": 3,
        "a label without an image next to it (t.tar/2, t.tar/1)": 2,
        "the name has a second dot, which ends the key at the first (t.tar/3.left.png)": 1,
    }


def test_hostile_members_are_named_and_counted(tmp_path: Path) -> None:
    """Nothing of them reaches the disk, or the images."""
    path = tmp_path / "t.tar"
    hostile = [(f"../{i}.jpg".encode(), b"0", b"") for i in range(20)]
    hostile += [
        (b"/abs.jpg", b"0", b""),
        (b"link.jpg", b"2", b"/etc/passwd"),
        (b"same.jpg", b"1", b"x"),
        (b"d.jpg", b"3", b""),
    ]
    good = numbered(tmp_path / "good.tar", range(2)).read_bytes()
    path.write_bytes(b"".join(header(name, octal(0), kind, link=link) for name, kind, link in hostile) + good)
    (tmp_path / "good.tar").unlink()
    index = scan(open_source(path))
    assert [index.paths[i] for i in range(len(index))] == ["t.tar/0000.png", "t.tar/0001.png"]
    assert index.notes() == [
        f"20 files passed over: its path leads upwards ({', '.join(f't.tar/../{i}.jpg' for i in range(5))}, ...)",
        "1 file passed over: its path is absolute (t.tar//abs.jpg)",
        "1 file passed over: a symbolic link (t.tar/link.jpg)",
        "1 file passed over: a hard link (t.tar/same.jpg)",
        "1 file passed over: a device (t.tar/d.jpg)",
        "  hubel data with --passed-over names each of them",
    ]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t.tar"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # that library leaves files open
def test_as_the_webdataset_library_reads_it(tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    with wds.TarWriter(str(tmp_path / "train-000.tar")) as sink:
        for i in range(20):
            sink.write({"__key__": f"folder.x/sub/{i:03d}", "png": picture(i), "cls": i % 3, "json": {"n": i}})
    samples = list(wds.WebDataset(str(tmp_path / "train-000.tar"), shardshuffle=False, empty_check=False))
    source = open_source(tmp_path)
    listing = source.listing()
    assert [f"train-000.tar/{s['__key__']}.png" for s in samples] == [listing.paths[i] for i in range(20)]
    assert [s["cls"].decode() for s in samples] == labels_of(listing)
    assert [s["png"] for s in samples] == [source.read(i, "") for i in range(20)]


def test_json_as_writers_write_it(tmp_path: Path) -> None:
    data = json.dumps({"label": "Ångström", "width": 4})
    path = archive(tmp_path / "t.tar", [("1.json", data), ("1.png", picture(1))], tarfile.PAX_FORMAT)
    assert rows_of(path) == {"t.tar/1.png": "Ångström"}
