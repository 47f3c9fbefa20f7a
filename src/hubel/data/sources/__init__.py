"""Where images come from: one small class for each kind of source, and one function that recognises them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hubel.core.errors import DataError, OptionError, UnknownNameError
from hubel.data.sources import builtin, hub, idx, parquet, saved, table, tarfiles
from hubel.data.sources.arrays import ArraySource
from hubel.data.sources.builtin import XO
from hubel.data.sources.folder import FolderSource
from hubel.data.sources.listing import Listing, Source
from hubel.data.sources.parquet import ParquetSource
from hubel.data.sources.saved import SavedSource
from hubel.data.sources.webdataset import WebDatasetSource

__all__ = ["ArraySource", "Listing", "Source", "open_source"]


def open_source(data: Any, *, multi_label: bool = False, labelled: bool = True, xo: XO | None = None) -> Source:
    """The source that `data` describes.

    Args:
        data: the path of a folder, table or tar archive, a pattern of tar archives, the address of a data set on the
            Hugging Face hub (`hf://datasets/OWNER/NAME`), the name of a built-in data set, or a pair of arrays
            `(images, labels)`.
        multi_label: whether a label of a table may name several classes, separated by "|".
        labelled: whether images of a folder need a class folder, and others a label.
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
    if hub.is_address(data):
        fetched = hub.fetch(str(data))
        source = _open_path(fetched.path, fetched.within, multi_label=multi_label, labelled=labelled)
        source.name = fetched.name
        return source
    path = Path(data).expanduser()
    if not path.exists() and not tarfiles.recognises(path):
        if path.name == str(data) and path.suffix == "":
            if str(data) in builtin.DATA_SETS:
                return builtin.DATA_SETS[str(data)]()
            raise UnknownNameError("folder, file or built-in data set", str(data), builtin.DATA_SETS)
        raise DataError(f"{data}: no such file or folder")
    return _open_path(path, None, multi_label=multi_label, labelled=labelled)


def _open_path(path: Path, within: Path | None, *, multi_label: bool, labelled: bool) -> Source:
    """The source at a path or pattern.

    Args:
        path: where it is.
        within: the folder that links must not leave; the source's own if None.
        multi_label: see `open_source`.
        labelled: see `open_source`.
    """
    if table.recognises(path):
        return table.TableSource(path, within=within)
    if multi_label:
        raise DataError(
            f"{path}: several labels an image come from a table (CSV, TSV or Parquet with image_path, label)"
        )
    for recognises, open_path in _KINDS:
        if recognises(path):
            return open_path(path, within, labelled)
    if path.is_dir():
        return FolderSource(path, labelled=labelled, within=within)
    kinds = "a folder of class folders, CSV, TSV, Parquet, tar archives of a WebDataset, a folder that "
    raise DataError(
        f"{path} is no data set that hubel reads; expected {kinds}datasets.save_to_disk wrote, or one with IDX files"
    )


# Tried in this order; a folder that is none of these is a folder of images.
_KINDS: tuple[tuple[Callable[[Path], bool], Callable[[Path, Path | None, bool], Source]], ...] = (
    (saved.recognises, lambda path, within, labelled: SavedSource(path, within=within, labelled=labelled)),
    (parquet.recognises, lambda path, within, labelled: ParquetSource(path, within=within, labelled=labelled)),
    (tarfiles.recognises, lambda path, within, labelled: WebDatasetSource(path, labelled=labelled)),
    (idx.recognises, lambda path, within, labelled: idx.open_path(path)),
)
