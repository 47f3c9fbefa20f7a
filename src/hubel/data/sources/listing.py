"""The listing of a source, before any image is decoded: flat arrays, so that a million rows stay small."""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.core.language import plural
from hubel.core.notes import Caution
from hubel.data.reading import one_line

__all__ = [
    "SPLITS",
    "Listing",
    "ListingBuilder",
    "PassedOver",
    "Source",
    "TextColumn",
    "class_name",
    "class_names",
    "is_generic",
    "label_parts",
    "natural_key",
    "passed_over",
    "split_code",
]

# The code of a split is its position here; rows without one have code 0.
SPLITS = ("", "train", "val", "test")
_SPLIT_NAMES = {
    "train": 1,
    "training": 1,
    "trainset": 1,
    "val": 2,
    "valid": 2,
    "validation": 2,
    "valset": 2,
    "dev": 2,
    "test": 3,
    "testing": 3,
    "testset": 3,
}
# Words that may stand beside the name of a split: training_set, seg_train, test-images.
_FILLERS = {"", "set", "data", "dataset", "images", "imgs", "photos", "pictures", "seg", "split"}
_EXAMPLES = 5  # names, or endings, of what is passed over for one reason
_MORE = ", ..."
_MOST_FILES = 100_000  # that are passed over and remembered


def split_code(name: str) -> int | None:
    """Return the code of a split by any of its usual names, or None.

    >>> split_code("Validation"), split_code("training_set"), split_code("trousers")
    (2, 1, None)
    """
    words = _telling_words(name)
    return _SPLIT_NAMES.get(words[0]) if len(words) == 1 else None


def is_generic(name: str) -> bool:
    """Return whether the name of a folder says nothing of its content.

    >>> is_generic("dataset"), is_generic("cats")
    (True, False)
    """
    return not _telling_words(name)


def _telling_words(name: str) -> list[str]:
    return [word for word in re.split(r"[-_. ]", name.lower()) if word not in _FILLERS]


def class_name(text: str) -> str:
    r"""Return the name of a class as text that can be written anywhere.

    It is in Unicode's form NFC, in which a letter with its accent is one letter; bytes that are no UTF-8 are spelt out.
    Blanks around it do not count, unless there is nothing else.

    >>> class_name("cafe\u0301"), class_name("caf\udce9"), class_name("cat ")
    ('café', 'caf\\xe9', 'cat')
    """
    plain = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", plain.strip() or plain)


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


class PassedOver:
    """Files that are passed over: their number for each reason, with examples.

    Attributes:
        files: path and reason of each, of the first 100,000.
    """

    def __init__(self) -> None:
        self.files: list[tuple[str, str]] = []
        self._counts: dict[str, int] = {}
        self._examples: dict[str, dict[str, None]] = {}

    def __call__(self, reason: str, example: str = "", n: int = 1, *, path: str = "") -> None:
        """Count `n` files.

        Args:
            reason: a noun phrase in the plural.
            example: a name, or what else tells the files; "" where the reason says all.
            n: number of files.
            path: of the file, where the example is another text.
        """
        if (path or example) and len(self.files) < _MOST_FILES:
            self.files.append((path or example, reason))
        self._counts[reason] = self._counts.get(reason, 0) + n
        examples = self._examples.setdefault(reason, {})
        if example and len(examples) <= _EXAMPLES:
            examples[one_line(example)] = None

    def to_json(self) -> dict[str, Any]:
        """Return all that is counted as plain JSON values."""
        examples = {reason: list(names) for reason, names in self._examples.items()}
        return {"files": self.files, "counts": self._counts, "examples": examples}

    def add(self, found: Mapping[str, Any]) -> None:
        """Count what another one has counted; see `to_json`."""
        self.files += [(path, reason) for path, reason in found["files"]][: _MOST_FILES - len(self.files)]
        for reason, n in found["counts"].items():
            self._counts[reason] = self._counts.get(reason, 0) + n
            examples = self._examples.setdefault(reason, {})
            for name in found["examples"][reason]:
                if len(examples) <= _EXAMPLES:
                    examples[name] = None

    def counts(self) -> dict[str, int]:
        """Return the number of files for each reason with its examples, such as `{"not images (heic, txt)": 3}`."""
        return {f"{reason}{self._shown(reason)}": n for reason, n in self._counts.items()}

    def _shown(self, reason: str) -> str:
        examples = list(self._examples[reason])
        return f" ({', '.join(examples[:_EXAMPLES])}{_MORE * (len(examples) > _EXAMPLES)})" if examples else ""


# Reasons why nobody misses a file; others leave data out.
_NO_DATA = ("not images", "hidden", "neither images nor labels")


