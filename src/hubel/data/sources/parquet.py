"""Parquet files that hold the images, in the layout of Hugging Face data sets.

A column of `{bytes, path}` (or of plain bytes) and a column of labels; class names stand in the schema's metadata
under the key "huggingface", and the split in the file's name: `train-00000-of-00002.parquet`, `test.parquet`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from hubel.core.errors import DataError, DecodeError
from hubel.core.random import bits
from hubel.data.sources.folder import stamp
from hubel.data.sources.listing import Listing, ListingBuilder, natural_key, split_code

__all__ = ["ParquetSource", "columns", "open_path", "recognises", "text_rows"]

_IMAGES = ("image", "img", "picture", "jpg", "png")
_LABELS = ("label", "labels", "class", "fine_label", "category", "cls")


def recognises(path: Path) -> bool:
    """Whether this is a Parquet file, or a folder that has some, at most one folder down."""
    return (path.is_file() and path.suffix.lower() == ".parquet") or (path.is_dir() and bool(_files(path)))


def open_path(path: Path) -> ParquetSource:
    """The source at a path that `recognises` accepts."""
    return ParquetSource(path)


def columns(path: Path) -> list[str]:
    """The names of a file's columns.

    Raises:
        DataError: it is no Parquet file.
    """
    return list(_open(path).schema_arrow.names)


def text_rows(path: Path, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Rows of the named columns as text; an absent column or value is ""."""
    file = _open(path)
    present = [name for name in names if name in file.schema_arrow.names]
    for batch in file.iter_batches(columns=present):
        nothing = [None] * batch.num_rows
        values = [batch.column(name).to_pylist() if name in present else nothing for name in names]
        for row in zip(*values, strict=True):
            yield tuple("" if value is None else str(value) for value in row)


class ParquetSource:
    """One Parquet file, or a folder of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem if path.is_file() else path.resolve().name
        self.location = str(path.resolve())
        self._files = [path] if path.is_file() else _files(path)
        self._reading = Lock()

    def listing(self) -> Listing:
        """One row an image.

        Raises:
            DataError: a file has no column of images or of labels, or a label without a name.
        """
        rows = ListingBuilder()
        for path in self._files:
            file = _open(path)
            schema = file.schema_arrow
            self._image_column(schema)
            label = _first(_LABELS, schema.names)
            if label is None:
                raise DataError(
                    f"{path} has no column of labels ({', '.join(_LABELS)}); it has {', '.join(schema.names)}"
                )
            names = _class_names(schema, label)
            split = self._split_of(path)
            stamps = bits(
                stamp(path.relative_to(self.path).as_posix(), path.stat()), np.arange(file.metadata.num_rows)
            ).tolist()
            values = (v for batch in file.iter_batches(columns=[label]) for v in batch.column(0).to_pylist())
            for row, (value, mark) in enumerate(zip(values, stamps, strict=True)):
                try:
                    text = _label_text(value, names)
                except (IndexError, TypeError):
                    raise DataError(f"{path}, row {row}: no class has the number {value!r}") from None
                rows.add(f"{path.name}[{row}]", text, split, mark or 1)
        return rows.build()

    def read(self, row: int, path: str) -> bytes:
        """The encoded bytes of one image."""
        with self._reading:  # many threads come for their first image at once; one of them reads
            starts, chunks = self._encoded
        chunk = int(np.searchsorted(starts, row, side="right")) - 1
        data = chunks[chunk][row - int(starts[chunk])].as_py()
        if data is None:
            raise DecodeError(path, "the row has no image bytes")
        return bytes(data)

    @cached_property
    def _encoded(self) -> tuple[np.ndarray[Any, Any], list[Any]]:
        """The first row of each block of encoded images, and the blocks, as Arrow holds them."""
        import pyarrow as pa

        blocks = []
        for path in self._files:
            file = _open(path)
            name = self._image_column(file.schema_arrow)
            for block in file.read(columns=[name]).column(name).chunks:
                blocks.append(block.field("bytes") if pa.types.is_struct(block.type) else block)
        return np.cumsum([0, *(len(block) for block in blocks[:-1])]), blocks

    def _image_column(self, schema: Any) -> str:
        import pyarrow as pa

        def holds_images(kind: Any) -> bool:
            if pa.types.is_struct(kind):
                kind = kind.field("bytes").type if kind.get_field_index("bytes") >= 0 else None
            return kind is not None and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

        usable = [name for name in schema.names if holds_images(schema.field(name).type)]
        name = _first(_IMAGES, usable) or next(iter(usable), None)
        if name is None:
            raise DataError(f"{self.path} has no column of encoded images; it has {', '.join(schema.names)}")
        return name

    def _split_of(self, path: Path) -> int:
        """The split that a file's name, or the folder it is in, states."""
        words = [*re.split(r"[-_.]", path.stem), *path.relative_to(self.path).parts[:-1]] if path != self.path else []
        return next((code for word in words if (code := split_code(word))), 0)


def _files(folder: Path) -> list[Path]:
    found = [path for pattern in ("*.parquet", "*/*.parquet") for path in folder.glob(pattern)]
    return sorted((p for p in found if not p.name.startswith(".")), key=lambda path: natural_key(path.as_posix()))


def _first(wanted: tuple[str, ...], present: list[str]) -> str | None:
    return next((name for name in wanted if name in present), None)


def _label_text(value: Any, names: list[str] | None) -> str | None:
    if value is None or names is None:
        return None if value is None else str(value)
    # Hugging Face marks an image without a label by -1.
    return names[value] if value >= 0 else None


def _class_names(schema: Any, label: str) -> list[str] | None:
    try:
        feature = json.loads(schema.metadata[b"huggingface"])["info"]["features"][label]
        return [str(name) for name in feature["names"]]
    except (KeyError, TypeError, ValueError):
        return None


def _open(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is no readable Parquet file: {str(error).splitlines()[0]}") from None
