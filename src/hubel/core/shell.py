"""Commands that a user may copy into a shell."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

__all__ = ["shell_command"]

_PLAIN = re.compile(r"[\w@%+=:,./\\~-]+", re.ASCII)  # what neither PowerShell nor cmd takes for anything else


def shell_command(*words: str | Path) -> str:
    """Return a command line, with the words that hold spaces or signs of the shell in quotes.

    Args:
        words: the command and its arguments, such as `hubel`, `predict` and a path.
    """
    return " ".join(map(_quoted, map(str, words)))


def _quoted(word: str) -> str:
    if sys.platform != "win32":
        return shlex.quote(word)
    # A file's name cannot hold a double quote on Windows.
    return word if _PLAIN.fullmatch(word) else f'"{word}"'
