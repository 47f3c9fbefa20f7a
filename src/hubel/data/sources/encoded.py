"""A column of encoded images, read in parts of which only as many are held as memory allows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from threading import Lock
from typing import Any

import numpy as np

from hubel.core.errors import DecodeError
from hubel.core.resources import available_memory
from hubel.data.part_order import WINDOW_BYTES
from hubel.data.reading import DEFAULT_LIMITS, RefusalError, check_bytes, one_line, read_regular

__all__ = ["ColumnPart", "EncodedImages", "memory_budget"]


@dataclass(frozen=True)
class ColumnPart:
    """A part of a column, not loaded yet.

    Attributes:
        rows: number of rows.
        memory: bytes that they take once loaded; 0 where a file is mapped.
        load: returns them as Arrow arrays of binary or of `{bytes, path}`.
    """

    rows: int
    memory: int
    load: Callable[[], Sequence[Any]]


def memory_budget() -> int:
    """Return the bytes of loaded parts that may be held: half of the available memory."""
    return available_memory() // 2


class EncodedImages:
    """Images of several parts, one after another; the parts used last stay loaded, as far as memory allows.

    Args:
        parts: of the column, in order.
        root: the folder that the paths of images without bytes are relative to.
        within: the folder that such an image must really lie in.
        budget: bytes of loaded parts that may be held; one part is held in any case.
    """

    def __init__(self, parts: Sequence[ColumnPart], root: Path, within: Path, budget: int) -> None:
        self._parts, self._root, self._within, self._budget = parts, root, within, budget
        self._ends = np.cumsum([part.rows for part in parts])
        self._loaded: OrderedDict[int, tuple[Any, Any]] = OrderedDict()
        self._held = 0
        self._loading = Lock()

    def hold_windows(self, number: int) -> None:
        """Hold no more loaded parts than so many windows of an epoch have; see `hubel.data.part_order`."""
        largest = max((part.memory for part in self._parts), default=0)
        # Some batches are ahead, so that each window has a successor.
        self._budget = min(self._budget, 2 * number * (WINDOW_BYTES + largest))

    def read(self, row: int, name: str) -> bytes:
        """Return the encoded bytes of one image.

        Raises:
            DecodeError: the row has neither bytes nor the path of a file inside the folder.
        """
        number = int(np.searchsorted(self._ends, row, side="right"))
        offset = row - int(self._ends[number]) + self._parts[number].rows
        with self._loading:  # many threads ask for the same part at once; one of them loads it
            data, paths = self._columns(number)
        if data[offset].is_valid:
            try:
                check_bytes(len(data[offset].as_buffer()), DEFAULT_LIMITS)
            except RefusalError as error:
                raise DecodeError(name, str(error)) from error
            return bytes(data[offset].as_py())
        try:
            path = paths[offset].as_py() if paths is not None else None
        except UnicodeDecodeError as error:
            raise DecodeError(name, "the row has no image bytes, and a path that is no text") from error
        if not path:
            raise DecodeError(name, "the row has no image bytes")
        return self._from_file(path, name)

    def _columns(self, number: int) -> tuple[Any, Any]:
        """Return the columns of bytes and of paths of a part."""
        if number in self._loaded:
            self._loaded.move_to_end(number)
            return self._loaded[number]
        self._held += self._parts[number].memory
        while self._loaded and self._held > self._budget:
            oldest, _ = self._loaded.popitem(last=False)
            self._held -= self._parts[oldest].memory
        self._loaded[number] = _bytes_and_paths(self._parts[number].load())
        return self._loaded[number]

    def _from_file(self, path: str, name: str) -> bytes:
        parts = PureWindowsPath(path)  # which knows both separators
        if parts.anchor or ".." in parts.parts:
            raise DecodeError(name, f"the row has no image bytes, and its path {one_line(path)} leads elsewhere")
        try:
            return read_regular(self._root / parts.as_posix(), root=self._within)
        except DecodeError as error:
            raise DecodeError(
                name, f"the row has no image bytes, and its file {one_line(path)}: {error.reason}"
            ) from error


def _bytes_and_paths(blocks: Sequence[Any]) -> tuple[Any, Any]:
    import pyarrow as pa

    if pa.types.is_dictionary(blocks[0].type):
        return pa.chunked_array([block.dictionary_decode() for block in blocks]), None
    if not pa.types.is_struct(blocks[0].type):
        return pa.chunked_array(blocks), None
    columns = [block.flatten() for block in blocks]  # a row that is null as a whole has neither bytes nor path then
    data, path = (blocks[0].type.get_field_index(name) for name in ("bytes", "path"))
    paths = pa.chunked_array([column[path] for column in columns]) if path >= 0 else None
    return pa.chunked_array([column[data] for column in columns]), paths
