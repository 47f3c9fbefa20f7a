"""Atomic files and folders, and the location of the cache.

The order of operations survives a crash at any instant: write beside the target, fsync the file, rename over the
target, fsync the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = [
    "beside",
    "cache_root",
    "folder_bytes",
    "fsync_folder",
    "is_stream",
    "is_whole",
    "naming_the_file",
    "numbered_folder",
    "publish_folder",
    "remove_leftovers",
    "short_name",
    "write_atomic",
    "write_json",
]

_SUFFIX_BYTES = 8  # random bytes in the name of an unfinished file or folder
_MOST_NAME_BYTES = 200  # of the name that it is made from: systems allow 255 in all
_OPEN_FILES = ("/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")  # names of files that are open already


def cache_root() -> Path:
    """Return the cache folder: `$HUBEL_CACHE`, or one in the system's folder for caches."""
    if folder := os.environ.get("HUBEL_CACHE"):
        return Path(folder)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "hubel"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "hubel"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hubel"


def numbered_folder(parent: Path, name: str) -> Path:
    """Create and return the first of `parent/name-1`, `parent/name-2`, ... that does not exist."""
    parent.mkdir(parents=True, exist_ok=True)
    number, name = 1, short_name(name)
    while True:
        path = parent / f"{name}-{number}"
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1


def fsync_folder(folder: Path) -> None:
    """Make the entries of `folder` durable. Windows cannot open a folder, and needs no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_stream(path: Path) -> bool:
    """Tell whether a path is a device, a pipe or a name of an open file: it is written to as it is, never replaced."""
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)) or path.absolute().as_posix().startswith(_OPEN_FILES)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to `path` atomically: a reader sees the old file or the new one, never a part.

    A device or a pipe gets the content as it is.
    """
    data = content.encode() if isinstance(content, str) else content
    if is_stream(path):
        with naming_the_file(path), path.open("wb") as file:
            file.write(data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(path)
    try:
        with naming_the_file(path), temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


@contextlib.contextmanager
def naming_the_file(path: Path) -> Iterator[None]:
    """Give the name of the file to errors within the block that have none, as those of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN is refused, as it is not JSON."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def publish_folder(target: Path, fill: Callable[[Path], None], *, manifest: str) -> None:
    """Create folder `target` atomically: `fill` writes into a new folder, which is then renamed to `target`.

    The manifest (file sizes and SHA-256) is written last, so that a folder without a matching manifest is known to be
    incomplete. An existing `target` is replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = beside(target)
    try:
        unfinished.mkdir()
        fill(unfinished)
        listed = {}
        for file in sorted(unfinished.iterdir()):
            with file.open("rb+") as opened:
                sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
                listed[file.name] = {"size": opened.tell(), "sha256": sha256}
                os.fsync(opened.fileno())
        write_json(unfinished / manifest, listed)
        if target.exists():
            shutil.rmtree(target)
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    fsync_folder(target.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove unfinished files and folders of killed processes, at any depth."""
    for unfinished in list(folder.rglob(f".*.{'[0-9a-f]' * 2 * _SUFFIX_BYTES}.tmp")):
        if unfinished.is_dir():
            shutil.rmtree(unfinished, ignore_errors=True)
        else:
            unfinished.unlink(missing_ok=True)


def folder_bytes(folder: Path) -> int:
    """Return the total size of all files in a folder, in bytes; 0 if there is no such folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def is_whole(folder: Path, *, manifest: str) -> bool:
    """Check that every file in the folder's manifest exists with its size and SHA-256."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        listed = json.loads((folder / manifest).read_text(encoding="utf-8"))
        return bool(listed) and all(_matches(folder / name, facts) for name, facts in listed.items())
    return False


def _matches(path: Path, facts: dict[str, Any]) -> bool:
    if path.stat().st_size != facts["size"]:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == str(facts["sha256"])


def beside(path: Path) -> Path:
    """Return a temporary path in the same folder; see `remove_leftovers`.

    `tempfile` is not used, because only the owner may read its files and folders.
    """
    return path.with_name(f".{short_name(path.name)}.{secrets.token_hex(_SUFFIX_BYTES)}.tmp")


def short_name(name: str) -> str:
    """Return a file's name cut so that a suffix can be added to it: after at most 200 bytes, at the end of a letter.

    >>> short_name("photo"), len(short_name("ö" * 150).encode())
    ('photo', 200)
    """
    raw = os.fsencode(name)
    if len(raw) <= _MOST_NAME_BYTES:
        return name
    return raw[:_MOST_NAME_BYTES].decode("utf-8", "ignore")
