"""A table of boxes: CSV or TSV with columns of image paths, of corners and of labels, one row a box.

A row whose corners are empty says that its image has no object.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from hubel.core.errors import DataError, OptionError
from hubel.data.annotation import BOXES
from hubel.data.reading import one_line
from hubel.data.sources.annotated import AnnotatedFiles, one_name
from hubel.data.sources.kind import SourceKind
from hubel.data.sources.labels import LABEL_COLUMNS
from hubel.data.sources.listing import ListingBuilder, natural_key, split_code
from hubel.data.sources.objects import Flaws, MarkedImage, MarkedObject
from hubel.data.sources.table import PATH_COLUMNS, column_place, find_file, text_rows

__all__ = ["KIND", "BoxTable", "is_box_table"]

# Usual names of the corners: left, top, right, bottom.
_CORNERS = (
    ("xmin", "x_min", "left", "x1", "bbox_xmin"),
    ("ymin", "y_min", "top", "y1", "bbox_ymin"),
    ("xmax", "x_max", "right", "x2", "bbox_xmax"),
    ("ymax", "y_max", "bottom", "y2", "bbox_ymax"),
)


def _columns(header: Sequence[str]) -> list[int] | None:
    """Return the positions of path and corners; None where one is missing."""
    found = [column_place(header, names) for names in (PATH_COLUMNS, *_CORNERS)]
    return None if None in found else [place for place in found if place is not None]


def is_box_table(path: Path) -> bool:
    """Return whether this is a table of boxes, by its first line."""
    if path.suffix.lower() not in (".csv", ".tsv") or not path.is_file():
        return False
    with contextlib.suppress(DataError):
        header = next(text_rows(path, []), None)
        return header is not None and _columns(header[1]) is not None
    return False


class BoxTable(AnnotatedFiles):
    """Images with boxes from a table.

    Args:
        path: the table.
        root: the folder that relative paths start at; the table's own if None.
        within: the folder that links must not leave; None for a user's own data.

    Raises:
        OptionError: the root is no folder.
    """

    def __init__(self, path: Path, *, root: Path | None = None, within: Path | None = None) -> None:
        if root is not None and not root.is_dir():
            raise OptionError(f"--root {root} is no folder; expected the one that the paths of {path.name} start at")
        super().__init__(root or path.absolute().parent, location=path, name=path.stem, within=within)
        self._table = path
        self.annotated = (BOXES,)

    def _gather(self, rows: ListingBuilder, flaws: Flaws) -> list[MarkedImage]:
        images: dict[str, MarkedImage] = {}
        found: list[tuple[MarkedImage, list[float], str, str]] = []
        lines = text_rows(self._table, rows.notes)
        _, header = next(lines)
        columns = _columns(header)
        assert columns is not None
        label, split = column_place(header, LABEL_COLUMNS), column_place(header, ("split",))
        for at, row in lines:
            place = f"{self._table.name}, {at}"
            name, *corners = (row[i] if i < len(row) else "" for i in columns)
            image = images.get(name)
            if image is None:
                path, stamp = find_file(name, str(self.root.absolute()))
                image = images[name] = MarkedImage(path=path or place, stamp=stamp)
                image.reason = "" if stamp else "there is no such file" if name else "the row names no file"
            part = row[split].strip() if split is not None and split < len(row) else ""
            code = split_code(part) if part else 0
            if code is None:
                raise DataError(f"{place}: split is train, val or test, not {one_line(part)!r}")
            image.split = image.split or code
            if not any(text.strip() for text in corners):
                continue
            text = row[label].strip() if label is not None and label < len(row) else "object"
            if not text:
                flaws("boxes without a label, which are left out", place)
                continue
            box = []
            for corner in corners:
                with contextlib.suppress(ValueError):
                    box.append(float(corner.strip().replace(",", ".")))
            found.append((image, box, one_name(text), place))
        self.names = tuple(sorted({name for _, _, name, _ in found}, key=natural_key))
        if not self.names:
            raise DataError(f"{self._table} has no row with a box")
        number = {name: i for i, name in enumerate(self.names)}
        for image, box, name, place in found:
            image.objects.append(MarkedObject(number=number[name], box=box, place=place))
        return list(images.values())


KIND = SourceKind(
    name="a table of boxes (CSV or TSV with image_path, xmin, ymin, xmax, ymax, label)",
    recognises=lambda request: is_box_table(request.path),
    open=lambda request: BoxTable(request.path, root=request.root, within=request.within),
    multi_label=True,
    rooted=True,
)
