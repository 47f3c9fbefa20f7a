"""`hubel data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hubel.cli.printing import print_line, print_notes
from hubel.core.text import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXAMPLES = (
    "hubel data PHOTOS",
    "hubel data PHOTOS --unreadable > bad-files.txt",
    "hubel data labels.csv --root PHOTOS",
    "hubel data digits",
)


def data(
    source: str,
    /,
    *,
    task: Literal["classify", "multi_label"] = "classify",
    root: Path | None = None,
    unreadable: bool = False,
) -> int:
    """Describe a dataset: classes, sizes, splits, unreadable files. Nothing is changed.

    Args:
        source: labelled images, as for hubel train.
        task: multi_label for labels that name several classes.
        root: folder that the relative paths of a table start at; the table's own if not given.
        unreadable: print only the unreadable files, one per line, with the reason after a tab.
    """
    import numpy as np

    from hubel.cli.tables import print_table
    from hubel.core.progress import counted
    from hubel.data.index import OK, scan
    from hubel.data.sources import open_source
    from hubel.data.sources.listing import SPLITS, label_parts, natural_key

    multi_label = task == "multi_label"
    index = scan(open_source(source, multi_label=multi_label, root=root))
    if unreadable:
        for path, reason in index.unreadable():
            print(f"{printable(path)}\t{printable(reason)}")
        return 0
    readable, rows = np.flatnonzero(index.status == OK), index.usable()
    if len(rows):
        present = [code for code in range(len(SPLITS)) if (index.split[rows] == code).any()]
        of_label = np.zeros((len(index.labels), len(present)), np.int64)
        np.add.at(of_label, (index.label[rows], np.searchsorted(present, index.split[rows])), 1)
        of_class: dict[str, NDArray[np.int64]] = {}
        for label, counts in zip(index.labels, of_label, strict=True):
            for name in label_parts(label, multi_label=multi_label) or ["(no class)"]:
                of_class[name] = of_class.get(name, 0) + counts
        body = [(name, *map("{:,}".format, of_class[name])) for name in sorted(of_class, key=natural_key)]
        total = ("all", *map("{:,}".format, of_label.sum(0)))
        print_table(["class", *(SPLITS[code] or "images" for code in present)], [*body, total], title=index.name)
    else:
        print_line(f"{index.name}: {counted(len(readable), 'image')}, none with a label")
    heights, widths = index.height[readable], index.width[readable]
    grey = int((index.channels[readable] == 1).sum())
    print_line(f"sizes     {widths.min()}x{heights.min()} to {widths.max()}x{heights.max()} pixels (width x height)")
    print_line(f"colours   {grey:,} grey, {len(readable) - grey:,} in colour")
    print_notes(index.notes())
    return 0
