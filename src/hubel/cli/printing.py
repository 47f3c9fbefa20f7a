"""Print lines and JSON to standard output, where names of files and classes cannot control the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from hubel.core.notes import Caution, in_order, marked
from hubel.core.text import printable

__all__ = ["print_json", "print_line", "print_notes"]


def print_line(text: str = "") -> None:
    """Print one line."""
    print(printable(text), flush=True)


def print_notes(notes: Iterable[str]) -> None:
    """Print notes, then warnings, each with the word for its kind."""
    for note in in_order(notes):
        print_line(marked(note, "  " if isinstance(note, Caution) else "    "))


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value as JSON, with the letters of other scripts as they are where the stream has them."""
    letters = (getattr(sys.stdout, "encoding", None) or "ascii").lower().startswith("utf")
    text = json.dumps(value, indent=indent, ensure_ascii=not letters)
    print("\n".join(map(printable, text.split("\n"))), flush=True)
