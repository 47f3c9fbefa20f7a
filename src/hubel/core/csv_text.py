"""CSV for people, who open it in a spreadsheet: names of files and classes, which come from others, are no formulas."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["CSV_END", "CsvLines", "csv_text", "without_formula"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a formula begins with, or what hides its beginning
#: A text with one of these characters is quoted; with "\n" alone a name with "\r" would not be.
CSV_END = "\r\n"


@dataclass(frozen=True)
class CsvLines:
    """A file that `csv.writer` or `csv.DictWriter` with the line end `CSV_END` writes to; its lines end with a newline.

    Attributes:
        write_line: takes each line.
    """

    write_line: Callable[[str], Any]

    def write(self, line: str) -> None:
        """Take a line as `csv` writes it."""
        self.write_line(line.removesuffix(CSV_END) + "\n")


def csv_text(rows: Iterable[Iterable[Any]], *, formulas: bool = False) -> str:
    """Return rows, the header first, as CSV.

    Args:
        rows: cells of each.
        formulas: leave texts as they are, for tables that programs read back; see `without_formula`.
    """
    lines: list[str] = []
    writer = csv.writer(CsvLines(lines.append), lineterminator=CSV_END)
    writer.writerows(rows if formulas else (map(without_formula, row) for row in rows))
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
