"""Commands that a user may copy into a shell."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

__all__ = ["shell_command"]

_SPECIAL = re.compile(rb"[^\w /.,:+@-]")
_PLAIN = re.compile(r"[\w@%+=:,./\\~-]+", re.ASCII)  # what neither PowerShell nor cmd takes for anything else


def shell_command(*words: str | Path) -> str:
    """Return a command line that can be copied into a shell, whatever the names in it hold.

    Args:
        words: the command and its arguments, such as `hubel`, `predict` and a path.
    """
    return " ".join(map(_quoted, words))


def _quoted(word: str | Path) -> str:
    # A path that begins like an option is none.
    text = f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)
    if sys.platform == "win32":
        # A file's name cannot hold a double quote on Windows.
        return text if _PLAIN.fullmatch(text) else f'"{text}"'
    if text.isprintable():
        return shlex.quote(text)
    # Control characters, or bytes that are no UTF-8: in octal, for the printf that all shells have.
    octal = _SPECIAL.sub(lambda found: b"\\%03o" % found[0][0], os.fsencode(text))
    return f"\"$(printf '{octal.decode()}')\""
