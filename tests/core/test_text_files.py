"""Files of text that may be anything are read within bounds."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from hubel.core.errors import OptionError
from hubel.core.text_files import bounded, read_json, read_text


def text_of(path: Path) -> str:
    return read_text(path, flag="--x", expected="words")


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfa\r\nb\r\n", b"a\nb\n", b"a\rb\r"])
def test_text_is_the_same_from_every_system(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert text_of(tmp_path / "x") == "a\nb\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"--x \S+x: no such file; expected words"),
        ("a".encode("utf-16"), r"--x \S+x: cannot be read \('utf-8' codec .*\); save it as UTF-8"),
        (b"\xe9", r"--x \S+x: cannot be read \('utf-8' codec .*\); save it as UTF-8"),
    ],
)
def test_what_is_no_text(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    with pytest.raises(OptionError, match=f"^{message}$"):
        text_of(tmp_path / "x")


def test_a_folder_and_an_endless_file(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        text_of(tmp_path)
    with (tmp_path / "x").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(OptionError, match="more than 33,554,432 bytes; expected words"):
        text_of(tmp_path / "x")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")
def test_a_pipe_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    writer = threading.Thread(target=(tmp_path / "x").write_bytes, args=(b"from a process\n",))
    writer.start()
    assert text_of(tmp_path / "x") == "from a process\n"
    writer.join()


@pytest.mark.parametrize("content", [None, b"", b"{", b"\0", b"\xff", b"[" * 100_000 + b"]" * 100_000])
def test_damaged_json_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    assert read_json(tmp_path / "x") is None


def test_tables_in_each_other() -> None:
    (found := dict[str, object]())["a"] = [1, "text", {"b": 2}]
    assert bounded(found) is found
    value: object = 0
    for number in range(64):
        value = [value] if number % 2 else {"a": value}
    assert bounded(value) is value
    with pytest.raises(RecursionError, match="more than 64 tables"):
        bounded([value])
