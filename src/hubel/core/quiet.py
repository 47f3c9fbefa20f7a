"""Silence what libraries print and log."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
from collections.abc import Iterator

__all__ = ["quiet_libtiff", "quiet_logger"]


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


@functools.cache
def quiet_libtiff() -> None:
    """Keep libtiff from printing to standard error, across a progress bar or a table: Pillow's errors say enough.

    Where libtiff cannot be reached, as in Windows' builds of Pillow, nothing is changed.
    """
    from PIL import _imaging

    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(_imaging.__file__)
        for setter in (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler):
            setter.restype, setter.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
            setter(None)
