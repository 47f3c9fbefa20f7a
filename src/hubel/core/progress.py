"""Progress and messages on standard error; bars and what else is under way only on a terminal.

There may be no standard error, as in a program without a console (`sys.stderr` is None), or one that is no file.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from hubel.core.notes import marked, warnings_last
from hubel.core.status_line import Activity, printing_on_terminal, showing
from hubel.core.text import printable

__all__ = ["Bar", "bar", "counted", "duration", "say", "say_notes", "silence", "status"]


class Bar(Protocol):
    """Interface to report the progress of a job."""

    def step(self, n: int = 1, note: str = "") -> None:
        """Report `n` more finished units; `note` replaces the text at the end of the bar."""


@contextmanager
def bar(title: str, total: int, *, done: int = 0) -> Iterator[Bar]:
    """Show a bar of `total` units, `done` of them finished, with the time that is left; on a terminal only."""
    with _shown(Activity(title, total, done=done)) as activity:
        yield activity


@contextmanager
def status(title: str) -> Iterator[None]:
    """Show that something is under way of which nobody can tell how much there is; on a terminal only."""
    with _shown(Activity(title)):
        yield


@contextmanager
def _shown(activity: Activity) -> Iterator[Activity]:
    if _SILENT.get():
        yield activity
    else:
        with showing(activity):
            yield activity


def counted(n: int, noun: str) -> str:
    """Format a number with its noun in the singular or plural.

    >>> counted(1, "file"), counted(1200, "image")
    ('1 file', '1,200 images')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def duration(seconds: float) -> str:
    """Format a time in the unit that suits it.

    >>> duration(0.04), duration(47.3), duration(754.0), duration(9000.0)
    ('0.04 s', '47.3 s', '12.6 min', '2.5 h')
    """
    for limit, size, unit in ((1, 1, "s"), (60, 1, "s"), (3600, 60, "min")):
        if seconds < limit:
            return f"{seconds / size:.{2 if limit == 1 else 1}f} {unit}"
    return f"{seconds / 3600:.1f} h"


def say(text: str) -> None:
    """Log a message for the user, which goes to standard error unless logging is set up otherwise."""
    _LOGGER.info(text)


def say_notes(notes: Iterable[str]) -> None:
    """Log notes, then warnings, a line each."""
    for note in warnings_last(notes):
        say(marked(note))


@contextmanager
def silence() -> Iterator[None]:
    """Print no messages and show no bars within the block."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


class _ToStderr(logging.Handler):
    """Print each message on a line of what is standard error now, if there is one; standard output is for results."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is None:
            return
        line = printable(self.format(record)) + "\n"
        try:
            with printing_on_terminal(line):
                print(line, end="", file=sys.stderr, flush=True)
        except BrokenPipeError:
            raise
        except OSError:  # a full disk, a terminal that is gone: no reason to lose what is being computed
            return


_SILENT = ContextVar("silent", default=False)

# As users of `logging` expect it: `getLogger("hubel").setLevel("WARNING")` silences the messages, `addHandler` sends
# them elsewhere as well. They do not propagate, or whoever calls `basicConfig` would see each one twice.
_LOGGER = logging.getLogger("hubel")
_LOGGER.addFilter(lambda record: not _SILENT.get())
if not _LOGGER.handlers:
    _LOGGER.addHandler(_ToStderr())
    _LOGGER.propagate = False
if _LOGGER.level == logging.NOTSET:
    _LOGGER.setLevel(logging.INFO)
