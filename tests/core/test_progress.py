"""Messages where there is no console to print them on."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from hubel.core.progress import bar, say
from hubel.core.status_line import is_terminal


class LogWindow:
    """A stream that can only be written to, as the log window of a program with one."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        """Have nothing to do."""


def test_without_streams(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    say("a message")
    with bar("working", 3) as shown:
        shown.step(note="one")
    assert capsys.readouterr().out == ""
    window = LogWindow()
    monkeypatch.setattr(sys, "stderr", window)
    say("red\x1b[31m")
    with bar("working", 3) as shown:
        shown.step()
    assert window.text == "red\\u001b[31m\n"
    assert not any(is_terminal(stream) for stream in (None, window, io.StringIO()))


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell closes the streams")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "1</dev/null", "2</dev/null"])
def test_files_never_get_the_numbers_of_closed_streams(closed: str) -> None:
    script = (
        "import sys; from hubel.core.process import open_missing_streams; open_missing_streams(); "
        "file = open(sys.executable); print('x'); print('y', file=sys.stderr); sys.stdin.buffer.read(0); "
        "sys.exit(file.fileno() < 3)"
    )
    command = f'"$0" -c "$1" {closed}'
    assert subprocess.run(["sh", "-c", command, sys.executable, script], timeout=60, check=False).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_messages_that_no_disk_takes_end_nothing() -> None:
    script = "from hubel.core.progress import say; say('a message'); print('done')"
    command = '"$0" -c "$1" 2>/dev/full'
    found = subprocess.run(
        ["sh", "-c", command, sys.executable, script], timeout=60, check=True, stdout=subprocess.PIPE
    )
    assert found.stdout.split() == [b"done"]
