"""`hubel data`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hubel.cli.data_flags import Root
from hubel.cli.printing import print_line, print_notes
from hubel.core.text import printable

EXAMPLES = (
    "hubel data PHOTOS",
    "hubel data PHOTOS --unreadable > bad-files.txt",
    "hubel data PHOTOS --passed-over",
    "hubel data labels.csv --root PHOTOS",
    "hubel data digits",
    "hubel data shapes:noise=0.2",
)


def data(
    source: str,
    /,
    *,
    task: Literal["classify", "multi_label"] = "classify",
    root: Root = None,
    unreadable: bool = False,
    passed_over: bool = False,
    void: int | None = None,
    out: Path | None = None,
) -> int:
    """Describe a dataset: classes, objects, sizes, splits, unreadable files. Nothing is changed.

    Boxes, masks and key points are counted, and drawn on a sheet of images.

    Args:
        source: labelled images, as for hubel train.
        task: multi_label for labels that name several classes.
        root: folder that the paths of a table start at.
        unreadable: print only the unreadable files, one per line, with the reason after a tab.
        passed_over: print only the files that are passed over, such as those that are no images, and the places of
            flaws in annotations, in the same way.
        void: value of a mask's pixels that belong to no class, beside 255.
        out: PNG file for the sheet of annotated images. runs/data-DATA-1/annotations.png, -2, ... if not given.
    """
    from hubel.cli.annotation_tables import print_counts
    from hubel.cli.tables import print_table
    from hubel.core.errors import OptionError
    from hubel.core.progress import counted
    from hubel.data.annotation import AnnotatedSource
    from hubel.data.annotation_counts import count_annotations
    from hubel.data.annotation_sheet import save_annotation_sheet
    from hubel.data.dataset import open_dataset

    dataset = open_dataset(source, multi_label=task == "multi_label", root=root, needed=False, void=void)
    index = dataset.index
    if out is not None and not isinstance(dataset.source, AnnotatedSource):
        raise OptionError(f"--out is the sheet of boxes, masks and key points, and {dataset.name} has none")
    if unreadable or passed_over:
        for path, reason in [*(index.unreadable() if unreadable else ()), *(index.passed if passed_over else ())]:
            print(f"{printable(path)}\t{printable(reason)}")
        return 0
    readable, counts = index.readable(), dataset.class_counts()
    if isinstance(dataset.source, AnnotatedSource):
        sheet = save_annotation_sheet(dataset, source, out)  # before anything is printed: the path may be refused
        print_counts(count_annotations(dataset), dataset.name)
    elif counts.splits:
        body = [(name or "(no class)", *map("{:,}".format, of)) for name, of in counts.of_class.items()]
        total = ("all", *map("{:,}".format, counts.images))
        print_table(["class", *(split or "images" for split in counts.splits)], [*body, total], title=dataset.name)
    else:
        print_line(f"{dataset.name}: {counted(len(readable), 'image')}, none with a label")
    heights, widths = index.height[readable], index.width[readable]
    grey = int((index.channels[readable] == 1).sum())
    print_line(f"sizes     {widths.min()}x{heights.min()} to {widths.max()}x{heights.max()} pixels (width x height)")
    print_line(f"colours   {grey:,} grey, {len(readable) - grey:,} in colour")
    if isinstance(dataset.source, AnnotatedSource):
        print_line(f"sheet     {sheet}")
    print_notes(index.notes())
    return 0
