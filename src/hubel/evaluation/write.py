"""Write an evaluation into a folder: numbers, tables, figures and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hubel.core.files import write_atomic, write_json
from hubel.evaluation.report import Report, write_report
from hubel.metrics.report_items import Drawing
from hubel.plots.png import to_png
from hubel.tasks.task import Evaluation

__all__ = ["write_evaluation"]


def write_evaluation(
    folder: Path,
    evaluation: Evaluation,
    *,
    title: str,
    split: str,
    facts: Mapping[str, str],
    notes: Sequence[str],
    drawings: Sequence[Drawing] = (),
) -> Path:
    """Write metrics, tables, figures and a self-contained `report.html` into `folder`; return the report's path.

    Args:
        folder: exists already, or is made.
        evaluation: the numbers.
        title: of the report.
        split: the images: "test", "validation", "training", "labelled".
        facts: rows of the summary.
        notes: warnings.
        drawings: more figures, above those of the evaluation.
    """
    for name, table in evaluation.files().items():
        write_atomic(folder / name, table)
    figures = []
    for drawing in [*drawings, *evaluation.drawings()]:
        png = to_png(drawing.figure)
        write_atomic(folder / "figures" / f"{drawing.name}.png", png)
        figures.append((drawing.heading, drawing.caption, png))
    report = Report(
        title=title,
        headline=evaluation.headline(split),
        facts=list(facts.items()),
        notes=notes,
        tiles=evaluation.tiles(),
        tables=evaluation.report_tables(),
        figures=figures,
        footnote=evaluation.footnote(),
    )
    write_report(folder / "report.html", report)
    # Last: a folder with metrics.json is a finished one.
    write_json(folder / "metrics.json", evaluation.to_json())
    return folder / "report.html"
