"""The version of hubel, in one place."""

from __future__ import annotations

__all__ = ["__version__"]

#: The installed version.
__version__ = "0.2.0"
