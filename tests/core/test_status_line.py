"""The line that moves while something is under way: on a terminal, and gone without a trace."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time

import pytest

from hubel.core import status_line
from hubel.core.progress import bar, say, silence, status
from hubel.core.status_line import Activity, resting, sharing_terminal


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and what one would show."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        return screen(self.getvalue())


def screen(text: str) -> list[str]:
    """What stands on the lines of a terminal at the end: "\\r" goes back to the start of a line, and text replaces."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        shown: list[str] = []
        for part in line.split("\r"):
            shown[: len(part)] = part
        lines.append("".join(shown).rstrip())
    return lines


def take_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard output and error a terminal; in the test itself, because pytest takes them before it, too."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setattr(sys, "stdout", made)
    monkeypatch.setattr(status_line, "_PATIENCE", 0.05)
    monkeypatch.setattr(status_line, "_TICK", 0.01)
    monkeypatch.setenv("TERM", "xterm")
    return made


def wait_for(terminal: Terminal, text: str) -> None:
    until = time.monotonic() + 10
    while text not in terminal.getvalue():
        assert time.monotonic() < until, (text, terminal.getvalue())
        time.sleep(0.01)


def test_what_is_under_way_is_shown_and_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = take_terminal(monkeypatch)
    with status("reading"):
        wait_for(terminal, "⠹ reading  0:00")  # the third state of the spinner: it moves
        with bar("decoding", 3, done=1) as shown:
            shown.step(note="one.jpg")
            wait_for(terminal, "decoding ━━━━━━━━━━────── 2/3  0:00 left  one.jpg")
        wait_for(terminal, terminal.getvalue() + "\r")
        assert "reading" in terminal.screen()[0]
    assert terminal.screen() == [""]
    assert status_line._LINE._thread is None


def test_it_makes_room_for_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = take_terminal(monkeypatch)
    with sharing_terminal(), status("working"):
        for number in range(3):
            wait_for(terminal, terminal.getvalue() + "\r")
            print(f"result {number}") if number != 1 else say("a message")
        print("half a line", end="")
        before = terminal.getvalue()
        time.sleep(0.1)
        assert terminal.getvalue() == before
        print()
    assert terminal.screen() == ["result 0", "a message", "result 2", "half a line", ""]
    assert sys.stdout is sys.stderr is terminal


def test_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = take_terminal(monkeypatch)
    with silence(), status("working"):
        time.sleep(0.1)
    with status("working"), resting():
        time.sleep(0.1)
    monkeypatch.setenv("TERM", "dumb")
    with status("working"):
        time.sleep(0.1)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(status_line, "_PATIENCE", 10)
    with status("ends before"):
        time.sleep(0.1)
    assert terminal.getvalue() == ""


def test_a_terminal_without_unicode_and_names_that_would_control_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = take_terminal(monkeypatch)
    monkeypatch.setattr(Terminal, "encoding", "ascii")
    with bar("frost\x1b[31m", 4, done=2):
        wait_for(terminal, "/ frost\\u001b[31m ########........ 2/4")


def test_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    activity = Activity("training", 110, done=10)
    assert activity.text(unicode=False).split("  ")[1] == "0:00"  # nothing is known yet
    now += 30
    activity.step(20)  # 1.5 s each, and 80 to come
    assert activity.text(unicode=False).split("  ")[1] == "2:00 left"
    now += 3600
    assert activity.text(unicode=False).split("  ")[1] == "4:02:00 left"
    assert Activity("no image", 0).text(unicode=True) == "no image  0:00"


SCRIPT = """
import sys, time
from hubel.core.status_line import Activity, sharing_terminal, showing
with sharing_terminal(), showing(Activity("working")):
    if sys.argv[1] == "sleeps":
        time.sleep(1.6)
    elif sys.argv[1] == "computes":
        until = time.monotonic() + 1.6
        while time.monotonic() < until:
            sum(range(1000))
    print("done")
"""


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are those of POSIX")
@pytest.mark.parametrize(("kind", "least"), [("at once", 0), ("sleeps", 6), ("computes", 3)])
def test_a_process_in_a_terminal(kind: str, least: int) -> None:
    mine, theirs = os.openpty()
    words = [sys.executable, "-c", SCRIPT, kind]
    with subprocess.Popen(words, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                news = os.read(mine, 65536)
            except OSError:
                news = b""
            if not news:
                break
            said += news
    os.close(mine)
    assert process.returncode == 0
    text = said.decode()
    assert screen(text) == ["done", ""]
    # Drawn eight times a second from half a second on; a third of that on a busy machine.
    assert text.count("working") >= least
    assert (text == "done\r\n") == (least == 0)


def test_a_process_in_a_pipe() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, "sleeps"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_lines_that_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = take_terminal(monkeypatch)
    with sharing_terminal(), status("thinking"):
        wait_for(terminal, "thinking")
        sys.stderr.writelines(["one\n", "two\n"])
    assert terminal.screen()[:2] == ["one", "two"]
    drawing = {thread for thread in threading.enumerate() if thread.name == "hubel status line"}
    assert not drawing, "a thread that draws while Python ends would end it with an error"
