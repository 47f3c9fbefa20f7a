"""Tables for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hubel.core.progress import say

if TYPE_CHECKING:
    from hubel.evaluation.report import AnyMetrics
    from hubel.training.run import Outcome

__all__ = ["metrics_rows", "table", "training_result"]

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


def metrics_rows(metrics: AnyMetrics, which: str) -> list[tuple[str, str]]:
    """The numbers of a measurement, name and value."""
    from hubel.metrics.classification import MultiLabelMetrics
    from hubel.metrics.reconstruction import ReconstructionMetrics
    from hubel.metrics.tables import percent

    if isinstance(metrics, ReconstructionMetrics):
        return [
            (f"mean squared error of a pixel ({which})", f"{metrics.mse:.4f}"),
            ("binary cross-entropy of a pixel", f"{metrics.bce:.4f}"),
            ("that of a perfect copy", f"{metrics.entropy:.4f}"),
            ("images", f"{metrics.n:,}"),
        ]
    if isinstance(metrics, MultiLabelMetrics):
        return [
            (f"exactly right ({which})", f"{percent(metrics.subset_accuracy, 2)}%"),
            ("micro F1", f"{metrics.micro_f1:.4f}"),
            ("macro F1", f"{metrics.macro_f1:.4f}"),
            ("mean average precision", f"{metrics.mean_average_precision:.4f}"),
        ]
    rows = [(f"top-1 accuracy ({which})", f"{percent(metrics.top1, 2)}%")]
    if metrics.top5 is not None:
        rows.append(("top-5 accuracy", f"{percent(metrics.top5, 2)}%"))
    return [
        *rows,
        ("macro precision", f"{metrics.macro_precision:.4f}"),
        ("macro recall", f"{metrics.macro_recall:.4f}"),
        ("macro F1", f"{metrics.macro_f1:.4f}"),
        ("expected calibration error", f"{metrics.ece:.4f}"),
        ("images", f"{metrics.n:,}"),
    ]


def training_result(outcome: Outcome) -> int:
    """The final table of a run; the exit code of the command."""
    from hubel.evaluation.evaluate import Evaluation

    if outcome.evaluation is None:
        say(f"stopped; everything so far is saved. Go on with: hubel train --resume --out {outcome.folder}")
        return 128 + outcome.stopped_by
    rows = metrics_rows(outcome.evaluation.metrics, outcome.which)
    rows.append(("training time", f"{outcome.minutes:.1f} min"))
    if outcome.images_per_second:
        rows.append(("training speed", f"{outcome.images_per_second:,.0f} images/s"))
    table(["", str(outcome.folder)], rows)
    if len(outcome.seconds) > _FEW_PHASES:
        table(["phase", "time"], [(name, f"{spent:.1f} s") for name, spent in outcome.seconds.items()])
    for line in outcome.advice:
        print(f"next    {line}")
    print(f"model   {outcome.model}")
    print(f"report  {outcome.report}")
    if isinstance(outcome.evaluation, Evaluation):
        print(f"use it  hubel predict {outcome.folder} IMAGE...")
    return 0
