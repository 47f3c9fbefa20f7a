"""Parquet files that hold the images, in the layout of Hugging Face datasets.

A column of `{bytes, path}` (or of plain bytes) and a column of labels; class names are in the schema's metadata
under the key "huggingface", and the split in the YAML header of a README.md or in the file's name:
`train-00000-of-00002.parquet`, `test.parquet`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hubel.core.errors import DataError
from hubel.data.reading import one_line
from hubel.data.sources.columns import ColumnSource, Table, TableFile
from hubel.data.sources.encoded import ColumnPart
from hubel.data.sources.features import IMAGE_COLUMNS, features_of, image_column, only_column
from hubel.data.sources.kind import SourceKind
from hubel.data.sources.layout import holds_files, split_files
from hubel.data.sources.table import PATH_COLUMNS, column_place

__all__ = ["KIND", "ParquetSource", "column_names", "is_parquet", "names_images", "values_of"]


def is_parquet(path: Path) -> bool:
    """Return whether this is a Parquet file, or a folder of some, at most one folder down or where its README says."""
    if path.is_dir():
        return holds_files(path, ".parquet")
    return path.is_file() and path.suffix.lower() == ".parquet"


def column_names(path: Path) -> list[str]:
    """Return the names of a file's columns.

    Raises:
        DataError: it is no Parquet file.
    """
    return list(_open(path).schema_arrow.names)


def names_images(path: Path) -> bool:
    """Return whether a file has a column of paths, and none of encoded images, beside which paths are names.

    Raises:
        DataError: it is no Parquet file.
    """
    import pyarrow as pa

    schema = _open(path).schema_arrow
    if column_place(schema.names, PATH_COLUMNS) is None:
        return False
    try:
        column = image_column(schema, features_of(schema), path)
    except DataError:
        return True
    named = column_place([column], IMAGE_COLUMNS) is not None or pa.types.is_struct(schema.field(column).type)
    # Bytes under any other name may be thumbnails, paths, or no images at all.
    return "image_path" in schema.names and not named


def values_of(path: Path, names: Sequence[str | None]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the named columns; a column called None holds None.

    Raises:
        DataError: several columns have one of the names.
    """
    file = _open(path)
    for name in filter(None, names):
        only_column(name, file.schema_arrow.names, path)
    for batch in file.iter_batches(columns=[name for name in names if name is not None]):
        absent = [None] * batch.num_rows
        yield from zip(*(absent if name is None else batch.column(name).to_pylist() for name in names), strict=True)


class ParquetSource(ColumnSource):
    """One Parquet file, or a folder of them."""

    def __init__(
        self, path: Path, *, within: Path | None = None, labelled: bool = True, multi_label: bool = False
    ) -> None:
        folder = path if path.is_dir() else path.parent
        found = split_files(path, ".parquet") if path.is_dir() else [(path, 0)]
        files = [TableFile(file, file.name, file.relative_to(path).as_posix(), split) for file, split in found]
        name = path.stem if path.is_file() else path.resolve().name
        super().__init__(name, path, files, root=folder, within=within, labelled=labelled, multi_label=multi_label)

    def _open(self, path: Path) -> Table:
        return _ParquetTable(path)


class _ParquetTable:
    def __init__(self, path: Path) -> None:
        self._path, self._file = path, _open(path)
        self.schema = self._file.schema_arrow

    def parts(self, column: str) -> Iterator[ColumnPart]:
        for number in range(self._file.num_row_groups):
            # Its size is that of all columns, which the images dominate. To ask for one column's of a damaged file ends
            # the process (pyarrow 26: an exception of C++ that nothing catches).
            facts = self._file.metadata.row_group(number)
            yield ColumnPart(facts.num_rows, facts.total_byte_size, partial(self._load, number, facts.num_rows, column))

    def _load(self, number: int, rows: int, column: str) -> Sequence[Any]:
        import pyarrow as pa

        try:
            values = self._file.read_row_group(number, columns=[column]).column(column)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(self._path, error) from None
        if len(values) != rows:
            raise DataError(f"{self._path} is damaged: its row group {number} has {len(values)} rows, not {rows}")
        return list(values.chunks)


def _open(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, memory_map=True)
        _ = file.schema_arrow.names  # which raises where they are no text
        return file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is no readable Parquet file: {one_line(error)}")


KIND = SourceKind(
    name="Parquet files that hold the images",
    recognises=lambda request: is_parquet(request.path),
    open=lambda request: ParquetSource(
        request.path, within=request.within, labelled=request.labelled, multi_label=request.multi_label
    ),
    multi_label=True,
)
