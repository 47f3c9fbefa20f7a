"""A table of pairs: a column of image paths, and one of captions in place of labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubel.core.errors import DataError, OptionError
from hubel.data.reading import one_line
from hubel.data.sources.labels import LABEL_COLUMNS
from hubel.data.sources.listing import SPLITS, split_code
from hubel.data.sources.table import PATH_COLUMNS, column_place, find_file, is_path_table, text_rows

__all__ = ["CAPTION_COLUMNS", "ImagePair", "PairTable", "is_pair_table", "read_pairs"]

#: Usual names of a column of captions, the first choice first.
CAPTION_COLUMNS = ("caption", "captions", "sentence", "description", "text")


@dataclass(frozen=True)
class ImagePair:
    """An image and a text that describes it.

    Attributes:
        path: of the image file.
        caption: the text.
        split: a code of `hubel.data.sources.listing.SPLITS`; 0 where the table names none.
    """

    path: str
    caption: str
    split: int = 0


@dataclass(frozen=True, kw_only=True)
class PairTable:
    """The pairs of a table.

    Attributes:
        pairs: of images that exist.
        problems: a line for each row that cannot be used.
        notes: remarks on the table.
    """

    pairs: tuple[ImagePair, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def is_pair_table(path: Path) -> bool:
    """Tell whether a file is a table with image paths and captions, but no labels."""
    if not is_path_table(path):
        return False
    try:
        names = _header(path)
    except DataError:
        return False
    path_place, caption, label = (
        column_place(names, wanted) for wanted in (PATH_COLUMNS, CAPTION_COLUMNS, LABEL_COLUMNS)
    )
    return path_place is not None and caption is not None and label is None


def read_pairs(path: Path, root: Path | None = None) -> PairTable:
    """Read a table of pairs; an image may have several rows, one for each of its captions.

    Args:
        path: of the table.
        root: folder that relative paths start at; the table's own if None.

    Raises:
        OptionError: the root is no folder.
        DataError: columns are missing, or there is no pair that can be used.
    """
    if root is not None and not root.is_dir():
        raise OptionError(f"--root {root} is no folder; expected the one that the paths of {path.name} start at")
    base, notes = str((root or path.parent).absolute()), list[str]()
    pairs, problems = [], []
    for place, (name, caption, part) in _rows(path, notes):
        found, stamp = find_file(name, base)
        split = split_code(part) if part else 0
        if split is None:
            raise DataError(f"{path}, {place}: split is {', '.join(filter(None, SPLITS))}, not {one_line(part)!r}")
        if not caption:
            problems.append(f"{place}: the caption is empty")
        elif not stamp:
            problems.append(f"{place}: there is no file {one_line(name)!r}")
        else:
            pairs.append(ImagePair(str(Path(base) / found), caption, split))
    if not pairs:
        first = f"; the first row, {problems[0]}" if problems else ""
        raise DataError(f"{path} has no pair that can be used{first}")
    return PairTable(pairs=tuple(pairs), problems=tuple(problems), notes=tuple(notes))


def _header(path: Path) -> Sequence[str]:
    if path.suffix.lower() == ".parquet":
        from hubel.data.sources.parquet import column_names

        return column_names(path)
    return next(text_rows(path, []))[1]


def _rows(path: Path, notes: list[str]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Yield the place of each row, its path, its caption and its split."""
    names = _header(path)
    places = [column_place(names, wanted) for wanted in (PATH_COLUMNS, CAPTION_COLUMNS, ("split",))]
    if places[0] is None or places[1] is None:
        raise DataError(f"{path} needs the columns image_path and caption; its columns are {', '.join(names)}")
    if path.suffix.lower() == ".parquet":
        from hubel.data.sources.parquet import values_of

        values = values_of(path, [None if place is None else names[place] for place in places])
        rows: Iterator[tuple[str, Sequence[Any]]] = ((f"row {n}", row) for n, row in enumerate(values, start=1))
    else:
        lines = text_rows(path, notes)
        next(lines)
        rows = ((line, [row[p] if p is not None and p < len(row) else None for p in places]) for line, row in lines)
    for place, row in rows:
        name, caption, part = ("" if value is None else str(value).strip() for value in row)
        yield place, (name, " ".join(caption.split()), part)
