"""Write an evaluation into a folder: numbers, tables, figures and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from hubel.core.files import write_atomic, write_json
from hubel.core.language import sentence
from hubel.data.taught import Taught
from hubel.evaluation.predictions import predictions_csv
from hubel.evaluation.report import Report, write_report
from hubel.metrics.report_items import Drawing
from hubel.plots.figure_files import to_png
from hubel.tasks.task import Evaluation

__all__ = ["evaluation_json", "write_evaluation"]


def write_evaluation(
    folder: Path,
    evaluation: Evaluation,
    *,
    title: str,
    headline: str = "",
    split: str,
    taught: Taught,
    facts: Mapping[str, str],
    notes: Sequence[str],
    drawings: Sequence[Drawing] = (),
    columns: Mapping[str, Sequence[Any]] | None = None,
    numbers: Mapping[str, Any] | None = None,
    language: str = "en",
) -> Path:
    """Write metrics, tables, figures and a self-contained `report.html` into `folder`; return the report's path.

    Args:
        folder: exists already, or is made.
        evaluation: the numbers.
        title: of the report.
        headline: its first sentence; that of the evaluation if empty.
        split: the images: "test", "validation", "training", "labelled".
        taught: the images that taught the model; how many of the measured ones did is part of the result.
        facts: rows of the summary.
        notes: warnings.
        drawings: more figures, above those of the evaluation.
        columns: more columns of `predictions.csv`, by name, a value for each image.
        numbers: more entries of `metrics.json`.
        language: of the report, one of `hubel.core.language.LANGUAGES`, and of its figures; the names of columns of
            tables stay English.
    """
    for name, table in evaluation.files().items():
        write_atomic(folder / name, table)
    if (rows := predictions_csv(evaluation, split=split, taught=taught, columns=columns)) is not None:
        write_atomic(folder / "predictions.csv", rows)
    content = {**evaluation_json(evaluation, split=split, taught=taught), **(numbers or {})}
    seen = content["used_in_training"]
    report = Report(
        title=title,
        headline=headline or evaluation.headline(split),
        facts=[*facts.items(), *([(sentence("fact.taught"), sentence("run.taught", n=seen))] if seen else [])],
        notes=[*notes, *evaluation.remarks(split)],
        tiles=evaluation.tiles(),
        tables=evaluation.report_tables(),
        figures=_figures(folder, drawings, evaluation, language),
        mistakes=evaluation.mistakes(),
        footnote=evaluation.footnote(),
    )
    write_report(folder / "report.html", report, language=language)
    # Last: a folder with metrics.json is a finished one.
    write_json(folder / "metrics.json", content)
    return folder / "report.html"


def _figures(
    folder: Path, drawings: Sequence[Drawing], evaluation: Evaluation, language: str
) -> list[tuple[str, str, bytes]]:
    """Draw and write each figure; return their headings, captions and PNG files."""
    figures = []
    for drawing in (*drawings, *evaluation.drawings()):
        png = to_png(drawing.figure, language)
        write_atomic(folder / "figures" / f"{drawing.name}.png", png)
        figures.append((drawing.heading, drawing.caption, png))
    return figures


def evaluation_json(evaluation: Evaluation, *, split: str, taught: Taught) -> dict[str, Any]:
    """Return the numbers with their intervals, and facts of the images, as plain JSON values.

    These facts are the name of the images, how many of them taught the model, and a digest that evaluations of the same
    images in the same order share.
    """
    digests = evaluation.images.digests
    return {
        **evaluation.to_json(),
        "intervals": {name: list(interval) for name, interval in evaluation.intervals.items()},
        "split": split,
        "used_in_training": int(taught.among(digests).sum()),
        "images_digest": blake2b(np.ascontiguousarray(digests).tobytes(), digest_size=16).hexdigest(),
    }
