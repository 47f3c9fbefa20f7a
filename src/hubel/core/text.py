"""Text for a terminal: names of files and classes, which come from others, cannot control it."""

from __future__ import annotations

import re

__all__ = ["printable"]

# C0 and C1 controls, DEL, separators of lines and paragraphs, marks that turn the direction of writing.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str) -> str:
    r"""Return the text in one line, with control characters escaped as in JSON.

    >>> print(printable("red\x1b[31m"), printable("two\nlines"))
    red\u001b[31m two\nlines
    """
    return _CONTROLS.sub(lambda found: _SHORT.get(found[0], f"\\u{ord(found[0]):04x}"), text)
