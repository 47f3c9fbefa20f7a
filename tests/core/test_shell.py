"""A command that is printed can be copied."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hubel.core.shell import shell_command


def test_plain_words_stay() -> None:
    assert shell_command("hubel", "predict", "runs/photos-1", "IMAGE...") == "hubel predict runs/photos-1 IMAGE..."


@pytest.mark.skipif(sys.platform == "win32", reason="it is run by a POSIX shell")
def test_a_shell_splits_it_into_the_same_words() -> None:
    words = [
        "my photos/a",
        "it's",
        "$HOME",
        'a "b"',
        "a&b",
        "*",
        "plain",
        "a\x1b[31m%s\\b",
        "two\nlines",
        "b\udcff",
        "é\u202e",
    ]
    script = "import json, sys; print(json.dumps(sys.argv[1:]))"
    line = shell_command(sys.executable, "-c", script, *words)
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == words


def test_a_path_is_never_taken_for_an_option() -> None:
    assert shell_command("hubel", "train", Path("-photos"), "--freeze", "all") == "hubel train ./-photos --freeze all"


def test_windows_takes_double_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    assert shell_command("hubel", "predict", r"C:\my photos\a", "b&c") == r'hubel predict "C:\my photos\a" "b&c"'
    assert shell_command("hubel", "predict", r"runs\a", "IMAGE...") == r"hubel predict runs\a IMAGE..."
