"""Parents of classes: from a column of a table of images, or from a file of `class,parent` rows."""

from __future__ import annotations

import csv
import io
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from hubel.core.errors import OptionError
from hubel.core.text_files import read_text
from hubel.data.reading import one_line
from hubel.data.sources.listing import class_name

__all__ = ["ParentReader", "read_parents"]

_HEADER = ("class", "parent")


class ParentReader:
    """Read the parent of the label in each row of a table.

    Nobody has said that the column means this: one that gives a label two parents is left out, with a remark.
    """

    def __init__(self) -> None:
        self._found: dict[str, str] = {}
        self._labels: set[str] = set()
        self._problem = ""

    def read(self, label: str | None, parent: str, place: str) -> None:
        """Take a row: an empty parent is none, and so is the label itself."""
        if not label:
            return
        self._labels.add(label)
        if parent not in ("", label) and self._found.setdefault(label, parent) != parent and not self._problem:
            self._problem = (
                f"{place} says {one_line(parent)!r} of {one_line(label)!r}, another row {self._found[label]!r}"
            )

    def found(self) -> tuple[dict[str, str], str]:
        """Return the parent of each label that has one, and why the column is left out; "" where it is not."""
        if not self._problem and (both := next((p for p in self._found.values() if p in self._labels), None)):
            self._problem = f"{one_line(both)!r} is a label, too"
        if not self._problem:
            return self._found, ""
        return {}, f"the column parent is no hierarchy of the labels and is left out: {self._problem}"


def read_parents(path: Path) -> dict[str, str]:
    """Read the parent of each class, and of each parent that has one, from a CSV file.

    Args:
        path: a class and its parent in each row, such as `shirt,tops`; with or without the header `class,parent`.

    Raises:
        OptionError: the file cannot be read, a row has more or fewer cells, a name has two parents, or parents run in a
            circle.
    """
    text = read_text(path, flag="--parents", expected="CSV with class,parent in each row")
    found: dict[str, str] = {}
    rows = csv.reader(io.StringIO(text), strict=True)
    try:
        for row in rows:
            cells = [class_name(cell.strip()) for cell in row]
            if not any(cells) or (rows.line_num == 1 and tuple(map(str.lower, cells)) == _HEADER):
                continue
            if len(cells) != 2 or not all(cells):
                raise OptionError(f"--parents {path}, line {rows.line_num}: expected class,parent, not {row!r:.80}")
            name, parent = cells
            if found.setdefault(name, parent) != parent:
                raise OptionError(
                    f"--parents {path}, line {rows.line_num}: {name} has two parents, {found[name]} and {parent}"
                )
    except csv.Error as error:
        raise OptionError(f"--parents {path}: no CSV ({error})") from None
    if not found:
        raise OptionError(f"--parents {path}: holds no rows; expected class,parent in each")
    try:
        TopologicalSorter({name: [parent] for name, parent in found.items()}).prepare()
    except CycleError as error:
        circle = " < ".join(reversed(error.args[1]))
        raise OptionError(f"--parents {path}: the parents run in a circle: {circle:.200}") from None
    return found
