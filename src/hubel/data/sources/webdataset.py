"""WebDataset: images and their labels in tar archives, where consecutive files with one key are a sample.

The key is the path up to the first dot of the file's name: `a/0001.jpg` and `a/0001.cls`. The class is in `.cls`
(a number or a name), in `.json` (under "label" or another usual name) or in `.txt`; the names of numbers in a file
`classes.txt` beside the archives, one a line. Format: https://github.com/webdataset/webdataset, "The WebDataset
Format".

Images are never extracted: one scan records the offset of each, and they are read from there at random.
"""

from __future__ import annotations

import os
import stat
from array import array
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, DecodeError
from hubel.core.progress import bar
from hubel.data.reading import DEFAULT_LIMITS, RefusalError, check_bytes, one_line
from hubel.data.sources.columns import row_stamps
from hubel.data.sources.folder import file_stamp
from hubel.data.sources.kind import SourceKind
from hubel.data.sources.labels import LabelReader, checked_names
from hubel.data.sources.listing import Listing, ListingBuilder, passed_over
from hubel.data.sources.listing_by_ranks import ListedFiles, list_files
from hubel.data.sources.samples import archive_samples
from hubel.data.sources.tarfiles import Shards, find_shards, is_webdataset

__all__ = ["KIND", "WebDatasetSource", "numbered_names", "open_archive", "read_sample"]

_NAMES = ("classes.txt", "classnames.txt", "class_names.txt", "names.txt", "labels.txt")
_NAMES_BYTES = 2**24


def numbered_names(shards: Shards) -> list[str] | None:
    """Return the names of classes in the order of their numbers, from a file beside the archives, or None without one.

    Raises:
        DataError: it is no text, names a class twice, or has an empty line.
    """
    folders = dict.fromkeys([shards.root, *(path.parent for path in shards.paths)])
    file = next((folder / name for folder in folders for name in _NAMES if (folder / name).is_file()), None)
    if file is None:
        return None
    try:
        if (size := file.stat().st_size) > _NAMES_BYTES:
            raise DataError(f"{file} has {size:,} bytes; expected the name of one class a line")
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} is no readable text: {one_line(error)}") from None
    if "" in lines:
        raise DataError(f"{file}, line {lines.index('') + 1} is empty; expected the name of one class a line")
    return checked_names(lines, file)


def open_archive(path: Path, *, buffering: int = -1) -> BinaryIO:
    """Open an archive for reading.

    Raises:
        DataError: it cannot be opened, or is no regular file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{path} is no regular file; expected a tar archive")
        return path.open("rb", buffering=buffering)
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {one_line(error.strerror or error)}") from None


def read_sample(file: BinaryIO, offset: int, size: int, name: str) -> bytes:
    """Read the bytes of an image in an open archive.

    Raises:
        DecodeError: there are too many, or they are no longer there.
    """
    try:
        check_bytes(size, DEFAULT_LIMITS)
        file.seek(offset)
        data = file.read(size)
    except (OSError, RefusalError) as error:
        raise DecodeError(name, one_line(error)) from error
    if len(data) < size:
        raise DecodeError(name, f"its archive holds {len(data):,} of its {size:,} bytes")
    return data


@dataclass(frozen=True, kw_only=True)
class _Offsets:
    """Offsets of the encoded images: 20 bytes a row."""

    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    states: list[tuple[int, int]]  # size and time of each archive


class WebDatasetSource:
    """Images in a folder of tar archives, in one archive, or in those that a pattern names.

    Args:
        what: a folder, a file, or a pattern such as `train-{0000..0009}.tar`.
        labelled: images need a label; otherwise those without have the label "".
        multi_label: a label names any number of classes.

    Raises:
        DataError: there is no such archive.
    """

    def __init__(self, what: str | Path, *, labelled: bool = True, multi_label: bool = False) -> None:
        self._shards = find_shards(what)
        self._labelled, self._multi_label = labelled, multi_label
        self.name, self.location = self._shards.name, self._shards.location
        self._offsets: _Offsets | None = None
        self._scanning = Lock()

    def listing(self) -> Listing:
        """Return one row an image, named by its archive and its path there.

        Raises:
            DataError: an archive is damaged, a label is none, or there is no image.
        """
        names = numbered_names(self._shards)
        states = []
        for path in self._shards.paths:
            with open_archive(path) as file:
                states.append(os.fstat(file.fileno()))
        archives = [called for _, called, _ in self._shards]
        files = [(called, state.st_size) for called, state in zip(archives, states, strict=True)]
        listed = list_files(self.name, files, partial(self._list, names))
        rows, counts = listed.rows, listed.counts
        self._offsets = _Offsets(
            shard=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
            offset=listed.columns["offset"],
            size=listed.columns["size"],
            states=[(state.st_size, state.st_mtime_ns) for state in states],
        )
        self._check(rows)
        marks = [file_stamp(called, state) for called, state in zip(archives, states, strict=True)]
        return replace(rows.build(np.cumsum(counts)), stamp=row_stamps(marks, counts))

    def _list(self, names: list[str] | None, first: int, stop: int) -> ListedFiles:
        """List some of the archives, given the names of numbered classes."""
        rows, counts, offset, size = ListingBuilder(), list[int](), array("q"), array("q")
        with bar("scanning archives", stop - first) as progress:
            for path, called, split in islice(self._shards, first, stop):
                before = len(rows)
                labels = LabelReader(where=path, names=names, multi_label=self._multi_label, labelled=self._labelled)
                with open_archive(path) as file:
                    samples = archive_samples(file, str(path), called, labels, lambda name, why: rows.skip(why, name))
                    for sample in samples:
                        rows.add(f"{called}/{sample.name}", sample.label, split)
                        offset.append(sample.offset)
                        size.append(sample.size)
                counts.append(len(rows) - before)
                progress.step()
        columns = {"offset": np.frombuffer(offset, np.int64), "size": np.frombuffer(size, np.int64)}
        return ListedFiles(rows=rows, counts=np.array(counts, np.int64), columns=columns)

    def _check(self, rows: ListingBuilder) -> None:
        if not len(rows):
            passed = "".join(f"; {note}" for note in passed_over(rows.skip.counts())[:3])
            where = self._shards.location
            raise DataError(f"{where}: found no image in the archives; expected key.jpg with key.cls, for one{passed}")

    def read(self, row: int, path: str) -> bytes:
        """Return the encoded bytes of one image.

        Raises:
            DecodeError: the archive is gone or has changed, or the image is too large.
        """
        with self._scanning:
            if self._offsets is None:
                self.listing()
            offsets = self._offsets
        assert offsets is not None
        number = int(offsets.shard[row])
        try:
            # A file object of its own for each image: no position is shared, so that any thread may read at any time.
            with open_archive(self._shards.paths[number], buffering=0) as file:
                facts = os.fstat(file.fileno())
                if (facts.st_size, facts.st_mtime_ns) != offsets.states[number]:
                    raise DecodeError(path, "its archive has changed since it was scanned")
                return read_sample(file, int(offsets.offset[row]), int(offsets.size[row]), path)
        except DataError as error:
            raise DecodeError(path, str(error)) from error


KIND = SourceKind(
    name="tar archives of a WebDataset",
    recognises=lambda request: is_webdataset(request.path),
    open=lambda request: WebDatasetSource(request.path, labelled=request.labelled, multi_label=request.multi_label),
    multi_label=True,
)
