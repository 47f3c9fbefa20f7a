"""Parts of a report: headline numbers, tables and figures, as an evaluation hands them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawing", "FileGroup", "PredictionTable", "ReportTable", "Tile"]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure of the report.

    Attributes:
        name: of its file, without ".png".
        heading: in the report.
        caption: one sentence.
        figure: as matplotlib makes it.
    """

    name: str
    heading: str
    caption: str
    figure: Figure


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A headline number of the report.

    Attributes:
        name: of the number.
        value: with its unit.
        meaning: in a few words.
        interval: 95 % interval as text; "" for none.
    """

    name: str
    value: str
    meaning: str
    interval: str = ""


@dataclass(frozen=True, kw_only=True)
class ReportTable:
    """A table of the report.

    Attributes:
        heading: above the table.
        columns: their names.
        rows: cells as text.
        text_columns: how many columns from the left hold names; the others hold numbers.
        bars: a share from 0 to 1 for each row, drawn as a bar; None greys the row out. Empty for no bars.
        above_figures: stand above the figures of the report instead of below.
    """

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1
    bars: Sequence[float | None] = ()
    above_figures: bool = False


@dataclass(frozen=True, kw_only=True)
class FileGroup:
    """Images of the report that share a mistake: those behind one cell of the confusion matrix.

    Attributes:
        label: text of their label.
        prediction: text of their prediction.
        files: name of each image, and a remark such as "62%", the surest mistake first.
    """

    label: str
    prediction: str
    files: Sequence[tuple[str, str]]


@dataclass(frozen=True, eq=False, kw_only=True)
class PredictionTable:
    """Columns of `predictions.csv`, by name; each has a value for each image, in their order.

    Attributes:
        facts: label, prediction and what compares them.
        scores: scores of the classes, which may be many columns, and therefore stand last.
    """

    facts: Mapping[str, Sequence[Any]]
    scores: Mapping[str, Sequence[Any]] = field(default_factory=dict)
