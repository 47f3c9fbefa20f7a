"""The image files below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from hubel.data.containers import EXTENSIONS
from hubel.data.sources.listing import natural_key

__all__ = ["image_files"]

_OF_THE_SYSTEM = ("Thumbs.db", "desktop.ini", "__MACOSX")


def image_files(root: Path, skip: Callable[[str], None], inside: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Files with the name of an image at any depth, folder by folder in natural order; links to folders are left.

    Args:
        root: where to begin.
        skip: is told why an entry is passed over.
        inside: the folder to look at, relative to the root.

    Yields:
        The path relative to the root, with "/" between, and what the system says of the file.
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
            yield from image_files(root, skip, path)
        elif entry.is_symlink() and entry.is_dir():
            skip("links to folders")
        elif Path(entry.name).suffix.lower() not in EXTENSIONS:
            skip("not images")
        else:
            yield path, _status(entry)


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except OSError:  # a link that leads nowhere: reading the file will say so
        return entry.stat(follow_symlinks=False)
