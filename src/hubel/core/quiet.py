"""Silence of libraries that would talk to the user while hubel does."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

__all__ = ["quiet_logger"]


@contextlib.contextmanager
def quiet_logger(name: str) -> Iterator[None]:
    """No warnings of a library that tries again and again: one line at the end says it all.

    The library must have been imported before, since it sets its own level then.
    """
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
