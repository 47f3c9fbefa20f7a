"""Files that name classes beside data: one name a line, JSON, or names with colours as label tools write them."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from hubel.data.reading import one_line
from hubel.data.sources.mask_files import colour_value

__all__ = ["named_classes", "named_colours"]

_LISTS = ("classes.txt", "codes.txt", "names.txt", "class_names.txt", "obj.names", "classes.json", "names.json")
_COLOURS = ("label_colors.txt", "label_colours.txt", "labelmap.txt", "class_dict.csv", "classes.csv", "colors.txt")
_MOST_BYTES = 2**20
_MOST_CLASSES = 2**16  # as masks of 16 bits have
_NUMBERED = re.compile(r"([0-9]+)\s*[:,;=\t ]\s*(\S.*)")
_COLOUR = re.compile(r"(?<![0-9.])([0-9]{1,3})[\s,;]+([0-9]{1,3})[\s,;]+([0-9]{1,3})(?![0-9.])")


def named_classes(folders: Iterable[Path]) -> list[str]:
    """Return the names of classes by number, from the first file of these folders that has them; none without one."""
    for folder in folders:
        for name in _LISTS:
            if (text := _text(folder / name)) and (found := _listed(text, json_text=name.endswith(".json"))):
                return found
    return []


def named_colours(folders: Iterable[Path]) -> dict[int, str]:
    """Return the name of each colour, from the first file of these folders that has them; none without one.

    A line has a name and red, green and blue, in either order, with any signs between them.
    """
    for folder in folders:
        for name in _COLOURS:
            found: dict[int, str] = {}
            for line in _text(folder / name).splitlines():
                match = _COLOUR.search(line)
                if match is None or line.lstrip().startswith("#"):
                    continue
                rest = re.sub(r"^[\s,;:]+|[\s,;:]+$", "", line[: match.start()] + line[match.end() :])
                colour = [int(value) for value in match.groups()]
                if rest and max(colour) <= 255:
                    found[colour_value(*colour)] = one_line(rest).replace("|", "/")
            if found:
                return found
    return {}


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            return path.read_bytes().decode("utf-8-sig", "replace")
    return ""


def _listed(text: str, *, json_text: bool) -> list[str]:
    if json_text:
        with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
            value = json.loads(text)
            if isinstance(value, dict):
                if all(isinstance(name, int) for name in value.values()):  # name: number
                    value = {number: name for name, number in value.items()}
                if (most := max(map(int, value), default=-1)) >= _MOST_CLASSES:
                    return []
                value = [value.get(str(i), value.get(i, str(i))) for i in range(most + 1)]
            return [one_line(name).replace("|", "/") for name in value if isinstance(name, str)]
        return []
    lines = [one_line(line) for line in text.splitlines() if line.strip()]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if lines and all(match is not None and int(match[1]) == i for i, match in enumerate(numbered)):
        lines = [match[2] for match in numbered if match is not None]
    return [line.replace("|", "/") for line in lines]
