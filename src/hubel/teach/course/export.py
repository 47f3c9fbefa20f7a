"""Write the course as files that work from disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hubel.core.errors import OptionError
from hubel.core.files import write_atomic
from hubel.core.outputs import output_file
from hubel.teach.course.page import MARK, Bundle, exported_page

__all__ = ["export_course", "export_lesson"]

_INDEX = "index"


def export_course(folder: Path, names: Sequence[str], lang: str | None, bundle: Bundle) -> list[Path]:
    """Write one self-contained HTML file a lesson, and `index.html` with the list of them; return their paths.

    Raises:
        UnknownNameError: there is no such lesson.
        OptionError: the folder is a file, or a file that is no page of the course would be lost.
    """
    pages = {f"{name or _INDEX}.html": exported_page(name, lang, bundle, names) for name in (None, *names)}
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"--export {folder} is a file; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder / file, page, "--export") for file, page in pages.items()]


def export_lesson(path: Path, name: str, lang: str | None, bundle: Bundle) -> Path:
    """Write the page of one lesson, without links to others; return its path. Errors as in `export_course`."""
    return _write(path, exported_page(name, lang, bundle, [name]), "--out")


def _write(path: Path, page: str, flag: str) -> Path:
    path = output_file(path, ours=_is_page, flag=flag)
    write_atomic(path, page)
    return path


def _is_page(path: Path) -> bool:
    return MARK.encode() in path.read_bytes()
