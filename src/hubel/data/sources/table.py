"""A table of image paths: CSV, TSV or Parquet with `image_path`, `label` and, if there are splits, `split`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from hubel.core.errors import DataError
from hubel.data.reading import read_regular
from hubel.data.sources.folder import file_stamp
from hubel.data.sources.kind import SourceKind
from hubel.data.sources.listing import Listing, ListingBuilder, split_code

__all__ = ["KIND", "TableSource", "is_path_table"]

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_REQUIRED = ("image_path", "label")


def is_path_table(path: Path) -> bool:
    """Return whether this is a table of image paths."""
    if path.suffix.lower() == ".parquet" and path.is_file():
        from hubel.data.sources.parquet import column_names

        return "image_path" in column_names(path)
    return path.suffix.lower() in _DELIMITERS and path.is_file()


class TableSource:
    """Image files named by the rows of a table; relative paths start at the table's own folder.

    Args:
        path: the table.
        within: the folder that links among relative paths must not leave; None for a user's own data.
    """

    def __init__(self, path: Path, *, within: Path | None = None) -> None:
        self.path, self._within = path, within
        self.name = path.stem
        self.location = str(path.resolve())

    def listing(self) -> Listing:
        """Return one row a line.

        Raises:
            DataError: a column is missing, a split is unknown, or a named file does not exist.
        """
        rows, missing = ListingBuilder(), []
        for line, path, label, split in self._lines():
            code = split_code(split) if split else 0
            if code is None:
                raise DataError(f"{self.path}, line {line}: split is train, val or test, not {split!r}")
            try:
                status = (self.path.parent / path).stat() if path else None
            except (OSError, ValueError):  # ValueError: a name that no file can have
                status = None
            if status is None:
                missing.append((line, path))
            else:
                rows.add(path, label or None, code, file_stamp(path, status))
        if missing:
            line, path = missing[0]
            files = "a file" if len(missing) == 1 else f"{len(missing)} files"
            raise DataError(f"{self.path} names {files} that cannot be found; the first is {path!r} in line {line}")
        return rows.build()

    def read(self, row: int, path: str) -> bytes:
        """Return the bytes of one file, which may be anywhere; but a link beside the table must stay in `within`."""
        inside = not Path(path).is_absolute() and ".." not in Path(path).parts
        return read_regular(self.path.parent / path, root=self._within if inside else None)

    def _lines(self) -> Iterator[tuple[int, str, str, str]]:
        """Yield the number of each line (of a Parquet file: of each row), its path, label and split."""
        if self.path.suffix.lower() == ".parquet":
            from hubel.data.sources.parquet import column_names, text_rows

            self._check(column_names(self.path))
            for number, (path, label, split) in enumerate(text_rows(self.path, (*_REQUIRED, "split")), start=1):
                yield number, path, label, split
            return
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file, delimiter=_DELIMITERS[self.path.suffix.lower()])
                self._check(reader.fieldnames or ())
                for row in reader:
                    yield reader.line_num, row["image_path"] or "", row["label"] or "", row.get("split") or ""
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{self.path} is no readable table: {error}") from None

    def _check(self, present: Sequence[str]) -> None:
        if absent := [name for name in _REQUIRED if name not in present]:
            has = ", ".join(present) or "nothing"
            raise DataError(f"{self.path} has no column {' or '.join(absent)}; its columns are {has}")


KIND = SourceKind(
    name="a table of image paths (CSV, TSV or Parquet with image_path, label)",
    recognises=lambda request: is_path_table(request.path),
    open=lambda request: TableSource(request.path, within=request.within),
    multi_label=True,
)
