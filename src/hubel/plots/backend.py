"""The first import of matplotlib, which ends with a ValueError where MPLBACKEND names no backend."""

from __future__ import annotations

import contextlib
import os
import sys
from types import ModuleType

__all__ = ["import_matplotlib"]


def import_matplotlib() -> ModuleType:
    """Return matplotlib with the backend of MPLBACKEND, or its own choice where there is no such one."""
    known = "matplotlib" in sys.modules
    backend = None if known else os.environ.pop("MPLBACKEND", None)
    import matplotlib

    if backend is not None:
        os.environ["MPLBACKEND"] = backend
        with contextlib.suppress(ValueError):  # hubel opens no window
            matplotlib.rcParams["backend"] = backend
    return matplotlib
