"""Print lines and JSON to standard output, where names of files and classes cannot control the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from hubel.core.notes import Caution, marked, warnings_last
from hubel.core.status_line import is_terminal
from hubel.core.text import printable

__all__ = ["csv_output", "print_json", "print_line", "print_notes"]


def print_line(text: str = "") -> None:
    """Print one line."""
    print(printable(text), flush=True)


def print_notes(notes: Iterable[str]) -> None:
    """Print notes, then warnings, each with the word for its kind."""
    for note in warnings_last(notes):
        print_line(marked(note, "  " if isinstance(note, Caution) else "    "))


def csv_output() -> Any:
    """Return standard output for CSV; on a terminal, texts that would control it are escaped."""
    return _Escaping(sys.stdout) if is_terminal(sys.stdout) else sys.stdout


class _Escaping:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        """Write one line of a table."""
        self._stream.write(printable(line.removesuffix("\n")) + "\n")


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value as JSON, with the letters of other scripts as they are where the stream has them."""
    letters = (getattr(sys.stdout, "encoding", None) or "ascii").lower().startswith("utf")
    text = json.dumps(value, indent=indent, ensure_ascii=not letters)
    print("\n".join(map(printable, text.split("\n"))), flush=True)
