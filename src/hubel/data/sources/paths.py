"""Image files with labels given separately, as the Python API takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hubel.core.errors import DataError
from hubel.data.reading import read_regular
from hubel.data.sources.listing import Listing, ListingBuilder

__all__ = ["PathSource"]


class PathSource:
    """Image files and their labels.

    Raises:
        DataError: there are not as many labels as files.
    """

    name, location = "files", ""

    def __init__(self, paths: Sequence[str | Path], labels: Sequence[str]) -> None:
        if len(paths) != len(labels):
            raise DataError(f"{len(paths)} files cannot have {len(labels)} labels")
        self._paths, self._labels = paths, labels

    def listing(self) -> Listing:
        """Return one row a file."""
        rows = ListingBuilder()
        for path, label in zip(self._paths, self._labels, strict=True):
            rows.add(str(path), label)
        return rows.build()

    def read(self, row: int, path: str) -> bytes:
        """Return the bytes of one file."""
        return read_regular(Path(path))
