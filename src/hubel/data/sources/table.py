"""A table of image paths: CSV, TSV or Parquet with a column of paths, one of labels and, if there are splits, `split`.

The columns are found by their usual names (`image_path`, `file_name`, ...; `label`, `class`, ...); a column `parent`
has the parent of each label. Text may be divided by commas, semicolons, tabs or "|", and be UTF-8, UTF-16, UTF-32 or,
as Excel writes it in Korea, cp949.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import itertools
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hubel.core.errors import DataError, DecodeError, OptionError
from hubel.core.notes import Caution
from hubel.data.reading import one_line, read_regular
from hubel.data.sources.folder import file_stamp
from hubel.data.sources.kind import SourceKind
from hubel.data.sources.labels import LABEL_COLUMNS, LabelReader
from hubel.data.sources.listing import SPLITS, Listing, ListingBuilder, class_name, split_code
from hubel.data.sources.parents import ParentReader

__all__ = ["KIND", "PATH_COLUMNS", "TableSource", "column_place", "find_file", "is_path_table", "text_rows"]

#: Usual names of a column of paths, the first choice first.
PATH_COLUMNS = (
    *("image_path", "img_path", "file_path", "filepath", "path"),
    *("file_name", "filename", "image_name", "image_file", "image", "img", "file"),
)
_ENDINGS = (".csv", ".tsv")
_DELIMITERS = (",", ";", "\t", "|")
_ENCODINGS = {  # by their first bytes: marks, or two letters of a header in UTF-16 without one
    re.compile(codecs.BOM_UTF8): "utf-8-sig",
    re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff"): "utf-32",
    re.compile(rb"\xff\xfe|\xfe\xff"): "utf-16",
    re.compile(rb"[^\0]\0[^\0]\0"): "utf-16-le",
    re.compile(rb"\0[^\0]\0[^\0]"): "utf-16-be",
}
_END = "\udcff"  # of a text: half a character, of which decoding leaves none
_MOST_NAMES = 20  # of columns in a message


def is_path_table(path: Path) -> bool:
    """Return whether this is a table of image paths."""
    if path.suffix.lower() == ".parquet" and path.is_file():
        from hubel.data.sources.parquet import names_images

        return names_images(path)
    return path.suffix.lower() in _ENDINGS and path.is_file()


class TableSource:
    """Image files named by the rows of a table.

    Rows that repeat a row count once. A file that does not exist, or that rows give different labels or splits, is
    named with the reason and left out, like an image that cannot be read.

    Args:
        path: the table.
        root: the folder that relative paths start at; the table's own if None.
        within: the folder that links among relative paths must not leave; None for a user's own data.
        labelled: the table needs a column of labels; otherwise images without a label have the label "".
        multi_label: a label names any number of classes.

    Raises:
        OptionError: the root is no folder.
    """

    def __init__(
        self,
        path: Path,
        *,
        root: Path | None = None,
        within: Path | None = None,
        labelled: bool = True,
        multi_label: bool = False,
    ) -> None:
        if root is not None and not root.is_dir():
            raise OptionError(f"--root {root} is no folder; expected the one that the paths of {path.name} start at")
        self.path, self._root, self._within = path, root or path.parent, within
        self._base = str(self._root.absolute())
        self._labelled, self._multi_label = labelled, multi_label
        self._reasons: dict[int, str] = {}  # why a row cannot be read
        self.name = path.stem
        self.location = str(path.resolve())

    def listing(self) -> Listing:
        """Return one row a file.

        Raises:
            DataError: a column is missing, a label or split cannot be understood, or none of the files exists.
        """
        rows = ListingBuilder()
        reader = LabelReader(where=self.path, multi_label=self._multi_label, labelled=self._labelled)
        seen: dict[int, int] = {}  # the first row of each file, by its stamp
        places: list[str] = []  # of the rows
        missing: list[str] = []
        self._reasons = {}
        parents = ParentReader()
        for place, name, value, part, parent in self._rows(rows.notes):
            label = reader.read(value, place)
            parents.read(label, parent, place)
            split = split_code(part) if part else 0
            if split is None:
                raise DataError(f"{self.path}, {place}: split is train, val or test, not {one_line(part)!r}")
            path, stamp = find_file(name, self._base)
            first = seen.setdefault(stamp, len(places)) if stamp else len(places)
            if first < len(places):
                if rows.row(first) != (label, split):
                    one, other = (_described(*values) for values in (rows.row(first), (label, split)))
                    self._reasons[first] = f"{places[first]} says {one}, {place} says {other}"
                    rows.set_stamp(first, 0)  # an earlier scan may have read it
                continue
            if not stamp:
                self._reasons[first] = "there is no such file" if name else "the row names no file"
                missing.append(name)
            rows.add(path or place, label, split, stamp)
            places.append(place)
        if missing and len(missing) == len(places):
            raise DataError(
                f"{self.path}: none of the {len(places):,} files that it names exists; the first is "
                f"{one_line(missing[0])!r} in {places[0]}, looked for in {self._root.resolve()}. If the paths start at "
                "another folder, name it by --root"
            )
        if not self._multi_label:
            rows.parents, note = parents.found()
            rows.notes += [Caution(f"{self.path.name}: {note}")] if note else []
        return rows.build()

    def read(self, row: int, path: str) -> bytes:
        """Return the bytes of one file, which may be anywhere; but a link inside the root must stay in `within`."""
        if row in self._reasons:
            raise DecodeError(path, self._reasons[row])
        inside = not Path(path).is_absolute() and ".." not in Path(path).parts
        return read_regular(self._root / path, root=self._within if inside else None)

    def _rows(self, notes: list[str]) -> Iterator[tuple[str, str, Any, str, str]]:
        """Yield the place of each row, its path, its label as it is written, its split, and the label's parent."""
        parquet = self.path.suffix.lower() == ".parquet"
        for place, (path, label, split, parent) in self._parquet_rows() if parquet else self._text_rows(notes):
            if isinstance(path, list | dict):
                kind = "a list" if isinstance(path, list) else "parts with names"
                raise DataError(f"{self.path}, {place}: the image path is {kind}; expected text")
            yield place, _as_text(path), label, _as_text(split).strip(), class_name(_as_text(parent).strip())

    def _parquet_rows(self) -> Iterator[tuple[str, Sequence[Any]]]:
        from hubel.data.sources.parquet import column_names, values_of

        present = column_names(self.path)
        names = [present[place] if place is not None else None for place in self._columns(present)]
        for number, values in enumerate(values_of(self.path, names), start=1):
            yield f"row {number}", values

    def _text_rows(self, notes: list[str]) -> Iterator[tuple[str, Sequence[Any]]]:
        lines = text_rows(self.path, notes)
        _, header = next(lines)
        columns = self._columns(header)
        for place, row in lines:
            yield place, [row[c] if c is not None and c < len(row) else None for c in columns]

    def _columns(self, present: Sequence[str]) -> tuple[int, int | None, int | None, int | None]:
        """Return the positions of path, label, split and parent.

        Raises:
            DataError: there are no paths, or no labels where they are needed.
        """
        path, label = column_place(present, PATH_COLUMNS), column_place(present, LABEL_COLUMNS)
        if path is None or (label is None and self._labelled):
            absent = [
                f"{what} ({', '.join(names[:3])}, ...)"
                for what, names, place in (("image paths", PATH_COLUMNS, path), ("labels", LABEL_COLUMNS, label))
                if place is None and (what != "labels" or self._labelled)
            ]
            shown = [one_line(name) for name in present[:_MOST_NAMES]] + ["..."] * (len(present) > _MOST_NAMES)
            raise DataError(
                f"{self.path} has no column of {' or of '.join(absent)}; its columns are "
                f"{', '.join(shown) or 'nothing'}; name them in the first line, such as image_path,label"
            )
        return path, label, column_place(present, ("split",)), column_place(present, ("parent",))


