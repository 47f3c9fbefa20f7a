"""`hubel data`."""

from __future__ import annotations

from hubel.cli.printing import print_line, print_notes
from hubel.core.text import printable

EXAMPLES = (
    "hubel data PHOTOS",
    "hubel data PHOTOS --unreadable > bad-files.txt",
    "hubel data digits",
)


def data(source: str, /, *, unreadable: bool = False) -> int:
    """Describe a dataset: classes, sizes, splits, unreadable files. Nothing is changed.

    Args:
        source: labelled images, as for hubel train.
        unreadable: print only the unreadable files, one per line, with the reason after a tab.
    """
    import numpy as np

    from hubel.cli.tables import print_table
    from hubel.data.dataset import open_dataset
    from hubel.data.sources.listing import SPLITS, natural_key

    index = open_dataset(source).index
    if unreadable:
        for path, reason in index.unreadable():
            print(f"{printable(path)}\t{printable(reason)}")
        return 0
    rows = index.usable()
    present = [code for code in range(len(SPLITS)) if (index.split[rows] == code).any()]
    counts = {
        code: np.bincount(index.label[rows[index.split[rows] == code]], minlength=len(index.labels)) for code in present
    }
    order = sorted(range(len(index.labels)), key=lambda code: natural_key(index.labels[code]))
    body = [(index.labels[i], *(f"{counts[code][i]:,}" for code in present)) for i in order]
    total = ("all", *(f"{counts[code].sum():,}" for code in present))
    print_table(["class", *(SPLITS[code] or "images" for code in present)], [*body, total], title=index.name)
    heights, widths = index.height[rows], index.width[rows]
    grey = int((index.channels[rows] == 1).sum())
    print_line(f"sizes     {widths.min()}x{heights.min()} to {widths.max()}x{heights.max()} pixels (width x height)")
    print_line(f"colours   {grey:,} grey, {len(rows) - grey:,} in colour")
    print_notes(index.notes())
    return 0
