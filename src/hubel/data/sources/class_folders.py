"""The folders that hold the class folders of a dataset: the root, the folders of its splits, or what wraps these.

Archives often unpack to a folder that holds nothing but one of its own name (`training_set/training_set/cats`), or
that wraps the whole dataset (`archive/PetImages/cat`).
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from pathlib import Path

from hubel.data.containers import EXTENSIONS
from hubel.data.sources.listing import SPLITS, PassedOver, class_name, is_generic, split_code
from hubel.data.sources.walk import MOST_WRAPPERS, image_files, is_folder, suffix_of, visible_entries

__all__ = ["class_parents", "holds_photos"]

_PIXEL_FILES = EXTENSIONS | {".npy"}


def class_parents(root: Path, *, labelled: bool = True, suffixes: Collection[str] = EXTENSIONS) -> dict[str, int]:
    """Return the folders that hold class folders, relative to the root ("" for itself), each with its split's code.

    Args:
        root: the dataset.
        labelled: a folder named like a split is one only if there are class folders in it, or nothing else in the root.
        suffixes: endings of image files, in lower case.
    """
    path = ""
    for _ in range(MOST_WRAPPERS):
        tops, _ = _content(root / path, suffixes)
        splits = {top: code for top in tops if (code := split_code(top))}
        if labelled and len(splits) < len(tops):
            splits = {top: code for top, code in splits.items() if _content(root / path / top, suffixes)[0]}
        if SPLITS.index("train") in splits.values() or (splits and len(splits) == len(tops)):
            return {_unwrapped(root, _joined(path, top), suffixes): code for top, code in splits.items()}
        if not _wraps_a_dataset(root / path, suffixes):
            return {path: 0}
        path = _joined(path, tops[0])
    return {"": 0}


def holds_photos(root: Path, *, labelled: bool = True) -> bool:
    """Return whether this is a folder of photos, whatever other files lie in it.

    It is one if two class folders hold images; or, where labels are not needed, if two images are in the folder itself.
    """
    if not root.is_dir():
        return False
    if not labelled and _content(root, _PIXEL_FILES)[1] > 1:
        return True
    parents = class_parents(root, labelled=labelled, suffixes=_PIXEL_FILES)
    classes = (root / parent / name for parent in parents for name in _content(root / parent, _PIXEL_FILES)[0])
    with_images = (path for path in classes if next(image_files(path, PassedOver(), suffixes=_PIXEL_FILES), None))
    return len(list(itertools.islice(with_images, 2))) > 1


def _content(folder: Path, suffixes: Collection[str]) -> tuple[list[str], int]:
    """Return the names of the folders in a folder, and the number of its images."""
    folders, images = [], 0
    for entry in visible_entries(folder):
        if is_folder(entry):
            folders.append(entry.name)
        else:
            images += suffix_of(entry) in suffixes
    return sorted(folders), images


def _wraps_a_dataset(folder: Path, suffixes: Collection[str]) -> bool:
    """Return whether a folder holds nothing but one folder, in which the dataset is, or a few folders in each other.

    A folder of a single class looks the same if its images are in one more folder; but then they are all in one.
    """
    for _ in range(MOST_WRAPPERS):
        tops, images = _content(folder, suffixes)
        if len(tops) != 1 or images:
            return False
        inner, images = _content(folder / tops[0], suffixes)
        if not inner or images:
            return False
        if _is_alike(tops[0], folder.resolve().name) or len(inner) > 1 or any(map(split_code, inner)):
            return True
        folder /= tops[0]
    return False


def _unwrapped(root: Path, path: str, suffixes: Collection[str]) -> str:
    """Return the folder in the folder of a split that holds its class folders: mostly this folder itself."""
    while True:
        tops, images = _content(root / path, suffixes)
        if len(tops) != 1 or images or not _is_alike(tops[0], path.rpartition("/")[2]):
            return path
        path = _joined(path, tops[0])


def _is_alike(name: str, outer: str) -> bool:
    """Return whether a folder has the name of the one that it is in, of the same split, or one that says nothing."""
    same = class_name(name).casefold() == class_name(outer).casefold()
    return same or is_generic(name) or (split_code(name) is not None and split_code(name) == split_code(outer))


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
