"""A folder of class folders, with or without splits: `root/<class>/*` or `root/{train,val,test}/<class>/*`.

A folder that wraps another of its kind, as archives unpack, counts as the inner one; see `class_folders`. On demand,
class folders lie in folders of their parents, `root/<parent>/<class>/*`; see `nested_folders`. Without labels, the
images may also be in `root` or the folders of the splits themselves.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.core.progress import counted
from hubel.data.containers import EXTENSIONS
from hubel.data.reading import read_regular
from hubel.data.sources.class_folders import class_parents
from hubel.data.sources.kind import NESTED, SourceKind
from hubel.data.sources.listing import Listing, ListingBuilder, PassedOver, class_name, passed_over
from hubel.data.sources.nested_folders import class_folders, holds_classes, link_parents, nesting_note
from hubel.data.sources.walk import image_files

__all__ = ["KIND", "FolderSource", "file_stamp"]

_LOOSE = "in no class folder"


def file_stamp(path: str, status: os.stat_result) -> int:
    """Return 64 bits that stand for a file's path, size and times; never 0.

    The time of change, which no program can set back, tells of an edit that restores the time of modification.
    """
    facts = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {path}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(facts, digest_size=8).digest()) or 1


class FolderSource:
    """A folder of class folders; without `parents` an image belongs to the class of the topmost folder it is in.

    Args:
        root: the folder.
        labelled: images outside of class folders are passed over; otherwise they have the label "".
        within: the folder that links must not leave, and links to folders are not entered; None for a user's own data,
            where links may lead anywhere.
        parents: see `SourceRequest`.

    Attributes:
        suffixes: endings of the files that are images, in lower case.
        example: a pattern of such files, for messages.
    """

    suffixes: ClassVar[frozenset[str]] = EXTENSIONS
    example: ClassVar[str] = "*.jpg"

    def __init__(
        self,
        root: Path,
        *,
        labelled: bool = True,
        within: Path | None = None,
        parents: str | Mapping[str, str] | None = None,
    ) -> None:
        self.root, self.labelled, self._within, self._parents = root, labelled, within, parents
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
        listed = partial(image_files, self.root, suffixes=self.suffixes, follow_links=self._within is None)
        starts = [start for start, _ in prefixes]
        holds = holds_classes(self._parents, (path for path, _ in listed(PassedOver())), starts)
        classes: dict[str, str] = {}  # of each folder, below the root or that of its split; "" for none
        for path, status in listed(rows.skip):
            prefix, split = next((known for known in prefixes if path.startswith(known[0])), (None, 0))
            if prefix is None:
                rows.skip("outside train, val and test", path)
                continue
            folder = path.removeprefix(prefix).rpartition("/")[0]
            if folder not in classes:
                names = class_folders(folder, holds)
                classes[folder] = class_name(names[-1]) if names else ""
                if self._parents == NESTED:
                    link_parents(rows.parents, names, self.root)
            if not classes[folder] and self.labelled:
                rows.skip(_LOOSE, path)
                loose += 1
            else:
                rows.add(path, classes[folder], split, file_stamp(path, status))
        if self.labelled and self._parents is None and (note := nesting_note([one for one in classes if one])):
            rows.notes.append(note)
        listing = rows.build()
        if not len(listing):
            found = f"{counted(loose, 'image')}, but no class folders" if loose else "no image in this folder"
            expected = f"{self.root.name or 'folder'}/<class>/{self.example}"
            aside = "; hubel predict takes images without labels" if loose else ""
            others = {why: n for why, n in listing.skipped.items() if not why.startswith(_LOOSE)}
            passed = "".join(f"; {note}" for note in passed_over(others))
            raise DataError(f"{self.root}: found {found}; expected {expected}{aside}{passed}")
        return listing

    def read(self, row: int, path: str) -> bytes | NDArray[np.uint8]:
        """Return the bytes of one file."""
        return read_regular(self.root / path, root=self._within)


KIND = SourceKind(
    name="a folder of class folders",
    recognises=lambda request: request.path.is_dir(),
    open=lambda request: FolderSource(
        request.path, labelled=request.labelled, within=request.within, parents=request.parents
    ),
    nested=True,
)
