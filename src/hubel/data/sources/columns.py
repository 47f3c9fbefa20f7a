"""Tables with a column of encoded images and one of labels, in one or several files: the base of Parquet and Arrow."""

from __future__ import annotations

import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.core.random import bits
from hubel.data.reading import one_line
from hubel.data.sources.encoded import ColumnPart, EncodedImages, memory_budget
from hubel.data.sources.features import (
    FeatureSchema,
    class_names_of,
    features_of,
    image_column,
    label_column,
    only_column,
)
from hubel.data.sources.folder import file_stamp
from hubel.data.sources.labels import LabelReader
from hubel.data.sources.listing import Listing, ListingBuilder, split_code
from hubel.data.sources.listing_by_ranks import ListedFiles, list_files
from hubel.data.sources.table import column_place

__all__ = ["ColumnSource", "Table", "TableFile", "row_stamps"]


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


def row_stamps(marks: Sequence[int], counts: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return stamps for the rows of files: different numbers, none of them 0, that change with the marks of the files.

    Args:
        marks: of each file.
        counts: rows of each.
    """
    files = [bits(mark, np.arange(count)) for mark, count in zip(marks, counts.tolist(), strict=True)]
    stamps: NDArray[np.uint64] = np.concatenate([*files, np.empty(0, np.uint64)])
    return np.maximum(stamps, np.uint64(1))


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
        states = [self._state(file.path) for file in self._files]
        files = [(file.stamp_key, state.st_size) for file, state in zip(self._files, states, strict=True)]
        listed = list_files(self.name, files, self._list)
        marks = [file_stamp(file.stamp_key, state) for file, state in zip(self._files, states, strict=True)]
        rows = listed.rows.build(np.cumsum(listed.columns["parts"]))
        return replace(rows, stamp=row_stamps(marks, listed.counts))

    def _state(self, path: Path) -> os.stat_result:
        try:
            return path.stat()
        except OSError:
            self._open(path)  # which says what is wrong
            raise

    def _list(self, first: int, stop: int) -> ListedFiles:
        """List some of the files."""
        rows, counts, parts = ListingBuilder(), list[int](), list[int]()
        for file in self._files[first:stop]:
            before = len(rows)
            table = self._open(file.path)
            features = file.features or features_of(table.schema)
            images = list(table.parts(image_column(table.schema, features, file.path)))
            labels, splits = self._labels(table, file, features, images), _splits(table, file)
            for row, (text, split) in enumerate(zip(labels, splits, strict=False)):
                rows.add(f"{file.name}[{row}]", text, split)
            counts.append(len(rows) - before)
            parts += [part.rows for part in images]
        columns = {"parts": np.array(parts, np.int64)}
        return ListedFiles(rows=rows, counts=np.array(counts, np.int64), columns=columns)

    def _labels(
        self, table: Table, file: TableFile, features: FeatureSchema, images: Sequence[ColumnPart]
    ) -> Iterator[str | None]:
        try:
            label = label_column(table.schema, features, file.path)
        except DataError:
            if self._labelled:
                raise
            return ("" for part in images for _ in range(part.rows))
        names = class_names_of(features, label, file.path)
        reader = LabelReader(where=file.path, names=names, multi_label=self._multi_label, labelled=self._labelled)
        return _texts((block for part in table.parts(label) for block in part.load()), reader)

    def read(self, row: int, path: str) -> bytes:
        """Return the encoded bytes of one image."""
        with self._opening:  # many threads ask for their first image at once; one of them opens the files
            images = self._images
        return images.read(row, path)

    def hold_windows(self, number: int) -> None:
        """Hold no more in memory than so many windows of parts need, from which rows are read in turn."""
        with self._opening:
            self._images.hold_windows(number)

    @cached_property
    def _images(self) -> EncodedImages:
        parts: list[ColumnPart] = []
        for file in self._files:
            table = self._open(file.path)
            features = file.features or features_of(table.schema)
            parts += table.parts(image_column(table.schema, features, file.path))
        return EncodedImages(parts, self._root, self._within, memory_budget())


def _splits(table: Table, file: TableFile) -> Iterator[int]:
    """Yield the code of each row's split: that of the file; where it has none, that in the column `split`."""
    place = column_place(table.schema.names, ("split",))
    if file.split or place is None:
        yield from itertools.repeat(file.split)
        return
    column = only_column(table.schema.names[place], table.schema.names, file.path)
    values = (value for part in table.parts(column) for block in part.load() for value in block.to_pylist())
    for row, value in enumerate(values):
        text = "" if value is None or value != value else str(value).strip()
        code = split_code(text) if text else 0
        if code is None:
            raise DataError(f"{file.path}, row {row}: split is train, val or test, not {one_line(text)!r}")
        yield code


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
