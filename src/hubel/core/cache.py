"""The cache on disk: a folder for each kind of content, which may be removed at any time."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.files import cache_root, folder_bytes, glob_existing, remove_leftovers
from hubel.core.progress import say

__all__ = ["KINDS", "LIMIT_VARIABLE", "cache_folder", "cache_limit", "clear_cache", "contents", "make_room"]

LIMIT_VARIABLE = "HUBEL_CACHE_GIB"
_LIMIT_BYTES = 10 * 2**30  # per kind with a limit

# The folders in `cache_root()` and their content. Nothing else there is ever removed.
KINDS = {
    "weights": "downloaded pretrained weights",
    "index": "indexes of data sets: sizes, hashes, unreadable files",
    "decoded": "decoded images",
    "activations": "features of images from the frozen part of a network",
    "teachers": "answers of teachers for the images that their students learn from",
    "engines": "fastest engine of each exported file on this machine",
    "similar": "feature vectors of images that hubel similar and hubel search look through",
    "text": "weights of the text encoder, unpacked",
}
_FORMER_NAMES = {"decoded": "pictures"}  # folders of 0.1.0, which nobody reads any more


def cache_folder(kind: str) -> Path:
    """Return the folder of a kind, which can be written to.

    Where the cache cannot be written it is a temporary folder of this process, which is said once. What killed
    processes left in the folder is removed, once in a process.
    """
    return _prepared(cache_root() / kind)


@functools.cache
def _prepared(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return _temporary(folder.parent, error.strerror or str(error)) / folder.name
    remove_leftovers(folder)
    return folder


@functools.cache
def _temporary(root: Path, reason: str) -> Path:
    say(f"note: the cache {root} cannot be written ({reason}): nothing is kept for the next run; set HUBEL_CACHE")
    folder = Path(tempfile.mkdtemp(prefix="hubel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def contents() -> list[tuple[str, int, str]]:
    """Return each kind with its size in bytes and a description."""
    return [(kind, sum(map(folder_bytes, _folders(kind))), description) for kind, description in KINDS.items()]


def clear_cache(kinds: Iterable[str]) -> int:
    """Remove kinds, or "all", and return the number of freed bytes.

    Raises:
        UnknownNameError: there is no such kind.
    """
    current = {former: kind for kind, former in _FORMER_NAMES.items()}
    wanted = [current.get(kind, kind) for kind in kinds]
    for kind in wanted:
        if kind not in ("all", *KINDS):
            raise UnknownNameError("kind of cache", kind, ["all", *KINDS])
    freed = 0
    for kind in KINDS if "all" in wanted else dict.fromkeys(wanted):
        for folder in _folders(kind):
            freed += folder_bytes(folder)
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def _folders(kind: str) -> list[Path]:
    names = [kind, _FORMER_NAMES.get(kind, kind)]
    return [cache_root() / name for name in dict.fromkeys(names)]


def cache_limit(kind: str) -> int:
    """Return the most bytes of a kind: $HUBEL_CACHE_GIB, or 10 GiB and at most half of the free disk space."""
    if chosen := os.environ.get(LIMIT_VARIABLE):
        try:
            return int(float(chosen) * 2**30)
        except (ValueError, OverflowError):
            raise OptionError(f"{LIMIT_VARIABLE} is a number of GiB such as 10, not {chosen!r}") from None
    folder = cache_folder(kind)
    folder.mkdir(parents=True, exist_ok=True)  # it may have been cleared since
    return min(_LIMIT_BYTES, folder_bytes(folder) + shutil.disk_usage(folder).free // 2)


def make_room(kind: str, pattern: str, wanted: int, needed: Collection[Path] = ()) -> bool:
    """Remove the least recently used entries of a kind until `wanted` more bytes are within its limit.

    Args:
        kind: a kind with a limit.
        pattern: glob pattern, in its folder, of the files or folders that can be removed.
        wanted: bytes to be added.
        needed: entries that must not be removed.

    Returns:
        True if there is room; False, with nothing removed, if there cannot be.
    """
    limit = cache_limit(kind)
    entries = [(_age(path), path, _bytes(path)) for path in glob_existing(cache_folder(kind), pattern)]
    if wanted + sum(size for _, path, size in entries if path in needed) > limit:
        return False
    held = sum(size for *_, size in entries)
    for _, path, size in sorted(entry for entry in entries if entry[1] not in needed):
        if held + wanted <= limit:
            break
        _remove(path)
        held -= size
    return True


def _age(path: Path) -> float:
    with contextlib.suppress(OSError):  # another process may remove it at any time
        return path.stat().st_mtime
    return 0.0


def _bytes(path: Path) -> int:
    with contextlib.suppress(OSError):
        return folder_bytes(path) if path.is_dir() else path.stat().st_size
    return 0


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # Windows removes no memory-mapped file
            path.unlink()