def text_rows(path: Path, notes: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the header of a table of text, and then its rows that are not empty, each with its place.

    Args:
        path: the table.
        notes: gets a remark on an encoding that had to be guessed.

    Raises:
        DataError: it is no readable table.
    """
    try:
        text, note = _decoded(path.read_bytes())
        notes += [f"{path.name} {note}"] if note else []
        reader, header, first = _reader(text)
        yield f"line {first}", header
        row, begun, line = header, 0, reader.line_num
        for row in reader:
            begun, line = line, reader.line_num
            if row != [_END] and any(field.strip() for field in row):
                yield f"line {first - 1 + line}", row
        if row != [_END]:
            raise csv.Error(f"the quotation mark in line {first + begun} is never closed")
    except (OSError, UnicodeError, csv.Error) as error:
        reason = "its encoding is unknown; save it as UTF-8" if isinstance(error, UnicodeError) else one_line(error)
        raise DataError(f"{path} is no readable table: {reason}") from None


def find_file(path: str, base: str) -> tuple[str, int]:
    """Return the spelling of a path under which there is a file, and its stamp; the path and 0 if there is none."""
    for spelling in _spellings(path):
        with contextlib.suppress(OSError, ValueError):  # ValueError: a name that no file can have
            full = os.path.normpath(os.path.join(base, spelling))  # noqa: PTH118
            return spelling, file_stamp(full, os.stat(full))  # noqa: PTH116
    return path, 0


def _spellings(path: str) -> Iterator[str]:
    """Yield a path as it is written, and as another system would write it: without blanks, with "/", in NFC and NFD."""
    if path:
        yield path
        plain = path.strip()
        yield plain
        forward = plain.replace("\\", "/")
        yield forward
        yield from (unicodedata.normalize(form, forward) for form in ("NFC", "NFD"))


def column_place(present: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Return the position of the column with the first of some names, whatever its capitals and blanks."""
    names = [re.sub(r"[\s-]+", "_", name.strip().lower()) for name in present]
    return next((names.index(name) for name in wanted if name in names), None)


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return os.fsdecode(value)
    return "" if value is None or value != value else str(value)  # NaN is how pandas writes a missing text


def _described(label: str | None, split: int) -> str:
    said = "no label" if label is None else f"the label {one_line(label)!r}"
    return f"{said} in {SPLITS[split]}" if split else said


def _decoded(data: bytes) -> tuple[str, str]:
    """Return the text of a table, and a remark on an encoding that had to be guessed.

    Raises:
        UnicodeError: it is text in none of the encodings.
    """
    encoding = next((encoding for start, encoding in _ENCODINGS.items() if start.match(data)), "utf-8")
    try:
        return data.decode(encoding), ""
    except UnicodeDecodeError:
        text = data.decode("cp949")
    words = re.findall(r"[^\x00-\x7f]+", text)
    letters = "".join(words).encode("cp949")
    # Code pages of other languages become rare syllables, which are not among the 2,350 of KS X 1001, or no syllables.
    usual = sum(0xB0 <= one <= 0xC8 and other >= 0xA1 for one, other in zip(letters[::2], letters[1::2], strict=True))
    if usual < 0.9 * len(letters) / 2:
        raise UnicodeError("neither UTF-8 nor Korean")
    return text, f"is no UTF-8 text; it is read as Korean in the code page cp949: {', '.join(dict.fromkeys(words[:3]))}"


def _reader(text: str) -> tuple[Any, list[str], int]:
    """Return a reader of the rows below the header, the names of the columns, and the number of the header's line.

    The delimiter is the one by which the header has columns of paths and of labels, or the most columns. The last row
    is `[_END]`, unless a quotation mark before it is never closed.
    """
    file = io.StringIO(text, newline="")
    start, skipped = 0, 0
    while (line := file.readline()) and (not line.strip() or line.lower().startswith("sep=")):  # which Excel writes
        start, skipped = file.tell(), skipped + 1
    found = []
    for delimiter in _DELIMITERS:
        file.seek(start)
        header = next(csv.reader(file, delimiter=delimiter), [])
        known = sum(column_place(header, names) is not None for names in (PATH_COLUMNS, LABEL_COLUMNS))
        found.append((known, len(header), delimiter, header))
    _, _, delimiter, header = max(found, key=lambda option: option[:2])
    # A blank after each delimiter is no part of the values, and a quote after it is one.
    blanks = any(name.startswith(" ") for name in header[1:])
    file.seek(start)
    reader = csv.reader(itertools.chain(file, [_END]), delimiter=delimiter, skipinitialspace=blanks)
    return reader, next(reader, []), skipped + 1


KIND = SourceKind(
    name="a table of image paths (CSV, TSV or Parquet with image_path, label)",
    recognises=lambda request: is_path_table(request.path),
    open=lambda request: TableSource(
        request.path,
        root=request.root,
        within=request.within,
        labelled=request.labelled,
        multi_label=request.multi_label,
    ),
    multi_label=True,
    rooted=True,
)
