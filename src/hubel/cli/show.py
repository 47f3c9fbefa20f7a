"""Tables for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hubel.core.progress import say

if TYPE_CHECKING:
    from hubel.training.train import RunResult

__all__ = ["table", "training_result"]

# With its unit; a dash stands for what is not known.
_FEW_PHASES = 2  # of a run that only trains; the table says them already
_NUMBER = re.compile(r"-?\d[\d,.x]*(%| min| s| images/s)?|-")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """A table on standard output; numbers to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    drawn = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold")
    for place, column in enumerate(columns):
        cells = [row[place] for row in rows if row[place]]
        numeric = place > 0 and bool(cells) and all(_NUMBER.fullmatch(cell) for cell in cells)
        drawn.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # As text: names of files and classes may look like markup.
        drawn.add_row(*(Text(cell) for cell in row))
    console = Console()
    if not console.is_terminal:
        # In a pipe a line must not depend on the width of a window that is not there.
        console = Console(width=10_000)
    console.print(drawn)


def training_result(result: RunResult) -> int:
    """Print the final table of a run; return the exit code of the command."""
    if result.evaluation is None:
        say(f"stopped; everything so far is saved. Go on with: hubel train --resume --out {result.folder}")
        return 128 + result.stopped_by
    rows = result.evaluation.rows(result.split)
    rows.append(("training time", f"{result.minutes:.1f} min"))
    if result.images_per_second:
        rows.append(("training speed", f"{result.images_per_second:,.0f} images/s"))
    table(["", str(result.folder)], rows)
    if len(result.seconds) > _FEW_PHASES:
        table(["phase", "time"], [(name, f"{spent:.1f} s") for name, spent in result.seconds.items()])
    for line in result.advice:
        print(f"next    {line}")
    print(f"model   {result.model}")
    print(f"report  {result.report}")
    if result.evaluation.accuracy is not None:
        print(f"use it  hubel predict {result.folder} IMAGE...")
    return 0