def passed_over(skipped: Mapping[str, int]) -> list[str]:
    """Return a line for each reason why files were passed over; a warning where they may be part of the data.

    >>> passed_over({"not images (heic)": 4})
    ['4 files passed over: not images (heic)']
    """
    lines = {why: plural("note.passed_over", n, why=why) for why, n in skipped.items()}
    return [line if why.startswith(_NO_DATA) else Caution(line) for why, line in lines.items()]


@dataclass(frozen=True)
class Listing:
    """The rows of a source, undecoded.

    Attributes:
        paths: per row, the name of the image for the user and the source.
        label: per row, a position in `labels`; -1 without a label.
        split: per row, a position in `SPLITS`.
        stamp: per row, 64 bits that change when the file does (size and modification time); 0 where nothing can tell.
        labels: label texts; the label of an image of several classes joins them with "|".
        skipped: numbers of files passed over, by reason; see `PassedOver`.
        notes: remarks for the user, a line each.
        passed: path and reason of each file that was passed over, of the first 100,000.
        annotations: a digest of all that is marked on the images; empty where labels say all.
        parents: the parent of a class, or of another parent, where the source has a hierarchy.
        parts: where rows lie in files, or parts of files, that are best read one after the other: the end of each, the
            row after its last; empty where any row is as near as any other.
    """

    paths: TextColumn
    label: NDArray[np.int32]
    split: NDArray[np.int8]
    stamp: NDArray[np.uint64]
    labels: tuple[str, ...]
    skipped: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    passed: tuple[tuple[str, str], ...] = ()
    annotations: bytes = b""
    parents: Mapping[str, str] = field(default_factory=dict)
    parts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.label)


class ListingBuilder:
    """A builder that collects rows into flat arrays.

    Attributes:
        skip: counts the files that are passed over.
        notes: remarks for the user, a line each.
        parents: the parent of a class, or of another parent.
    """

    def __init__(self) -> None:
        self._block = bytearray()
        self._ends = array("q")
        self._label = array("i")
        self._split = array("b")
        self._stamp = array("Q")
        self._labels: dict[str, int] = {}
        self._texts: list[str] = []
        self.skip = PassedOver()
        self.notes: list[str] = []
        self.parents: dict[str, str] = {}

    def add(self, path: str, label: str | None, split: int = 0, stamp: int = 0) -> None:
        """Add a row."""
        self._block += path.encode("utf-8", "surrogateescape")
        self._ends.append(len(self._block))
        self._label.append(-1 if label is None else self._code(label))
        self._split.append(split)
        self._stamp.append(stamp)

    def __len__(self) -> int:
        return len(self._ends)

    def _code(self, label: str) -> int:
        if label not in self._labels:
            self._labels[label] = len(self._texts)
            self._texts.append(label)
        return self._labels[label]

    def packed(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the rows as arrays by name, and what goes with them as plain JSON values; see `add_packed`."""
        rows = self.build()
        columns: dict[str, NDArray[Any]] = {"label": rows.label, "split": rows.split, "stamp": rows.stamp}
        columns |= {"block": rows.paths.block, "ends": rows.paths.ends}
        return columns, {"labels": self._texts, "skip": self.skip.to_json()}

    def add_packed(self, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Add the rows of another builder behind those that are here, and what it has passed over."""
        codes = np.array([*(self._code(label) for label in facts["labels"]), -1], np.int32)
        self._ends.frombytes((arrays["ends"] + len(self._block)).astype(np.int64).tobytes())
        self._block += arrays["block"].tobytes()
        self._label.frombytes(codes[arrays["label"]].tobytes())
        self._split.frombytes(arrays["split"].tobytes())
        self._stamp.frombytes(arrays["stamp"].tobytes())
        self.skip.add(facts["skip"])

    def row(self, number: int) -> tuple[str | None, int]:
        """Return label and split of a row."""
        code = self._label[number]
        return self._texts[code] if code >= 0 else None, self._split[number]

    def set_stamp(self, number: int, stamp: int) -> None:
        """Change the stamp of a row."""
        self._stamp[number] = stamp

    def build(self, parts: NDArray[np.int64] | None = None) -> Listing:
        """Return the rows so far.

        Args:
            parts: see `Listing`.
        """
        return Listing(
            TextColumn(np.frombuffer(self._block, np.uint8), np.frombuffer(self._ends, np.int64)),
            np.frombuffer(self._label, np.int32),
            np.frombuffer(self._split, np.int8),
            np.frombuffer(self._stamp, np.uint64),
            tuple(self._texts),
            self.skip.counts(),
            tuple(self.notes),
            tuple(self.skip.files),
            parents=dict(self.parents),
            parts=np.empty(0, np.int64) if parts is None else parts,
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
