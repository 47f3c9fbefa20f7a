"""What hubel keeps because making it again takes time: each kind is one folder, which may be removed at any time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.files import cache_root, folder_bytes

__all__ = ["KINDS", "LIMIT_VARIABLE", "cache_limit", "clear_cache", "contents"]

LIMIT_VARIABLE = "HUBEL_CACHE_GIB"
_LIMIT_BYTES = 10 * 2**30  # of the disk, for each large kind

# The folders within `cache_root()`, and what they hold. Nothing else there is ever removed.
KINDS = {
    "weights": "pretrained weights that were downloaded",
    "index": "what is known of the images of a data set: sizes, hashes, unreadable files",
    "pictures": "decoded images",
    "activations": "what the frozen part of a network makes of images",
    "engines": "which engine runs an exported file fastest here",
    "similar": "vectors of images that hubel similar searches",
}


def contents() -> list[tuple[str, int, str]]:
    """Each kind with its bytes and what it holds."""
    return [(kind, folder_bytes(cache_root() / kind), what) for kind, what in KINDS.items()]


def clear_cache(kinds: Iterable[str]) -> int:
    """Remove some kinds, or "all"; the bytes that are free again.

    Raises:
        UnknownNameError: there is no such kind.
    """
    wanted = list(kinds)
    for kind in wanted:
        if kind not in ("all", *KINDS):
            raise UnknownNameError("kind of cache", kind, ["all", *KINDS])
    freed = 0
    for kind in KINDS if "all" in wanted else dict.fromkeys(wanted):
        freed += folder_bytes(cache_root() / kind)
        shutil.rmtree(cache_root() / kind, ignore_errors=True)
    return freed


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
