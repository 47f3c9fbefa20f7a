"""Text for a terminal: names that come from others cannot control it, and of those that are wrong, which are alike."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable

__all__ = ["alike", "printable"]

_NEAREST, _LEAST_LIKENESS = 3, 0.6  # what is less alike helps nobody

# C0 and C1 controls, DEL, separators of lines and paragraphs, marks that turn the direction of writing.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str) -> str:
    r"""Return the text in one line, with control characters escaped as in JSON.

    >>> print(printable("red\x1b[31m"), printable("two\nlines"))
    red\u001b[31m two\nlines
    """
    return _CONTROLS.sub(lambda found: _SHORT.get(found[0], f"\\u{ord(found[0]):04x}"), text)


def alike(name: str, known: Iterable[str], folder: str = "") -> str:
    """Return the question whether one of the names that are alike, in a folder, was meant; "" where none is.

    >>> alike("phtos", ["photos", "runs"])
    'did you mean photos?'
    """
    near = difflib.get_close_matches(name, known, n=_NEAREST, cutoff=_LEAST_LIKENESS)
    return f"did you mean {' or '.join(os.path.join(folder, one) for one in near)}?" if near else ""  # noqa: PTH118
