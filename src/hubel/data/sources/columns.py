"""Tables with a column of encoded images and one of labels, in one or several files: the base of Parquet and Arrow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np

from hubel.core.errors import DataError
from hubel.core.random import bits
from hubel.data.sources.encoded import ColumnPart, EncodedImages, memory_budget
from hubel.data.sources.features import (
    FeatureSchema,
    class_names_of,
    features_of,
    image_column,
    label_column,
)
from hubel.data.sources.folder import file_stamp
from hubel.data.sources.labels import LabelReader
from hubel.data.sources.listing import Listing, ListingBuilder

__all__ = ["ColumnSource", "Table", "TableFile", "row_stamps"]

_STAMPS_AT_ONCE = 4096


class Table(Protocol):
    """An open file of rows."""

    schema: Any

    def parts(self, column: str) -> Iterator[ColumnPart]:
        """Yield the parts of a column, in order.

        Raises:
            DataError: now, or when a part is loaded: the file is damaged.
        """


@dataclass(frozen=True)
class TableFile:
    """One file of a dataset.

    Attributes:
        path: of the file.
        name: prefix of the names of its rows.
        stamp_key: distinguishes the file from others of the dataset, for the stamps of its rows.
        split: the code of its split.
        features: descriptions of its columns; None if they are in its own schema.
    """

    path: Path
    name: str
    stamp_key: str
    split: int = 0
    features: FeatureSchema | None = None


def row_stamps(mark: int) -> Iterator[int]:
    """Yield stamps for the rows of a file: different numbers without end, none of them 0, that change with its mark."""
    first = 0
    while True:
        for value in bits(mark, np.arange(first, first + _STAMPS_AT_ONCE)).tolist():
            yield value or 1
        first += _STAMPS_AT_ONCE


class ColumnSource(ABC):
    """Encoded images in a column of tables.

    Args:
        name: for reports.
        location: the file or folder that the user gave.
        files: of the dataset, in order.
        root: the folder that the paths of images without bytes are relative to.
        within: the folder that such an image must really lie in; the root if None.
        labelled: the files need a column of labels; otherwise images without a label have the label "".
        multi_label: a label names any number of classes.
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
        multi_label: bool = False,
    ) -> None:
        self.name, self.location = name, str(location.resolve())
        self._files, self._root, self._within = files, root, within or root
        self._labelled, self._multi_label = labelled, multi_label
        self._opening = Lock()

    @abstractmethod
    def _open(self, path: Path) -> Table:
        """Open a file.

        Raises:
            DataError: it is damaged, or of another format.
        """

    def listing(self) -> Listing:
        """Return one row an image.

        Raises:
            DataError: a file is damaged, has no column of images or of labels, or a label without a name.
        """
        rows = ListingBuilder()
        for file in self._files:
            labels = self._labels(file)  # opens the file, or says why not
            marks = row_stamps(file_stamp(file.stamp_key, file.path.stat()))
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
        names = class_names_of(features, label, file.path)
        reader = LabelReader(where=file.path, names=names, multi_label=self._multi_label, labelled=self._labelled)
        return _texts((block for part in table.parts(label) for block in part.load()), reader)

    def read(self, row: int, path: str) -> bytes:
        """Return the encoded bytes of one image."""
        with self._opening:  # many threads ask for their first image at once; one of them opens the files
            images = self._images
        return images.read(row, path)

    @cached_property
    def _images(self) -> EncodedImages:
        parts: list[ColumnPart] = []
        for file in self._files:
            table = self._open(file.path)
            features = file.features or features_of(table.schema)
            parts += table.parts(image_column(table.schema, features, file.path))
        return EncodedImages(parts, self._root, self._within, memory_budget())


def _texts(blocks: Iterable[Any], reader: LabelReader) -> Iterator[str | None]:
    """Yield the label text of each row."""
    row = 0
    for block in blocks:
        try:
            values = block.to_pylist()
        except UnicodeDecodeError:
            raise DataError(f"{reader.where}: a label from row {row} on is no UTF-8 text") from None
        for value in values:
            yield reader.read(value, f"row {row}")
            row += 1
