"""A folder of class folders, with or without splits: `root/<class>/*` or `root/{train,val,test}/<class>/*`.

A folder that wraps another of its kind, as archives unpack, counts as the inner one; see `class_folders`.
Without labels, the images may also be in `root` or the folders of the splits themselves.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.data.containers import EXTENSIONS
from hubel.data.reading import read_regular
from hubel.data.sources.class_folders import class_parents
from hubel.data.sources.kind import SourceKind
from hubel.data.sources.listing import Listing, ListingBuilder, class_name, passed_over
from hubel.data.sources.walk import image_files

__all__ = ["KIND", "FolderSource", "file_stamp"]


def file_stamp(path: str, status: os.stat_result) -> int:
    """Return 64 bits that stand for a file's path, size and times; never 0.

    The time of change, which no program can set back, tells of an edit that restores the time of modification.
    """
    facts = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {path}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(facts, digest_size=8).digest()) or 1


class FolderSource:
    """A folder of class folders; an image belongs to the class of the topmost folder it is in.

    Args:
        root: the folder.
        labelled: images outside of class folders are passed over; otherwise they have the label "".
        within: the folder that links must not leave, and links to folders are not entered; None for a user's own data,
            where links may lead anywhere.

    Attributes:
        suffixes: endings of the files that are images, in lower case.
        example: a pattern of such files, for messages.
    """

    suffixes: ClassVar[frozenset[str]] = EXTENSIONS
    example: ClassVar[str] = "*.jpg"

    def __init__(self, root: Path, *, labelled: bool = True, within: Path | None = None) -> None:
        self.root, self.labelled, self._within = root, labelled, within
        self.name = root.resolve().name or "data"
        self.location = str(root.resolve())

    def listing(self) -> Listing:
        """Return a row for every file with the name of an image, in the natural order of its path.

        Raises:
            DataError: there is no class folder with an image.
        """
        rows, loose = ListingBuilder(), 0
        parents = class_parents(self.root, labelled=self.labelled, suffixes=self.suffixes)
        prefixes = [(f"{parent}/" if parent else "", code) for parent, code in parents.items()]
        files = image_files(self.root, rows.skip, suffixes=self.suffixes, follow_links=self._within is None)
        for path, status in files:
            prefix, split = next((known for known in prefixes if path.startswith(known[0])), (None, 0))
            if prefix is None:
                rows.skip("outside train, val and test", path)
                continue
            label, inside, _ = path.removeprefix(prefix).partition("/")
            if not inside and self.labelled:
                rows.skip("in no class folder", path)
                loose += 1
            else:
                rows.add(path, class_name(label) if inside else "", split, file_stamp(path, status))
        listing = rows.build()
        if not len(listing):
            found = f"{loose} images, but no class folders" if loose else "no image"
            expected = f"{self.root.name or 'folder'}/<class>/{self.example}"
            passed = "".join(f"; {note}" for note in passed_over(listing.skipped))
            raise DataError(f"{self.root}: found {found} in this folder; expected {expected}{passed}")
        return listing

    def read(self, row: int, path: str) -> bytes | NDArray[np.uint8]:
        """Return the bytes of one file."""
        return read_regular(self.root / path, root=self._within)


KIND = SourceKind(
    name="a folder of class folders",
    recognises=lambda request: request.path.is_dir(),
    open=lambda request: FolderSource(request.path, labelled=request.labelled, within=request.within),
)
