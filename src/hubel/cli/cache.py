"""`hubel cache`."""

from __future__ import annotations

EXAMPLES = (
    "hubel cache",
    "hubel cache --clear activations",
)


def cache(*, clear: tuple[str, ...] = ()) -> int:
    """Show or clear the cache on the disk.

    Args:
        clear: kinds to remove, such as activations; or all.
    """
    from hubel.cli.tables import print_table
    from hubel.core.cache import LIMIT_VARIABLE, cache_limit, clear_cache, contents
    from hubel.core.files import cache_root

    if clear:
        print(f"removed {clear_cache(clear) / 2**20:,.1f} MiB")
        return 0
    rows = [(kind, f"{size / 2**20:,.1f}", content) for kind, size, content in contents()]
    print_table(["kind", "MiB", "content"], rows, title=str(cache_root()))
    limits = " and ".join(f"{kind} {cache_limit(kind) / 2**30:.1f} GiB" for kind in ("activations", "decoded"))
    print(f"limits: {limits}; set {LIMIT_VARIABLE} to change them")
    print("to remove them: hubel cache --clear all, or one kind")
    return 0
