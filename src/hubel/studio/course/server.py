"""Serve the course to the browser of this computer."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hubel.studio.course.app import Course
from hubel.studio.settings import ServerSettings
from hubel.studio.uvicorn_server import Server, address, bound_socket
from hubel.teach.course.catalogue import check_lesson

__all__ = ["running_course", "serve_course"]


def serve_course(
    lesson: str | None, settings: ServerSettings, say: Callable[[str], Any], *, lang: str | None, browser: bool
) -> None:
    """Answer requests until SIGTERM or Ctrl-C.

    Args:
        lesson: lesson to open; the list of lessons if None.
        settings: address and limits.
        say: prints the address.
        lang: language of the pages; that of the browser if None.
        browser: open the page in the user's browser.

    Raises:
        UnknownNameError: there is no such lesson.
        OptionError: the address is not available.
    """
    if lesson is not None:
        check_lesson(lesson)
    with bound_socket(settings) as bound:
        page = f"{address(settings, bound)}/learn/{lesson or ''}"
        say(f"the course is at {page}; Ctrl-C stops")
        if browser:
            webbrowser.open(page)
        Server(Course(settings, lang), settings).run([bound])


@contextmanager
def running_course(settings: ServerSettings, lang: str | None = None) -> Iterator[str]:
    """Run the server in a background thread; yield its address, such as `http://127.0.0.1:8000`."""
    with bound_socket(settings) as bound:
        server = Server(Course(settings, lang), settings)
        thread = threading.Thread(target=server.run, args=([bound],), name="hubel-learn")
        thread.start()
        try:
            yield address(settings, bound)
        finally:
            server.stop()
            thread.join()
