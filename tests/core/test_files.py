"""Files that are whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.core import files
from hubel.core.errors import OptionError
from hubel.core.files import (
    cache_root,
    folder_bytes,
    glob_existing,
    is_whole,
    names_beside,
    no_such,
    numbered_folder,
    publish_folder,
    user_path,
    write_atomic,
    write_json,
)

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")


FILES: list[tuple[str, Any]] = [
    ("b.json", b"{}"),
    ("a.bin", b"weights" * 100),
    ("c.npy", np.arange(6.0).reshape(2, 3).T),
]


def published(tmp_path: Path) -> Path:
    publish_folder(tmp_path / "out", FILES, manifest="manifest.json")
    return tmp_path / "out"


def test_write_atomic(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    write_atomic(path, "grün")
    assert path.read_bytes() == "grün".encode()
    write_atomic(path, b"\0\1")
    assert path.read_bytes() == b"\0\1"
    assert os.listdir(path.parent) == ["file"]  # noqa: PTH208


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(*((os, "fsync", fail) if broken == "fsync" else (Path, "replace", fail)))
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@POSIX
def test_written_files_have_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", "x")
        published(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750


@pytest.mark.parametrize("name", ["n" * 255, "\N{HANGUL SYLLABLE GA}" * 85])
def test_a_name_of_255_bytes(name: str, tmp_path: Path) -> None:
    write_atomic(tmp_path / name, "x")
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208


def test_write_json(tmp_path: Path) -> None:
    write_json(tmp_path / "f.json", {"name": "Hündin", "n": 1})
    text = (tmp_path / "f.json").read_text(encoding="utf-8")
    assert "Hündin" in text
    assert text.endswith("}\n")
    assert json.loads(text) == {"name": "Hündin", "n": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "nan.json", float("nan"))
    assert not (tmp_path / "nan.json").exists()


def test_a_published_folder_is_whole(tmp_path: Path) -> None:
    out = published(tmp_path)
    listed = json.loads((out / "manifest.json").read_text())
    data = b"weights" * 100
    assert listed["a.bin"] == {"size": 700, "sha256": hashlib.sha256(data).hexdigest()}
    array = (out / "c.npy").read_bytes()
    assert listed["c.npy"] == {"size": len(array), "sha256": hashlib.sha256(array).hexdigest()}
    assert np.load(out / "c.npy").tolist() == FILES[2][1].tolist()
    assert set(listed) == {"a.bin", "b.json", "c.npy"}
    assert is_whole(out, manifest="manifest.json")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert folder_bytes(out) == sum(len(p.read_bytes()) for p in out.iterdir())
    assert folder_bytes(tmp_path / "none") == 0


def test_publishing_replaces(tmp_path: Path) -> None:
    published(tmp_path)
    publish_folder(tmp_path / "out", [("c", b"")], manifest="m")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["c", "m"]
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208


def test_what_is_whole_and_the_same_stays(tmp_path: Path) -> None:
    out = published(tmp_path)
    node = out.stat().st_ino
    assert published(tmp_path).stat().st_ino == node
    (out / "a.bin").write_bytes(b"damaged")
    assert is_whole(published(tmp_path), manifest="manifest.json")
    assert out.stat().st_ino != node
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208


def test_the_second_of_two_processes_takes_what_the_first_has_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one comes between the second's look at the folder and its renaming."""
    rename = Path.rename

    def late(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        publish_folder(tmp_path / "out", [("first", b"1")], manifest="m")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", late)
    publish_folder(tmp_path / "out", [("second", b"2")], manifest="m")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["first", "m"]
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208


def test_a_folder_that_cannot_be_filled_leaves_the_old_one(tmp_path: Path) -> None:
    out = published(tmp_path)

    def break_off() -> Iterator[tuple[str, bytes]]:
        yield "a.bin", b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish_folder(out, break_off(), manifest="manifest.json")
    assert is_whole(out, manifest="manifest.json")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_damage_is_detected(tmp_path: Path) -> None:
    out = published(tmp_path)
    file, manifest = out / "a.bin", out / "manifest.json"
    whole, listed = file.read_bytes(), manifest.read_bytes()
    for damaged in (whole[:-1], whole + b"x", b"X" + whole[1:], b""):
        file.write_bytes(damaged)
        assert not is_whole(out, manifest="manifest.json")
    file.unlink()
    assert not is_whole(out, manifest="manifest.json")
    file.write_bytes(whole)
    (out / "extra").touch()
    assert is_whole(out, manifest="manifest.json")
    for text in (b"", b"[1]", b"{", b"\xff\xfe", b'{"a.bin": 3}', b'{"a.bin": {"size": 700}}', b"null", b'"a"'):
        manifest.write_bytes(text)
        assert not is_whole(out, manifest="manifest.json")
    manifest.write_bytes(listed)
    assert is_whole(out, manifest="manifest.json")
    manifest.unlink()
    assert not is_whole(out, manifest="manifest.json")
    assert not is_whole(tmp_path / "none", manifest="manifest.json")


def test_numbered_folder(tmp_path: Path) -> None:
    parent = tmp_path / "runs" / "mine"
    assert numbered_folder(parent, "digits") == parent / "digits-1"
    (parent / "digits-2").touch()
    assert numbered_folder(parent, "digits") == parent / "digits-3"
    (parent / "digits-1").rmdir()
    assert numbered_folder(parent, "digits").name == "digits-1"
    assert numbered_folder(parent, "xo").is_dir()


def test_a_numbered_folder_in_a_file_or_behind_a_dangling_link_ends_in_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        numbered_folder(tmp_path / "file", "x")
    try:
        (tmp_path / "link").symlink_to(tmp_path / "nothing")
    except OSError:
        pytest.skip("links are not allowed here")
    with pytest.raises(FileExistsError):
        numbered_folder(tmp_path / "link", "x")


def test_cache_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("HUBEL_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "hubel"
    monkeypatch.setattr(files.Path, "home", lambda: tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_root() == tmp_path / ".cache" / "hubel"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_root() == tmp_path / "Library" / "Caches" / "hubel"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_root() == tmp_path / "local" / "hubel"


@pytest.mark.parametrize("path", ["", "a\0b", None, 3, b"photos", np.zeros((2, 2))])
def test_what_is_no_path(path: Any) -> None:
    """pathlib takes "" for the current folder."""
    with pytest.raises(OptionError, match=r"is no path of a file or folder|a path is empty") as caught:
        user_path(path)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_offers_what_is_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "shoes").mkdir(parents=True)
    (tmp_path / ".hidden").touch()
    assert names_beside(Path("phtos")) == ["photos"]
    assert no_such("phtos") == "phtos: no such file or folder; did you mean photos?"
    shoes = Path("photos") / "shoes"
    assert no_such("photos/sheos/1.jpg", "file").endswith(f": no such file; did you mean {shoes}?")
    assert no_such("xyz", "folder", "one with images") == "xyz: no such folder; expected one with images"
    assert no_such("/nowhere/at/all").endswith(": no such file or folder")
    assert names_beside(Path("photos", "shoes", "a", "b")) == []


def test_a_folder_that_disappears_ends_no_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process gives a folder its name just when this one looks into it."""
    for name in ("gone", "kept"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "values.npy").write_bytes(b"1234")
    scandir = os.scandir

    def disappearing(path: Any = ".") -> Any:
        if path == tmp_path / "gone" or path == str(tmp_path / "gone"):
            (tmp_path / "gone").rename(tmp_path / "taken")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", disappearing)
    assert folder_bytes(tmp_path) == 8
    (tmp_path / "taken").rename(tmp_path / "gone")
    assert {path.parent.name for path in glob_existing(tmp_path, "**/*.npy")} == {"taken", "kept"}
    assert glob_existing(tmp_path / "never", "*") == []
