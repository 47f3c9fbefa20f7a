"""Parts of a report: headline numbers, tables and figures, as an evaluation hands them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawing", "ReportTable", "Tile"]


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
    """

    name: str
    value: str
    meaning: str


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
