"""A folder of class folders, with or without splits: `root/<class>/*` or `root/{train,val,test}/<class>/*`.

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
from hubel.data.sources.kind import SourceKind
from hubel.data.sources.listing import SPLITS, Listing, ListingBuilder, split_code
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
        within: the folder that links must not leave; the root if None.

    Attributes:
        suffixes: endings of the files that are images, in lower case.
        example: a pattern of such files, for messages.
    """

    suffixes: ClassVar[frozenset[str]] = EXTENSIONS
    example: ClassVar[str] = "*.jpg"

    def __init__(self, root: Path, *, labelled: bool = True, within: Path | None = None) -> None:
        self.root, self.labelled, self._within = root, labelled, within or root
        self.name = root.resolve().name or "data"
        self.location = str(root.resolve())

    def listing(self) -> Listing:
        """Return a row for every file with the name of an image, in the natural order of its path.

        Raises:
            DataError: there is no class folder with an image.
        """
        rows = ListingBuilder()
        tops = _folders(self.root)
        splits = {
            top: code for top in tops if (code := split_code(top)) and (not self.labelled or _folders(self.root / top))
        }
        if SPLITS.index("train") not in splits.values() and len(splits) < len(tops):
            splits = {}  # classes that happen to be called so
        loose = 0
        for path, status in image_files(self.root, rows.skip, suffixes=self.suffixes):
            split, _, rest = path.partition("/") if splits else ("", "", path)
            label, _, inside = rest.partition("/")
            if splits and split not in splits:
                rows.skip("outside train, val and test")
            elif not inside and self.labelled:
                loose += 1
            else:
                rows.add(path, label if inside else "", splits.get(split, 0), file_stamp(path, status))
        if loose:
            rows.skip("in no class folder", loose)
        listing = rows.build()
        if not len(listing):
            found = f"{loose} images, but no class folders" if loose else "no image"
            expected = f"{self.root.name or 'folder'}/<class>/{self.example}"
            raise DataError(f"{self.root}: found {found} in this folder; expected {expected}")
        return listing

    def read(self, row: int, path: str) -> bytes | NDArray[np.uint8]:
        """Return the bytes of one file."""
        return read_regular(self.root / path, root=self._within)


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
        )


KIND = SourceKind(
    name="a folder of class folders",
    recognises=lambda request: request.path.is_dir(),
    open=lambda request: FolderSource(request.path, labelled=request.labelled, within=request.within),
)
