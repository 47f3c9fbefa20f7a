"""One progress bar, on standard error, only where a person watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Bar", "bar", "counted", "say"]


class Bar(Protocol):
    """What a long job tells of itself."""

    def step(self, n: int = 1, note: str = "") -> None:
        """`n` more units are done; `note` replaces the words at the end of the bar."""


class _Silent:
    def step(self, n: int = 1, note: str = "") -> None:
        pass


@contextmanager
def bar(title: str, total: int, *, done: int = 0) -> Iterator[Bar]:
    """A bar of `total` units of which `done` are done; nothing at all where standard error is no terminal."""
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total, completed=done, note="")

        class _Shown:
            def step(self, n: int = 1, note: str = "") -> None:
                if note:
                    progress.update(task, advance=n, note=note)
                else:
                    progress.update(task, advance=n)

        yield _Shown()


def counted(n: int, what: str) -> str:
    """A number of things in words.

    >>> counted(1, "file"), counted(1200, "image")
    ('1 file', '1,200 images')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def say(text: str) -> None:
    """A line for the person who watches. Standard output is for results, so this goes to standard error."""
    print(text, file=sys.stderr, flush=True)
