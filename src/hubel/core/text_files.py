"""Read files of text, which may be anything: a device, a film, a page of brackets."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from hubel.core.errors import OptionError
from hubel.core.files import no_such

__all__ = ["bounded", "read_json", "read_text"]

_MAX_BYTES = 32 * 2**20
_MOST_NESTED = 64  # what reads settings later calls itself for each table in another


def read_text(path: Path, *, expected: str, flag: str = "") -> str:
    """Return the text of a file that a user names: UTF-8, with or without a byte order mark. A pipe is read, too.

    Args:
        path: of the file.
        expected: what it should hold, for messages.
        flag: option that names it.

    Raises:
        OptionError: it is missing, cannot be read, is no UTF-8 or has more than 32 MiB.
    """
    named = f"{flag} {path}".strip()
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise OptionError(f"{named}: more than {_MAX_BYTES:,} bytes; expected {expected}")
        return io.StringIO(content.decode("utf-8-sig"), newline=None).read()  # all ends of lines become "\n"
    except FileNotFoundError:
        raise OptionError(f"{flag} {no_such(path, 'file', expected)}".strip()) from None
    except UnicodeDecodeError as error:
        raise OptionError(f"{named}: cannot be read ({error}); save it as UTF-8") from None
    except OSError as error:
        raise OptionError(f"{named}: cannot be read ({' '.join(str(error).split())})") from None


def read_json(path: Path) -> Any:
    """Return what is in a JSON file of hubel's own; None where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def bounded(value: Any) -> Any:
    """Return tables and lists as they are.

    Raises:
        RecursionError: more than 64 of them are in each other.
    """
    layer, depth = [value], 0
    while layer := [one for one in layer if isinstance(one, dict | list)]:
        if (depth := depth + 1) > _MOST_NESTED:
            raise RecursionError(f"more than {_MOST_NESTED} tables and lists in each other")
        layer = [inner for one in layer for inner in (one.values() if isinstance(one, dict) else one)]
    return value
