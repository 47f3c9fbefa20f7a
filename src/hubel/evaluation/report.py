"""Write an evaluation as a self-contained HTML file, without scripts, requests or other files.

Class names and file names are untrusted input. The template therefore escapes every value, and the content security
policy of the page forbids scripts and requests.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from hubel.core.files import write_atomic
from hubel.core.language import in_language, plural, sentence
from hubel.core.notes import Caution
from hubel.metrics.report_items import FileGroup, ReportTable, Tile
from hubel.metrics.tables import percent

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["Report", "write_report"]

_OPEN_NOTES = 8  # the others are collapsed
_OPEN_MISTAKES = 12  # images whose groups are open; more are collapsed
_MOST_MISTAKES = 1_000  # images that are named; `predictions.csv` has the others


@dataclass(frozen=True, kw_only=True)
class Report:
    """Contents of a report.

    Attributes:
        title: title of the report.
        headline: result in one sentence, such as "98.6% of 360 test images are classified correctly."
        facts: name and value of each row of the summary.
        notes: notes and warnings, such as unreadable files with their reasons.
        tiles: headline numbers.
        tables: tables below the facts, or below the figures.
        figures: heading, caption and PNG file of each figure.
        mistakes: wrongly predicted images, by label and prediction.
        footnote: definitions of the numbers; "" for none.
    """

    title: str
    headline: str
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()
    tiles: Sequence[Tile] = ()
    tables: Sequence[ReportTable] = ()
    figures: Sequence[tuple[str, str, bytes]] = ()
    mistakes: Sequence[FileGroup] = ()
    footnote: str = ""


def write_report(path: Path, report: Report, *, language: str = "en") -> None:
    """Write the report to `path`, atomically. The same report gives the same bytes.

    Args:
        path: of the page.
        report: its contents; each `Sentence` in it is written in `language`, all other text as it is.
        language: one of `hubel.core.language.LANGUAGES`.
    """
    wrong = sum(len(group.files) for group in report.mistakes)
    page = _template(language).render(
        report=report,
        figures=[(heading, caption, b64encode(png).decode()) for heading, caption, png in report.figures],
        most_notes=_OPEN_NOTES,
        mistakes=_first_files(report.mistakes, _MOST_MISTAKES),
        wrong=wrong,
        unnamed=max(0, wrong - _MOST_MISTAKES),
        open=wrong <= _OPEN_MISTAKES,
    )
    # File names that are no valid UTF-8 hold lone surrogates, which cannot be encoded.
    write_atomic(path, page.encode("utf-8", "backslashreplace"))


@cache
def _template(language: str) -> Template:
    """Compile the template of the page in a language."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "said": partial(in_language, language=language)}
    environment.globals |= {"language": language, "sentence": sentence, "plural": plural}
    environment.tests["warning"] = lambda note: isinstance(note, Caution)
    source = files("hubel.evaluation").joinpath("report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source)


def _first_files(groups: Sequence[FileGroup], most: int) -> list[tuple[FileGroup, Sequence[tuple[str, str]]]]:
    """Return the groups, each with those of its files that are among the first `most` of all."""
    shown, found = 0, []
    for group in groups:
        found.append((group, group.files[: max(0, most - shown)]))
        shown += len(group.files)
    return [(group, files) for group, files in found if files]
