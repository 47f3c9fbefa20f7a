"""Tables with a column of encoded images and one of labels, in one or several files: what Parquet and Arrow share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np

from hubel.core.errors import DataError
from hubel.core.random import bits
from hubel.data.sources.encoded import EncodedImages, Part, memory_budget
from hubel.data.sources.features import (
    FeatureSchema,
    checked_names,
    features_of,
    image_column,
    label_column,
    label_texts,
)
from hubel.data.sources.folder import stamp
from hubel.data.sources.listing import Listing, ListingBuilder

__all__ = ["ColumnSource", "Table", "TableFile", "stamps"]

_STAMPS_AT_ONCE = 4096


class Table(Protocol):
    """An open file."""

    schema: Any

    def parts(self, column: str) -> Iterator[Part]:
        """A column piece by piece, in order.

        Raises:
            DataError: now, or when a part is loaded: the file is damaged.
        """


@dataclass(frozen=True)
class TableFile:
    """One file of a data set.

    Attributes:
        path: where it is.
        name: what its rows are called by.
        told: what tells it from the other files of the data set; for the stamp.
        split: the code of its split.
        features: descriptions of its columns that do not stand in its own schema.
    """

    path: Path
    name: str
    told: str
    split: int = 0
    features: FeatureSchema | None = None


def stamps(mark: int) -> Iterator[int]:
    """The stamps of a file's rows, without end: different numbers, none of them 0, that change when its mark does."""
    first = 0
    while True:
        for value in bits(mark, np.arange(first, first + _STAMPS_AT_ONCE)).tolist():
            yield value or 1
        first += _STAMPS_AT_ONCE


class ColumnSource(ABC):
    """Images in a column of files.

    Args:
        name: for reports.
        location: the file or folder that the user gave.
        files: in order.
        root: where the path of an image without bytes begins.
        within: the folder that such an image must really lie in; the root if not given.
        labelled: whether the files need a column of labels; otherwise images without have the label "".
    """

    def __init__(
        self,
        name: str,
        location: Path,
        files: Sequence[TableFile],
        *,
        root: Path,
        within: Path | None = None,
        labelled: bool = True,
    ) -> None:
        self.name, self.location = name, str(location.resolve())
        self._files, self._root, self._within, self._labelled = files, root, within or root, labelled
        self._opening = Lock()

    @abstractmethod
    def _open(self, path: Path) -> Table:
        """A file, ready to be read.

        Raises:
            DataError: it is damaged, or is something else.
        """

    def listing(self) -> Listing:
        """One row an image.

        Raises:
            DataError: a file is damaged, has no column of images or of labels, or a label without a name.
        """
        rows = ListingBuilder()
        for file in self._files:
            labels = self._labels(file)  # opens the file, or says why not
            marks = stamps(stamp(file.told, file.path.stat()))
            for row, (text, mark) in enumerate(zip(labels, marks, strict=False)):
                rows.add(f"{file.name}[{row}]", text, file.split, mark)
        return rows.build()

    def _labels(self, file: TableFile) -> Iterator[str | None]:
        table = self._open(file.path)
        features = file.features or features_of(table.schema)
        images = image_column(table.schema, features, file.path)
        try:
            label = label_column(table.schema, features, file.path)
        except DataError:
            if self._labelled:
                raise
            return ("" for part in table.parts(images) for _ in range(part.rows))
        feature = features.get(label)
        names = checked_names(feature.get("names"), file.path) if isinstance(feature, dict) else None
        texts = label_texts((b for part in table.parts(label) for b in part.load()), names, file.path)
        return texts if self._labelled else (text or "" for text in texts)

    def read(self, row: int, path: str) -> bytes:
        """The encoded bytes of one image."""
        with self._opening:  # many threads come for their first image at once; one of them opens the files
            images = self._images
        return images.read(row, path)

    @cached_property
    def _images(self) -> EncodedImages:
        parts: list[Part] = []
        for file in self._files:
            table = self._open(file.path)
            features = file.features or features_of(table.schema)
            parts += table.parts(image_column(table.schema, features, file.path))
        return EncodedImages(parts, self._root, self._within, memory_budget())
