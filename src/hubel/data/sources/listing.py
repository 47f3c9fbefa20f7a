"""The listing of a source, before any image is decoded: flat arrays, so that a million rows stay small."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError

__all__ = [
    "SPLITS",
    "Listing",
    "ListingBuilder",
    "Source",
    "TextColumn",
    "class_names",
    "label_parts",
    "natural_key",
    "split_code",
]

# The code of a split is its position here; rows without one have code 0.
SPLITS = ("", "train", "val", "test")
_SPLIT_NAMES = {
    "train": 1,
    "training": 1,
    "val": 2,
    "valid": 2,
    "validation": 2,
    "dev": 2,
    "test": 3,
    "testing": 3,
}


def split_code(name: str) -> int | None:
    """Return the code of a split by any of its usual names, or None.

    >>> split_code("Validation"), split_code("trousers")
    (2, None)
    """
    return _SPLIT_NAMES.get(name.lower())


def natural_key(text: str) -> tuple[tuple[object, ...], str]:
    """Return a sorting key by which numbers inside names sort by value: 2 before 10.

    >>> sorted(["10", "a10", "2", "a2"], key=natural_key)
    ['2', '10', 'a2', 'a10']
    """
    parts = re.split(r"([0-9]+)", text)
    # A number starts with an empty text part, so numbers meet numbers and texts meet texts. Numbers of any length are
    # compared by their digits: the longer one is larger.
    digits = [part.lstrip("0") for part in parts[1::2]]
    numbers = [(len(number), number) for number in digits]
    return tuple(numbers[i // 2] if i % 2 else part.casefold() for i, part in enumerate(parts)), text


@dataclass(frozen=True)
class TextColumn:
    """A column of short texts, stored as one block of UTF-8 and one array of ends."""

    block: NDArray[np.uint8]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> str:
        start = self.ends[row - 1] if row else 0
        # Names of files may hold bytes that are no UTF-8; they must come back as they went in.
        return self.block[start : self.ends[row]].tobytes().decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Listing:
    """The rows of a source, undecoded.

    Attributes:
        paths: per row, the name of the image for the user and the source.
        label: per row, a position in `labels`; -1 without a label.
        split: per row, a position in `SPLITS`.
        stamp: per row, 64 bits that change when the file does (size and modification time); 0 where nothing can tell.
        labels: label texts; the label of an image of several classes joins them with "|".
        skipped: numbers of files passed over, by reason.
        notes: remarks for the user, a line each.
    """

    paths: TextColumn
    label: NDArray[np.int32]
    split: NDArray[np.int8]
    stamp: NDArray[np.uint64]
    labels: tuple[str, ...]
    skipped: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.label)


class ListingBuilder:
    """A builder that collects rows into flat arrays.

    Attributes:
        skipped: numbers of files passed over, by reason.
        notes: remarks for the user, a line each.
    """

    def __init__(self) -> None:
        self._block = bytearray()
        self._ends = array("q")
        self._label = array("i")
        self._split = array("b")
        self._stamp = array("Q")
        self._labels: dict[str, int] = {}
        self._texts: list[str] = []
        self.skipped: dict[str, int] = {}
        self.notes: list[str] = []

    def add(self, path: str, label: str | None, split: int = 0, stamp: int = 0) -> None:
        """Add a row."""
        self._block += path.encode("utf-8", "surrogateescape")
        self._ends.append(len(self._block))
        if label is not None and label not in self._labels:
            self._labels[label] = len(self._texts)
            self._texts.append(label)
        self._label.append(-1 if label is None else self._labels[label])
        self._split.append(split)
        self._stamp.append(stamp)

    def row(self, number: int) -> tuple[str | None, int]:
        """Return label and split of a row."""
        code = self._label[number]
        return self._texts[code] if code >= 0 else None, self._split[number]

    def set_stamp(self, number: int, stamp: int) -> None:
        """Change the stamp of a row."""
        self._stamp[number] = stamp

    def skip(self, reason: str, n: int = 1) -> None:
        """Count `n` files that are passed over."""
        self.skipped[reason] = self.skipped.get(reason, 0) + n

    def build(self) -> Listing:
        """Return the rows so far."""
        return Listing(
            TextColumn(np.frombuffer(self._block, np.uint8), np.frombuffer(self._ends, np.int64)),
            np.frombuffer(self._label, np.int32),
            np.frombuffer(self._split, np.int8),
            np.frombuffer(self._stamp, np.uint64),
            tuple(self._texts),
            self.skipped,
            tuple(self.notes),
        )


@runtime_checkable
class Source(Protocol):
    """A source of images, most of them with labels.

    Attributes:
        name: a short name for run folders and reports.
        location: identifies the data between runs; "" for data whose index is not stored.
    """

    name: str
    location: str

    def listing(self) -> Listing:
        """Return all rows; no image is decoded."""

    def read(self, row: int, path: str) -> bytes | NDArray[np.uint8]:
        """Return one image, as the bytes of a file or as pixels uint8 `(h, w)` or `(h, w, 3)`.

        Raises:
            DecodeError: it cannot be read.
        """


def label_parts(label: str, *, multi_label: bool) -> list[str]:
    """Return the classes that one label text names.

    >>> label_parts("cat|dog", multi_label=True), label_parts("cat|dog", multi_label=False)
    (['cat', 'dog'], ['cat|dog'])
    """
    return [part for part in (label.split("|") if multi_label else [label]) if part]


def class_names(labels: Iterable[str], *, multi_label: bool = False) -> tuple[str, ...]:
    """Return the classes among label texts, naturally sorted.

    Raises:
        DataError: fewer than two.
    """
    names = {part for label in labels for part in label_parts(label, multi_label=multi_label)}
    classes = tuple(sorted(names, key=natural_key))
    if not classes:
        raise DataError("there is no labelled image")
    if len(classes) == 1:
        raise DataError(f"there is only one class, {classes[0]!r}; a classifier needs at least two")
    return classes
