"""What hubel keeps because making it again takes time: each kind is one folder, which may be removed at any time."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.files import cache_root, folder_bytes

__all__ = ["KINDS", "LIMIT_VARIABLE", "cache_limit", "clear_cache", "contents", "make_room"]

LIMIT_VARIABLE = "HUBEL_CACHE_GIB"
_LIMIT_BYTES = 10 * 2**30  # of the disk, for each large kind

# The folders within `cache_root()`, and what they hold. Nothing else there is ever removed.
KINDS = {
    "weights": "pretrained weights that were downloaded",
    "index": "what is known of the images of a data set: sizes, hashes, unreadable files",
    "decoded": "decoded images",
    "activations": "what the frozen part of a network makes of images",
    "engines": "which engine runs an exported file fastest here",
    "similar": "vectors of images that hubel similar searches",
}
_FORMER_NAMES = {"decoded": "pictures"}  # folders of 0.1.0, which nobody reads any more


def contents() -> list[tuple[str, int, str]]:
    """Each kind with its bytes and what it holds."""
    return [(kind, sum(map(folder_bytes, _folders(kind))), what) for kind, what in KINDS.items()]


def clear_cache(kinds: Iterable[str]) -> int:
    """Remove some kinds, or "all"; the bytes that are free again.

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
    """The bytes that a kind may take on the disk: $HUBEL_CACHE_GIB, or 10 GiB and at most half of what is free."""
    if chosen := os.environ.get(LIMIT_VARIABLE):
        try:
            return int(float(chosen) * 2**30)
        except (ValueError, OverflowError):
            raise OptionError(f"{LIMIT_VARIABLE} is a number of GiB such as 10, not {chosen!r}") from None
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    held = folder_bytes(root / kind)
    return min(_LIMIT_BYTES, held + shutil.disk_usage(root).free // 2)


def make_room(kind: str, pattern: str, wanted: int, needed: Collection[Path] = ()) -> bool:
    """Remove what was not used for longest until `wanted` bytes more stay within the limit of a kind.

    Args:
        kind: one of those with a limit.
        pattern: which files or folders within its folder can each be removed by itself.
        wanted: bytes to come.
        needed: entries that stay.

    Returns:
        whether they do; nothing is removed where they cannot.
    """
    limit = cache_limit(kind)
    entries = [(_age(path), path, _bytes(path)) for path in (cache_root() / kind).glob(pattern)]
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
    with contextlib.suppress(OSError):  # another run may remove it at any time
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
        with contextlib.suppress(OSError):  # Windows removes no file that is mapped
            path.unlink()
