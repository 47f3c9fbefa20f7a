"""The image files below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from hubel.data.containers import EXTENSIONS
from hubel.data.sources.listing import natural_key

__all__ = ["image_files"]

_OF_THE_SYSTEM = ("Thumbs.db", "desktop.ini", "__MACOSX")


def image_files(
    root: Path, skip: Callable[[str], None], inside: str = "", *, suffixes: Collection[str] = EXTENSIONS
) -> Iterator[tuple[str, os.stat_result]]:
    """List the files with the name of an image at any depth, folder by folder in natural order.

    Links to folders are not followed.

    Args:
        root: the folder to begin with.
        skip: called with the reason for each entry that is passed over.
        inside: the folder to list, relative to the root.
        suffixes: endings of image files, in lower case.

    Yields:
        The path relative to the root, with "/" between, and the status of the file.
    """
    try:
        with os.scandir(root / inside) as found:
            entries = sorted(found, key=lambda entry: natural_key(entry.name))
    except PermissionError:
        skip("folders that may not be opened")
        return
    for entry in entries:
        path = f"{inside}/{entry.name}" if inside else entry.name
        if entry.name.startswith(".") or entry.name in _OF_THE_SYSTEM:
            skip("hidden")
        elif entry.is_dir(follow_symlinks=False):
            yield from image_files(root, skip, path, suffixes=suffixes)
        elif entry.is_symlink() and entry.is_dir():
            skip("links to folders")
        elif Path(entry.name).suffix.lower() not in suffixes:
            skip("not images")
        else:
            yield path, _status(entry)


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except OSError:  # a link that leads nowhere: reading the file will say so
        return entry.stat(follow_symlinks=False)
