"""Where images come from: one small class for each kind of source, and one function that recognises them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hubel.core.errors import DataError, OptionError, UnknownNameError
from hubel.data.sources import builtin, idx, parquet, table
from hubel.data.sources.arrays import ArraySource
from hubel.data.sources.builtin import XO
from hubel.data.sources.folder import FolderSource
from hubel.data.sources.listing import Listing, Source

__all__ = ["ArraySource", "Listing", "Source", "open_source"]


def open_source(data: Any, *, multi_label: bool = False, labelled: bool = True, xo: XO | None = None) -> Source:
    """The source that `data` describes.

    Args:
        data: the path of a folder or table, the name of a built-in data set, or a pair of arrays `(images, labels)`.
        multi_label: whether a label of a table may name several classes, separated by "|".
        labelled: whether images of a folder need a class folder.
        xo: the description of the pictures of the built-in data set "xo".

    Raises:
        DataError: nothing is there, or nothing in it looks like labelled images.
    """
    if isinstance(data, Source):
        return data
    if xo is not None:
        if data != "xo":
            raise OptionError(f"the settings of the X and O pictures belong to the data set xo, not to {data}")
        return builtin.xo(xo)
    if isinstance(data, tuple):
        return ArraySource(*data)
    path = Path(data).expanduser()
    if not path.exists():
        if path.name == str(data) and path.suffix == "":
            if str(data) in builtin.DATA_SETS:
                return builtin.DATA_SETS[str(data)]()
            raise UnknownNameError("folder, file or built-in data set", str(data), builtin.DATA_SETS)
        raise DataError(f"{data}: no such file or folder")
    if table.recognises(path):
        return table.TableSource(path)
    if multi_label:
        raise DataError(
            f"{data}: several labels an image come from a table (CSV, TSV or Parquet with image_path, label)"
        )
    for recognises, open_path in _KINDS:
        if recognises(path):
            return open_path(path)
    if path.is_dir():
        return FolderSource(path, labelled=labelled)
    kinds = "a folder of class folders, CSV, TSV, Parquet, or a folder with IDX files"
    raise DataError(f"{data} is no data set that hubel reads; expected {kinds}")


# Tried in this order; a folder that is none of these is a folder of images.
_KINDS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Source]], ...] = (
    (parquet.recognises, parquet.open_path),
    (idx.recognises, idx.open_path),
)
