"""No result is written over an input or over somebody else's file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hubel.core.errors import BusyError, OptionError
from hubel.core.files import is_stream, write_atomic
from hubel.core.lock import FileLock
from hubel.core.outputs import holding_folders, make_folder, output_file, output_folder


def ours(path: Path) -> bool:
    return path.read_bytes().startswith(b"hubel")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def link(kind: str, target: Path) -> Path:
    """Return another name of a file."""
    names: dict[str, Callable[[], Path]] = {
        "dotted": lambda: Path("folder") / ".." / target,
        "absolute": target.absolute,
        "hard link": lambda: Path("hard"),
        "link": lambda: Path("soft"),
        "link in a linked folder": lambda: Path("linked") / target,
    }
    Path("folder").mkdir()
    try:
        os.link(target, "hard")
        Path("soft").symlink_to(target)
        Path("linked").symlink_to(".", target_is_directory=True)
    except OSError:
        pytest.skip("links are not allowed here")
    return names[kind]()


@pytest.mark.parametrize("kind", ["dotted", "absolute", "hard link", "link", "link in a linked folder"])
def test_the_input_by_any_name(kind: str) -> None:
    source = Path("a.png")
    source.write_bytes(b"hubel, so that its kind alone would allow it")
    with pytest.raises(OptionError, match="is the input, which is never written to"):
        output_file(link(kind, source), ours=ours, inputs=(None, "digits", 3, "no\0name", source))


def test_existing_files(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photo.jpg").write_bytes(b"somebody's")
    Path("old.png").write_bytes(b"hubel made this")
    Path("empty.png").touch()
    with pytest.raises(OptionError, match=r"--out photo.jpg exists, and is no earlier result of this command"):
        output_file("photo.jpg", ours=ours)
    with pytest.raises(OptionError, match=r"--sheet old\.png exists; name another file"):
        output_file("old.png", ours=None, flag="--sheet")
    capsys.readouterr()
    for name in ("old.png", "empty.png", "new.png", "new/folder/new.png"):
        assert output_file(name, ours=ours) == Path(name)
    assert capsys.readouterr().err == "old.png is replaced\nempty.png is replaced\n"
    assert not Path("new").exists()


def test_files_and_folders_are_not_confused() -> None:
    Path("file").write_text("x")
    Path("folder").mkdir()
    for name, message in (("folder", "is a folder"), ("", "--out is empty"), (".", "is a folder")):
        with pytest.raises(OptionError, match=message):
            output_file(name, ours=ours)
    for name, message in (("file", "is a file"), ("", "--out is empty")):
        with pytest.raises(OptionError, match=message):
            output_folder(name, verb="evaluate")
    for path in (3, b"file", np.zeros((2, 2)), object()):
        with pytest.raises(OptionError, match="--out is the path of a file, not "):
            output_file(path, ours=ours)  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="--out is the path of a folder, not "):
            output_folder(path, verb="evaluate")  # type: ignore[arg-type]
    with pytest.raises(NotADirectoryError):
        output_file("file/inside", ours=ours)
    with pytest.raises(NotADirectoryError):
        output_folder("file/inside/deeper", verb="evaluate")


def test_folders_of_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert output_folder(None, verb="evaluate") is None
    first = make_folder(None, verb="evaluate", name="evaluate-x")
    assert first == Path("runs/evaluate-x-1")
    (first / "metrics.json").touch()
    assert output_folder(first, verb="evaluate") == first
    assert "earlier results" in capsys.readouterr().err
    with pytest.raises(OptionError, match="holds the results of hubel evaluate; name a new or empty folder"):
        output_folder(first, verb="robust")
    with pytest.raises(OptionError, match="is the input"):
        output_folder("./runs/../runs/evaluate-x-1", verb="evaluate", inputs=(str(first),))
    other = Path("other")
    other.mkdir()
    (other / ".DS_Store").touch()
    assert output_folder(other, verb="train") == other
    (other / "metrics.json").touch()
    with pytest.raises(OptionError, match="holds other files"):
        output_folder(other, verb="train")
    assert make_folder(Path("new/one"), verb="train", name="").is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="names of devices are POSIX's")
def test_devices_are_written_to_and_stay(capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("/dev/null", "/dev/stdout"):
        assert is_stream(Path(name))
        write_atomic(output_file(name, ours=None), "some text")
    assert capfd.readouterr().out == "some text"
    assert Path("/dev/null").is_char_device()
    os.mkfifo("pipe")
    assert is_stream(Path("pipe"))
    Path("file").touch()
    assert not any(is_stream(Path(name)) for name in ("file", ".", "nothing"))


def test_two_commands_do_not_mix_their_files_in_one_folder() -> None:
    with holding_folders():
        assert make_folder(Path("new"), verb="predict", name="") == Path("new")
        assert make_folder(Path("new").absolute(), verb="predict", name="") == Path("new").absolute()
        with pytest.raises(BusyError):
            FileLock(Path("new/.hubel.lock"))
    with FileLock(Path("new/.hubel.lock")), holding_folders():
        with pytest.raises(BusyError, match=r"^new: another process is writing its results there$"):
            make_folder(Path("new"), verb="predict", name="")
        assert make_folder(Path("other"), verb="predict", name="") == Path("other")
    assert sorted(path.name for path in Path().rglob("*")) == [".hubel", ".hubel", "new", "other"]


def test_a_folder_that_became_another_verbs_meanwhile() -> None:
    target = output_folder("new", verb="train")
    make_folder(Path("new"), verb="evaluate", name="")
    with pytest.raises(OptionError, match=r"new holds the results of hubel evaluate; name a new or empty folder"):
        make_folder(target, verb="train", name="")
    assert Path("new/.hubel").read_text() == "evaluate\n"
