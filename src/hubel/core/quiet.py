"""Silence the log messages of libraries."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

__all__ = ["quiet_logger"]


@contextlib.contextmanager
def quiet_logger(name: str) -> Iterator[None]:
    """Suppress warnings of a library, such as those about retries, within the block.

    The library must be imported before, since its import sets the level.
    """
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
