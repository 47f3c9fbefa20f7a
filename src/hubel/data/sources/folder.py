"""A folder of class folders, with or without splits: `root/<class>/*` or `root/{train,val,test}/<class>/*`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from hubel.core.errors import DataError
from hubel.core.random import bits
from hubel.data.decode import EXTENSIONS, read_regular
from hubel.data.sources.listing import Listing, ListingBuilder, natural_key, split_code

__all__ = ["FolderSource", "open_path", "recognises", "stamp"]


def recognises(path: Path) -> bool:
    """Whether there is a folder that can hold class folders."""
    return path.is_dir()


def stamp(path: str, status: os.stat_result) -> int:
    """64 bits that stand for a file's path, size and modification time; never 0."""
    name = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int(bits(int.from_bytes(name, "little", signed=True), status.st_size, status.st_mtime_ns)) or 1


class FolderSource:
    """Class folders; an image belongs to the class of the topmost folder it is in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = root.resolve().name or "data"
        self.location = str(root.resolve())

    def listing(self) -> Listing:
        """Every file with the name of an image, in the natural order of its path.

        Raises:
            DataError: there is no class folder with an image.
        """
        rows = ListingBuilder()
        tops = _folders(self.root)
        splits = {top: code for top in tops if (code := split_code(top)) and _folders(self.root / top)}
        if 1 not in splits.values():
            splits = {}
        loose = 0
        for path, status in _walk(self.root, "", rows):
            split, _, rest = path.partition("/") if splits else ("", "", path)
            label, _, inside = rest.partition("/")
            if splits and split not in splits:
                rows.skip("outside train, val and test")
            elif not inside:
                loose += 1
            else:
                rows.add(path, label, splits.get(split, 0), stamp(path, status))
        if loose:
            rows.skip("in no class folder", loose)
        listing = rows.build()
        if not len(listing):
            found = f"{loose} images, but no class folders" if loose else "no image"
            raise DataError(
                f"{self.root}: found {found} in this folder; expected {self.root.name or 'folder'}/<class>/*.jpg"
            )
        return listing

    def read(self, row: int, path: str) -> bytes:
        """The bytes of one file."""
        return read_regular(self.root / path, root=self.root)


def open_path(path: Path) -> FolderSource:
    """The source at a path that `recognises` accepts."""
    return FolderSource(path)


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
        )


def _walk(root: Path, inside: str, rows: ListingBuilder) -> Iterator[tuple[str, os.stat_result]]:
    """Image files below `root/inside`, as paths relative to root with "/" between."""
    with os.scandir(root / inside) as found:
        entries = sorted(found, key=lambda entry: natural_key(entry.name))
    for entry in entries:
        path = f"{inside}/{entry.name}" if inside else entry.name
        if entry.name.startswith(".") or entry.name in ("Thumbs.db", "desktop.ini", "__MACOSX"):
            rows.skip("hidden")
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(root, path, rows)
        elif entry.is_symlink() and entry.is_dir():
            rows.skip("links to folders")
        elif Path(entry.name).suffix.lower() not in EXTENSIONS:
            rows.skip("not images")
        else:
            yield path, entry.stat(follow_symlinks=False)
