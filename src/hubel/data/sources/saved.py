"""Folders written by `datasets.save_to_disk` of Hugging Face, read without that library.

`state.json` names the files of rows (Arrow's stream format, memory-mapped here), `dataset_info.json` describes the
columns; where there are several splits, `dataset_dict.json` names their folders.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hubel.core.errors import DataError
from hubel.data.reading import one_line
from hubel.data.sources.columns import ColumnSource, Table, TableFile
from hubel.data.sources.encoded import ColumnPart
from hubel.data.sources.kind import SourceKind
from hubel.data.sources.listing import split_code

__all__ = ["KIND", "SavedSource", "is_saved_dataset"]

_DICT, _STATE, _INFO = "dataset_dict.json", "state.json", "dataset_info.json"


def is_saved_dataset(path: Path) -> bool:
    """Return whether `save_to_disk` wrote this folder."""
    return (path / _DICT).is_file() or ((path / _STATE).is_file() and (path / _INFO).is_file())


class SavedSource(ColumnSource):
    """A saved dataset, of one or several splits.

    Raises:
        DataError: a description is missing or damaged, or names files outside of its folder.
    """

    def __init__(
        self, path: Path, *, within: Path | None = None, labelled: bool = True, multi_label: bool = False
    ) -> None:
        files: list[TableFile] = []
        for folder in _splits(path):
            state, info = _json(folder / _STATE), _json(folder / _INFO)
            if state.get("_indices_data_files"):
                raise DataError(f"{folder / _STATE} names a file of indices, which hubel does not read; save it anew")
            features = info.get("features")
            split = split_code(folder.name if folder != path else "") or 0
            for name in _file_names(state, folder):
                key = (folder / name).relative_to(path).as_posix()
                files.append(
                    TableFile(folder / name, key, key, split, features if isinstance(features, dict) else None)
                )
        super().__init__(
            path.resolve().name, path, files, root=path, within=within, labelled=labelled, multi_label=multi_label
        )

    def _open(self, path: Path) -> Table:
        return _ArrowTable(path)


def _splits(path: Path) -> list[Path]:
    if not (path / _DICT).is_file():
        return [path]
    names = _json(path / _DICT).get("splits")
    if not isinstance(names, list) or not names or not all(_plain(name) for name in names):
        raise DataError(f"{path / _DICT}: splits is {one_line(names)}; expected names of folders beside it")
    return [path / name for name in names]


def _file_names(state: dict[str, Any], folder: Path) -> list[str]:
    entries = state.get("_data_files")
    rows = entries if isinstance(entries, list) else []
    names = [str(entry.get("filename") or "") for entry in rows if isinstance(entry, dict)]
    if not names or not all(_plain(name) for name in names):
        found = one_line(entries)
        raise DataError(f"{folder / _STATE}: _data_files is {found}; expected names of files beside it")
    return names


def _plain(name: Any) -> bool:
    """Return whether this is the name of a file in the folder itself, and not a path out of it."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\:\0")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing; expected it in a folder that datasets.save_to_disk wrote") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no readable JSON: {one_line(error)}") from None
    if not isinstance(value, dict):
        raise DataError(f"{path} holds {one_line(value)[:40]}; expected a JSON object")
    return value


class _ArrowTable:
    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._path = path
        try:
            self._table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
            self.schema = self._table.schema
            _ = self.schema.names  # which raises where they are no text
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._unreadable(error) from None

    def parts(self, column: str) -> Iterator[ColumnPart]:
        import pyarrow as pa

        values = self._table.column(column)
        try:
            # The bytes of a damaged file are used as they lie: offsets that lead elsewhere would crash, not raise.
            values.validate(full=True)
        except pa.ArrowException as error:
            raise self._unreadable(error) from None
        yield ColumnPart(len(values), 0, lambda: values.chunks)

    def _unreadable(self, error: Exception) -> DataError:
        return DataError(f"{self._path} is no readable file of Arrow's stream format: {one_line(error)}")


KIND = SourceKind(
    name="a folder that datasets.save_to_disk wrote",
    recognises=lambda request: is_saved_dataset(request.path),
    open=lambda request: SavedSource(
        request.path, within=request.within, labelled=request.labelled, multi_label=request.multi_label
    ),
    multi_label=True,
)
