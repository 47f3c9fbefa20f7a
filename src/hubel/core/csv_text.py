"""CSV for people, who open it in a spreadsheet: names of files and classes, which come from others, are no formulas."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any

__all__ = ["csv_text", "without_formula"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a formula begins with, or what hides its beginning


_END = "\r\n"  # a text with one of these characters is quoted; with "\n" alone a name with "\r" would not be


class _Lines(list[str]):
    """Lines of a CSV file that end with a newline alone."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix(_END) + "\n")


def csv_text(rows: Iterable[Iterable[Any]], *, formulas: bool = False) -> str:
    """Return rows, the header first, as CSV.

    Args:
        rows: cells of each.
        formulas: leave texts as they are, for tables that programs read back; see `without_formula`.
    """
    lines = _Lines()
    csv.writer(lines, lineterminator=_END).writerows(rows if formulas else (map(without_formula, row) for row in rows))
    return "".join(lines)


def without_formula(value: Any) -> Any:
    """Return a text that a spreadsheet does not take for a formula, with an apostrophe in front; others unchanged.

    Source: OWASP, "CSV Injection".

    >>> without_formula("=1+1.jpg"), without_formula("a=b.jpg"), without_formula(-0.5), without_formula("-0.5")
    ("'=1+1.jpg", 'a=b.jpg', -0.5, '-0.5')
    """
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
