"""Sources of images: one file for each kind, and one table that recognises them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hubel.core.errors import DataError, OptionError, UnknownNameError
from hubel.core.files import names_beside, no_such, user_path
from hubel.data.sources import (
    arrays,
    box_table,
    builtin,
    coco,
    folder,
    hub,
    idx,
    mask_folder,
    npy,
    parquet,
    saved,
    shapes,
    table,
    voc,
    webdataset,
    yolo,
)
from hubel.data.sources.arrays import ArraySource
from hubel.data.sources.builtin import XO
from hubel.data.sources.class_folders import holds_photos
from hubel.data.sources.kind import NESTED, Rooted, SourceKind, SourceRequest
from hubel.data.sources.listing import Listing, Source

__all__ = ["KINDS", "ArraySource", "Listing", "Source", "open_source"]


def _unless_photos(kind: SourceKind) -> SourceKind:
    """Return a kind of data in few files that leaves a folder of photos alone, where such a file lies among them."""

    def recognises(request: SourceRequest) -> bool:
        return kind.recognises(request) and not holds_photos(request.path, labelled=request.labelled)

    return replace(kind, recognises=recognises)


# The first kind that recognises a request opens it, so a kind stands before those that would also accept its files.
KINDS: tuple[SourceKind, ...] = (
    builtin.KIND,
    shapes.KIND,
    arrays.KIND,
    hub.KIND,
    coco.KIND,
    voc.KIND,
    yolo.KIND,
    mask_folder.KIND,
    box_table.KIND,
    table.KIND,
    *map(_unless_photos, (saved.KIND, parquet.KIND, webdataset.KIND, idx.KIND)),
    npy.KIND,
    folder.KIND,
)


def open_source(
    data: Any,
    *,
    multi_label: bool = False,
    labelled: bool = True,
    xo: XO | None = None,
    root: str | Path | None = None,
    void: int | None = None,
    parents: str | Mapping[str, str] | None = None,
) -> Source:
    """Open the source that `data` describes.

    Args:
        data: the path of a folder, table or tar archive, a pattern of tar archives, the address of a dataset on the
            Hugging Face hub (`hf://datasets/OWNER/NAME`), the name of a built-in dataset, a pair of arrays
            `(images, labels)`, or a source, which is returned unchanged.
        multi_label: one label text may name several classes, separated by "|".
        labelled: images without a label are left out; images of a folder need a class folder.
        xo: settings of the built-in dataset "xo".
        root: the folder that the relative paths of a table start at; the table's own if None. `Rooted(table, root)` as
            the data says the same where there is no such argument.
        void: the value of a mask's pixels that belong to no class, beside 255.
        parents: "folders" where class folders lie in folders of their parents; or the parents by the names of classes,
            such as a model's card has them; see `SourceRequest`.

    Raises:
        DataError: nothing is there, or it is none of `KINDS`.
        OptionError: `root` or `parents` do not suit the data.
        UnknownNameError: there is no file, folder or built-in dataset of this name.
    """
    if isinstance(data, Source):
        return data
    if isinstance(data, Rooted):
        data, root = data.data, data.root
    if not isinstance(data, str | os.PathLike | tuple):
        if hasattr(data, "__len__"):
            raise DataError(f"images and their labels are a tuple (images, labels), not {type(data).__name__}")
        raise DataError(f"data is {'; '.join(kind.name for kind in KINDS)}; not {type(data).__name__}")
    folder = None if root is None else user_path(root)
    return _open(
        SourceRequest(
            data=data,
            root=folder,
            multi_label=multi_label,
            labelled=labelled,
            xo=xo,
            void=void,
            parents=parents,
        )
    )


def _open(request: SourceRequest) -> Source:
    kind = next((kind for kind in KINDS if kind.recognises(request)), None)
    if kind is None:
        raise _unrecognised(request)
    if request.multi_label and not kind.multi_label:
        raise DataError(
            f"{request.path}: several labels an image come from a table (CSV, TSV or Parquet with image_path, label), "
            f"from archives or from arrays; this is {kind.name}"
        )
    opened = kind.open(request)
    if isinstance(opened, SourceRequest):
        return _open(opened)
    if request.root is not None and not kind.rooted:
        raise OptionError(f"--root is the folder that the paths of a table start at; this is {kind.name}")
    if request.parents == NESTED and not kind.nested:
        raise OptionError(
            f"--parents {NESTED} is for class folders in the folders of their parents; this is {kind.name}"
        )
    if request.name:
        opened.name = request.name
    return opened


PACKED = (".zip", ".7z", ".rar")


def _unrecognised(request: SourceRequest) -> DataError | UnknownNameError:
    path = request.path
    if path.is_file() and path.suffix.lower() in PACKED:
        return DataError(f"{path}: hubel does not read {path.suffix} files; unpack it, and give the folder")
    if path.exists():
        return DataError(f"{path} is no dataset that hubel reads; expected {'; '.join(kind.name for kind in KINDS)}")
    if path.name == str(request.data) and path.suffix == "":
        return UnknownNameError(
            "folder, file or built-in dataset",
            str(request.data),
            (*builtin.DATA_SETS, shapes.SHAPES),
            names_beside(path),
        )
    return DataError(no_such(request.data))
