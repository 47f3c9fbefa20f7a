"""`hubel learn`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hubel.cli.printing import print_line

EXAMPLES = (
    "hubel learn",
    "hubel learn xo --lang ko",
    "hubel learn --export course",
)


def learn(
    lesson: str | None = None,
    /,
    *,
    lang: Literal["en", "ko"] | None = None,
    port: int = 8010,
    no_browser: bool = False,
    export: Path | None = None,
) -> int:
    """Open the course on convolutional networks in the browser, or write it as files.

    The lessons compute on this computer, and ask no other one for anything. Ctrl-C stops.

    Args:
        lesson: lesson to open, such as xo; the list of lessons if not given.
        lang: language of the pages, en or ko; that of the browser if not given.
        port: port to listen on; 0 selects a free one.
        no_browser: only print the address of the page.
        export: folder for self-contained HTML files, one a lesson, instead of opening the course; what needs a
            computation is left out there.
    """
    from hubel.core.progress import say
    from hubel.core.status_line import resting
    from hubel.studio.course.bundle import read_bundle
    from hubel.studio.course.server import serve_course
    from hubel.studio.settings import ServerSettings
    from hubel.teach.course.catalogue import LESSONS
    from hubel.teach.course.export import export_course

    if export is not None:
        for path in export_course(export, [lesson] if lesson else LESSONS, lang, read_bundle()):
            print_line(f"page  {path}")
        return 0
    with resting():
        serve_course(lesson, ServerSettings(port=port), say, lang=lang, browser=not no_browser)
    return 0
