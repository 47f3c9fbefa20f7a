"""The image files below a folder. Nothing that is met ends the walk: what cannot be entered is passed over and counted.

Links are followed where the folder is the user's own. A link to a folder that it lies in is a loop; and behind a link
no folder is entered twice, so that folders that link to each other are listed in bounded time.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from hubel.data.containers import EXTENSIONS
from hubel.data.sources.listing import PassedOver, natural_key

__all__ = ["MOST_WRAPPERS", "image_files", "is_folder", "suffix_of", "visible_entries"]

#: Folders in each other, each the only one, that are looked through for a dataset.
MOST_WRAPPERS = 8

_OF_THE_SYSTEM = ("Thumbs.db", "desktop.ini", "__MACOSX")
_FOLDER_ERRORS = {
    errno.EACCES: "folders that may not be opened",
    errno.EPERM: "folders that may not be opened",
    errno.ENAMETOOLONG: "folders with a path that is too long",
}
_ENTRY_ERRORS = {
    errno.ENOENT: "links that lead nowhere",
    errno.ENOTDIR: "links that lead nowhere",
    errno.ELOOP: "links that lead to themselves",
    errno.EACCES: "links to what may not be opened",
    errno.EPERM: "links to what may not be opened",
}


@dataclass(frozen=True)
class _Visit:
    """A folder that is being listed.

    Attributes:
        path: relative to the root.
        real: the real path.
        entries: those that remain.
        entered: real paths of the folders that were entered since the link that this folder is behind; None where it is
            behind none.
    """

    path: str
    real: str
    entries: Iterator[os.DirEntry[str]]
    entered: set[str] | None


def image_files(
    root: Path, skip: PassedOver, *, suffixes: Collection[str] = EXTENSIONS, follow_links: bool = True
) -> Iterator[tuple[str, os.stat_result]]:
    """List the files with the name of an image at any depth, folder by folder in natural order.

    A link with the name of an image that leads nowhere is listed, too: reading it says why it cannot be read.

    Args:
        root: the folder to begin with.
        skip: counts the entries that are passed over.
        suffixes: endings of image files, in lower case.
        follow_links: enter links to folders.

    Yields:
        The path relative to the root, with "/" between, and the status of the file.
    """
    visits = [_Visit("", os.path.realpath(root), iter(_sorted_entries(root, ".", skip)), None)]
    while visits:
        entry = next(visits[-1].entries, None)
        if entry is None:
            visits.pop()
            continue
        path = f"{visits[-1].path}/{entry.name}" if visits[-1].path else entry.name
        try:
            if _is_hidden(entry):
                skip("hidden", entry.name, path=path)
            elif is_folder(entry):
                _enter(path, entry, visits, skip, follow_links=follow_links)
            elif suffix_of(entry) in suffixes:
                yield path, _status(entry)
            else:
                if _is_link(entry):
                    entry.stat()  # raises where it leads nowhere
                skip("not images", suffix_of(entry).removeprefix(".") or entry.name, path=path)
        except OSError as error:
            skip(_ENTRY_ERRORS.get(error.errno or 0, "files that cannot be read"), path)


def visible_entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder that are not hidden; none where it cannot be opened."""
    return (entry for entry in _entries(folder, "", PassedOver()) if not _is_hidden(entry))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder, or a link to one; False where nothing can tell."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or through a folder that may not be opened
        return False


def suffix_of(entry: os.DirEntry[str]) -> str:
    """Return the ending of a name in lower case, with its dot and without blanks after it; "" without one."""
    return Path(entry.name.rstrip()).suffix.lower()


def _entries(folder: str | Path, path: str, skip: PassedOver) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError as error:
        skip(_FOLDER_ERRORS.get(error.errno or 0, "folders that cannot be read"), path)
        return []


def _sorted_entries(folder: str | Path, path: str, skip: PassedOver) -> list[os.DirEntry[str]]:
    return sorted(_entries(folder, path, skip), key=lambda entry: natural_key(entry.name))


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except OSError:  # a link that leads nowhere: reading the file will say so
        return entry.stat(follow_symlinks=False)


def _enter(path: str, entry: os.DirEntry[str], visits: list[_Visit], skip: PassedOver, *, follow_links: bool) -> None:
    """Begin the visit of a folder, or count it."""
    real, entered = f"{visits[-1].real.rstrip(os.sep)}{os.sep}{entry.name}", visits[-1].entered
    if _is_link(entry):
        if not follow_links:
            skip("links to folders", path)
            return
        real = os.path.realpath(entry.path)
        if any(f"{visit.real}{os.sep}".startswith(f"{real.rstrip(os.sep)}{os.sep}") for visit in visits):
            skip("links to a folder that they lie in", path)
            return
        entered = set() if entered is None else entered
    if entered is not None:
        if real in entered:
            skip("folders that another link has led to", path)
            return
        entered.add(real)
    visits.append(_Visit(path, real, iter(_sorted_entries(entry.path, path, skip)), entered))


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".") or entry.name in _OF_THE_SYSTEM


def _is_link(entry: os.DirEntry[str]) -> bool:
    """Return whether this is a symbolic link, or a junction, which Windows has (and Python tells from 3.12 on)."""
    return entry.is_symlink() or (hasattr(entry, "is_junction") and entry.is_junction())
