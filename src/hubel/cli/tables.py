"""Tables for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hubel.core.text import printable

__all__ = ["print_table"]

# A number with its unit; a dash stands for a missing value.
_NUMBER = re.compile(r"-?\d[\d,.x]*(%| min| s| images/s)?|-")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", multiline: bool = False
) -> None:
    """Print a table; columns of numbers are aligned to the right.

    Args:
        columns: headings.
        rows: cells of each row. Control characters in them are escaped.
        title: heading of the table.
        multiline: cells may have several lines; otherwise a line break is escaped, too.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [["\n".join(map(printable, cell.split("\n") if multiline else [cell])) for cell in row] for row in rows]
    drawn = Table(
        box=SIMPLE_HEAD, title=Text(printable(title)) if title else None, title_justify="left", title_style="bold"
    )
    for index, column in enumerate(columns):
        cells = [row[index] for row in rows if row[index]]
        numeric = index > 0 and bool(cells) and all(_NUMBER.fullmatch(cell) for cell in cells)
        drawn.add_column(Text(printable(column)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # As text: names of files and classes may look like markup.
        drawn.add_row(*(Text(cell) for cell in row))
    console = Console()
    if not console.is_terminal:
        # In a pipe a line must not depend on the width of a window that is not there.
        console = Console(width=10_000)
    console.print(drawn)
