"""Which tar archives a path means, and what happens to those that are damaged, change, or are many."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tar_files import archive, header, labels_of, level, numbered, octal, one_line, picture

from hubel.core.errors import DataError, DecodeError
from hubel.data.dataset import open_dataset
from hubel.data.index import scan
from hubel.data.sources import open_source
from hubel.data.sources.folder import FolderSource
from hubel.data.sources.listing import SPLITS
from hubel.data.sources.webdataset import WebDatasetSource

# Which archives ---------------------------------------------------------------------------------


def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(8, 12):
        numbered(tmp_path / "set" / f"part-{i:02d}.tar", range(i, i + 2))
    monkeypatch.chdir(tmp_path)
    names = {
        "set/part-{08..11}.tar": 8,
        "set/part-{11..8}.tar": DataError,
        "set/part-{08,10}.tar": 4,
        "set/part-1?.tar": 4,
        "set/*.tar": 8,
        "se[t]/part-{08..09}.tar": 4,
        "**/part-09.tar": 2,
        str(tmp_path / "set" / "part-{10..11}.tar"): 4,
        "set/part-09.tar": 2,
        "set/part-{00..11}.tar": DataError,
        "set/none-*.tar": DataError,
        "set/part-{0..99999999}.tar": DataError,
    }
    for name, expected in names.items():
        if isinstance(expected, int):
            source = open_source(name)
            assert len(source.listing()) == expected
            assert Path(source.location).is_absolute()
        else:
            assert one_line(name)
    assert one_line("set/part-{00..11}.tar").endswith("8 of 12 archives are missing, the first being set/part-00.tar")
    assert one_line("set/none-*.tar") == "set/none-*.tar: no such file"
    assert one_line("set/none.tar") == "set/none.tar: no such file or folder"
    assert "names too many files" in one_line("{1..9999}-{1..9999}.tar")
    assert open_source("set/part-{10..11}.tar").name == "set"
    assert open_source("set/part-{11,10}.tar").listing().paths[0] == "part-10.tar/0010.png"


def test_a_file_that_is_called_like_a_pattern(tmp_path: Path) -> None:
    assert len(open_source(numbered(tmp_path / "a{1..2}[x].tar", range(2))).listing()) == 2


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar.zst", "a-{0..1}.tar.gz"])
def test_compressed_archives(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b")
    assert "is compressed; images are read at random from plain tar archives" in one_line(tmp_path / name)


def test_a_readme_names_archives_and_splits(tmp_path: Path) -> None:
    for i in range(4):
        numbered(tmp_path / "x" / "y" / "z" / f"{i}.tar", range(2))
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: x/y/z/[01].tar\n"
        "  - split: validation\n    path: [x/y/z/2.tar, x/**/3.tar]\n---\n# Text\n"
    )
    numbered(tmp_path / "extra.tar", range(2))
    listing = open_source(tmp_path).listing()
    assert [SPLITS[code] for code in listing.split] == ["train"] * 4 + ["val"] * 4


def test_class_folders_with_an_archive_beside_are_folders(tmp_path: Path) -> None:
    for name in ("train/a", "train/b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.png").write_bytes(picture(1))
    numbered(tmp_path / "all.tar", range(2))
    assert isinstance(open_source(tmp_path), FolderSource)
    assert isinstance(open_source(tmp_path / "train"), FolderSource)
    shutil.rmtree(tmp_path / "train" / "b")
    assert isinstance(open_source(tmp_path), WebDatasetSource)


# Trouble ----------------------------------------------------------------------------------------


def test_archives_without_images_or_labels(tmp_path: Path) -> None:
    path = archive(tmp_path / "t.tar", [("1.cls", "x"), ("1.npy", b"")])
    assert "found no image in the archives; expected key.jpg with key.cls" in one_line(path)
    assert one_line(path).endswith(
        "; 1 file passed over: neither images nor labels (npy)"
        "; 1 file passed over: a label without an image next to it (t.tar/1)"
    )
    archive(path, [("a/1.png", picture(1)), ("b/2.png", picture(2))])
    assert labels_of(open_source(path).listing()) == [None, None]
    with pytest.raises(DataError, match=r"t: none of the 2 readable images has a label$"):
        open_dataset(path)
    assert labels_of(open_source(path, labelled=False).listing()) == ["", ""]
    (tmp_path / "empty.tar").touch()
    assert "empty.tar is cut short" in one_line(tmp_path / "empty.tar")


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    whole = numbered(tmp_path / "t.tar", range(20)).read_bytes()
    (tmp_path / "t.tar").write_bytes(whole[:10_000])
    assert "t.tar is cut short" in one_line(tmp_path)
    (tmp_path / "t.tar").write_bytes(b"<html>" * 1000)
    assert "t.tar is no tar archive" in one_line(tmp_path / "t.tar")
    (tmp_path / "t.tar").unlink()
    (tmp_path / "t.tar").mkdir()
    assert "found no image in this folder" in one_line(tmp_path / "t.tar")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.tar")
    assert one_line(tmp_path / "t.tar")


def test_a_damaged_image_is_left_out(tmp_path: Path) -> None:
    entries = [
        ("1.png", picture(1)),
        ("1.cls", "a"),
        ("2.png", b"junk"),
        ("2.cls", "b"),
        ("3.png", b""),
        ("3.cls", "b"),
    ]
    index = scan(open_source(archive(tmp_path / "t.tar", [*entries, ("4.png", picture(1)), ("4.cls", "b")])))
    assert [name for name, _ in index.unreadable()] == ["t.tar/2.png", "t.tar/3.png"]
    assert index.classes() == ("a", "b")


def test_an_archive_that_changes(tmp_path: Path) -> None:
    path = numbered(tmp_path / "t.tar", range(4))
    source = WebDatasetSource(path)
    with pytest.raises(DecodeError, match="bytes are more than the limit"):
        WebDatasetSource(_with_a_huge_image(tmp_path / "big.tar")).read(0, "big.tar/x.png")
    assert level(source.read(3, "")) == 3  # looks into the archive by itself
    numbered(path, range(10, 15))
    with pytest.raises(DecodeError, match=r"t\.tar/0000\.png: its archive has changed since it was scanned"):
        source.read(0, "t.tar/0000.png")
    path.unlink()
    with pytest.raises(DecodeError, match="cannot be opened: No such file"):
        source.read(0, "t.tar/0000.png")


def _with_a_huge_image(path: Path) -> Path:
    size = 2**28 + 1
    with path.open("wb") as file:
        file.write(header(b"x.cls", octal(1), b"0") + b"a".ljust(512, b"\0") + header(b"x.png", octal(size), b"0"))
        file.truncate(file.tell() + size + 511 + 1024)  # a hole, which takes no room on the disk
    return path


def test_a_second_look_decodes_nothing_until_the_archive_changes(tmp_path: Path) -> None:
    path = numbered(tmp_path / "t.tar", range(6))
    assert scan(open_source(path)).reused == 0
    assert scan(open_source(path)).reused == 6
    os.utime(path, ns=(10**18, 10**18))
    assert scan(open_source(path)).reused == 0


def test_many_threads_read_at_random(tmp_path: Path) -> None:
    for i in range(3):
        numbered(tmp_path / f"{i}.tar", range(80 * i, 80 * i + 80))
    source = WebDatasetSource(tmp_path)
    order = np.random.default_rng(0).permutation(np.tile(np.arange(240), 4)).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda row: level(source.read(row, "")), order)) == order


def test_rows_are_small(tmp_path: Path) -> None:
    """A million rows keep to about a hundred bytes each, their names included."""
    n = 5_000
    blob = b"".join(
        header(f"folder/{i:09d}.{end}".encode(), octal(1), b"0") + b"7".ljust(512, b"\0")
        for i in range(n)
        for end in ("jpg", "cls")
    )
    (tmp_path / "train-0000.tar").write_bytes(blob + bytes(1024))
    del blob
    source = WebDatasetSource(tmp_path)
    tracemalloc.start()
    listing = source.listing()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(listing) == n
    assert held / n < 110
    assert peak / n < 150
