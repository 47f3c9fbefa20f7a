"""Write the course as files that work from disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hubel.core.files import write_atomic
from hubel.core.outputs import output_file
from hubel.teach.course.page import MARK, Bundle, exported_page

__all__ = ["export_course", "export_lesson"]

_INDEX = "index"


def export_course(folder: Path, names: Iterable[str], lang: str | None, bundle: Bundle) -> list[Path]:
    """Write one self-contained HTML file a lesson, and `index.html` with the list of all; return their paths.

    Raises:
        UnknownNameError: there is no such lesson.
        OptionError: a file that is no page of the course would be lost.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages: dict[str | None, str] = {None: _INDEX, **{name: name for name in names}}
    return [export_lesson(folder / f"{stem}.html", name, lang, bundle, flag="--export") for name, stem in pages.items()]


def export_lesson(path: Path, name: str | None, lang: str | None, bundle: Bundle, *, flag: str = "--out") -> Path:
    """Write one page; see `export_course`."""
    page = exported_page(name, lang, bundle)
    path = output_file(path, ours=_is_page, flag=flag)
    write_atomic(path, page)
    return path


def _is_page(path: Path) -> bool:
    return MARK.encode() in path.read_bytes()
