"""Images of two datasets as one: those of the second one follow, without labels and in no split."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.data.dataset import Dataset
from hubel.data.sources.listing import Listing, Source, TextColumn

__all__ = ["join_unlabelled"]

_COLUMNS = ("stamp", "size", "digest", "width", "height", "channels", "orientation", "status")


class _JoinedSource:
    """Two sources, the rows of the second behind those of the first.

    Attributes:
        name: of the first.
        location: of none: the index of both is made of theirs, which are stored.
    """

    location = ""

    def __init__(self, first: Source, second: Source, rows: int) -> None:
        self.name, self._first, self._second, self._rows = first.name, first, second, rows

    def listing(self) -> Listing:
        """Refuse to list the rows anew: the index of both is there."""
        raise NotImplementedError("joined sources are indexed already")

    def read(self, row: int, path: str) -> bytes | NDArray[np.uint8]:
        """Return one image; see `Source.read`."""
        return self._first.read(row, path) if row < self._rows else self._second.read(row - self._rows, path)


def join_unlabelled(dataset: Dataset, more: Dataset) -> Dataset:
    """Return a dataset with the images of another one behind its own, whose labels and splits do not count.

    The rows of the first stay what they are, so that all that is drawn by the row of an image stays, too.

    Args:
        dataset: the first.
        more: the second.
    """
    first, second = dataset.index, more.index
    columns: dict[str, Any] = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in _COLUMNS}
    index = replace(
        first,
        paths=_joined(first.paths, second.paths),
        label=np.concatenate([first.label, np.full(len(second), -1, first.label.dtype)]),
        split=np.concatenate([first.split, np.zeros(len(second), first.split.dtype)]),
        reasons={**first.reasons, **{len(first) + row: reason for row, reason in second.reasons.items()}},
        parts=first.parts[:0],
        **columns,
    )
    return replace(dataset, source=_JoinedSource(dataset.source, more.source, len(first)), index=index)


def _joined(first: TextColumn, second: TextColumn) -> TextColumn:
    ends = np.concatenate([first.ends, second.ends + (first.ends[-1] if len(first) else 0)])
    return TextColumn(np.concatenate([first.block, second.block]), ends)
