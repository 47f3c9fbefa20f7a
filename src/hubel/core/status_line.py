"""The last line of a terminal: what is under way, redrawn while it lasts and erased before anything else is printed.

A thread draws it on standard error, so that something moves whatever the main thread is busy with. It appears after
0.5 s without output: a command that ends before shows nothing. There is none where standard error is no terminal.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from hubel.core.text import printable

__all__ = ["Activity", "is_terminal", "printing_on_terminal", "resting", "sharing_terminal", "showing"]

_PATIENCE = 0.5  # seconds without output before the line appears
_TICK = 0.125  # seconds between two drawings
_BAR = 16  # characters
_USUAL_WIDTH = 80  # of a terminal that does not tell
# By whether the terminal has the letters of Unicode: the states of the spinner; the full and the empty part of a bar.
_SPINNERS = {True: "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", False: "|/-\\"}
_BARS = {True: ("━", "─"), False: ("#", ".")}


class Activity:
    """Something that takes time.

    Args:
        title: a few words, such as "scanning images".
        total: number of units; None where nobody can tell.
        done: units that were finished before.
    """

    def __init__(self, title: str, total: int | None = None, *, done: int = 0) -> None:
        self.title, self.total, self.done, self.note = title, total, done, ""
        self._before, self._started = done, time.monotonic()

    def step(self, n: int = 1, note: str = "") -> None:
        """Report `n` more finished units; `note` replaces the text at the end of the line."""
        self.done += n
        self.note = note or self.note

    def text(self, *, unicode: bool) -> str:
        """Describe the state: with a bar, the counts and the time that is left where there is a total."""
        spent = time.monotonic() - self._started
        if not self.total:
            return f"{self.title}  {_clock(spent)}"
        full, empty = _BARS[unicode]
        filled = min(_BAR, _BAR * self.done // self.total)
        finished = self.done - self._before
        left = f"{_clock(spent / finished * (self.total - self.done))} left" if finished > 0 else _clock(spent)
        bar = full * filled + empty * (_BAR - filled)
        return f"{self.title} {bar} {self.done:,}/{self.total:,}  {left}  {self.note}"


def _clock(seconds: float) -> str:
    """Return a time as minutes and seconds, such as 1:05; with hours where there are some."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _StatusLine:
    """The line of this process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._activities: list[Activity] = []
        self._resting = 0
        self._drawn = 0  # characters that are on the terminal
        self._at_start = True  # of a line: where something else has printed half a line, nothing is drawn
        self._printed, self._ticks = 0.0, 0

    def begin(self, activity: Activity) -> None:
        with self._lock:
            if not self._activities:
                self._printed = time.monotonic()
            self._activities.append(activity)
            if self._thread is None:
                self._changed.clear()
                self._thread = threading.Thread(target=self._draw_on, name="hubel status line", daemon=True)
                self._thread.start()

    def end(self, activity: Activity) -> None:
        with self._lock:
            if activity in self._activities:  # it is not in a forked child
                self._activities.remove(activity)
            if self._activities:
                return
            self._erase()
            thread, self._thread = self._thread, None
            self._changed.set()
        if thread is not None:  # a thread that prints while Python shuts down would end it with an error
            thread.join()

    @contextmanager
    def printing(self, text: str) -> Iterator[None]:
        """Make room for text of others."""
        with self._lock:
            self._erase()
            try:
                yield
            finally:
                if text:
                    self._printed, self._at_start = time.monotonic(), text.endswith("\n")

    @contextmanager
    def resting(self) -> Iterator[None]:
        with self._lock:
            self._erase()
            self._resting += 1
        try:
            yield
        finally:
            with self._lock:
                self._resting -= 1

    def forget(self) -> None:
        """Start anew in a forked child, where no thread draws."""
        self.__init__()  # type: ignore[misc]

    def _draw_on(self) -> None:
        while not self._changed.wait(_TICK):
            with self._lock:
                if self._thread is threading.current_thread():
                    self._draw()

    def _draw(self) -> None:
        early = not self._drawn and time.monotonic() - self._printed < _PATIENCE
        if early or self._resting or not self._at_start or not self._activities:
            return
        stream = _terminal()
        unicode = (getattr(stream, "encoding", None) or "").lower().startswith("utf")
        self._ticks += 1
        spinner = _SPINNERS[unicode]
        text = f"{spinner[self._ticks % len(spinner)]} {printable(self._activities[-1].text(unicode=unicode))}"
        text = text[: _width(stream) - 1].rstrip()
        _write(stream, "\r" + text.ljust(self._drawn))
        self._drawn = len(text)

    def _erase(self) -> None:
        if self._drawn:
            stream = _terminal()
            _write(stream, "\r" + " " * self._drawn + "\r")
            self._drawn = 0


class _SharedStream:
    """Standard output or error on the terminal of the status line, which makes room for what is written."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> Any:
        """Write text."""
        with printing_on_terminal(text):
            return self.stream.write(text)

    def writelines(self, lines: Any) -> None:
        """Write each of some texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _terminal() -> Any:
    """Return standard error itself."""
    return sys.stderr.stream if isinstance(sys.stderr, _SharedStream) else sys.stderr


def _width(stream: Any) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_WIDTH
    except (OSError, ValueError, AttributeError):
        return _USUAL_WIDTH


def _write(stream: Any, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):  # the terminal is gone, which is no reason to stop working
        pass


def is_terminal(stream: Any) -> bool:
    """Tell whether a stream, which may be None or any object to write to, is a terminal."""
    return bool(getattr(stream, "isatty", bool)())


@contextmanager
def showing(activity: Activity) -> Iterator[Activity]:
    """Show an activity within the block, if standard error is a terminal that can go back to the start of a line."""
    if not is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
        yield activity
        return
    _LINE.begin(activity)
    try:
        yield activity
    finally:
        _LINE.end(activity)


@contextmanager
def sharing_terminal() -> Iterator[None]:
    """Make room on the status line's terminal for all that is printed within the block; for the command line."""
    before = sys.stdout, sys.stderr
    if is_terminal(sys.stderr):
        sys.stderr = _SharedStream(sys.stderr)
        if is_terminal(sys.stdout):
            sys.stdout = _SharedStream(sys.stdout)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def resting() -> AbstractContextManager[None]:
    """Return a context in which no activity is shown: while a server waits, or a person types."""
    return _LINE.resting()


def printing_on_terminal(text: str) -> AbstractContextManager[None]:
    """Return a context in which text may be written to the terminal."""
    return _LINE.printing(text)


_LINE = _StatusLine()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_LINE.forget)
