"""What hubel keeps because making it again takes time: each kind is one folder, which may be removed at any time."""

from __future__ import annotations

import shutil
from collections.abc import Iterable

from hubel.core.errors import UnknownNameError
from hubel.core.files import cache_root, folder_bytes

__all__ = ["KINDS", "clear_cache", "contents"]

# The folders within `cache_root()`, and what they hold. Nothing else there is ever removed.
KINDS = {
    "weights": "pretrained weights that were downloaded",
    "index": "what is known of the images of a data set: sizes, hashes, unreadable files",
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
