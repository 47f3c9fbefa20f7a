"""Print counts of boxes, masks and key points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.cli.printing import print_line
from hubel.cli.tables import print_table
from hubel.core.progress import counted

if TYPE_CHECKING:
    from hubel.data.annotation_counts import AnnotationCounts

__all__ = ["print_counts"]


def print_counts(counts: AnnotationCounts, title: str) -> None:
    """Print the objects and pixels of each class, and the key points, a table each."""
    heading = f"{title}: {', '.join(counts.kinds)}"
    if counts.names:
        columns = ["class", *(split or "objects" for split in counts.splits), "images", "small", "medium", "large"]
        numbers = [[*row, n, *sizes] for row, n, sizes in zip(counts.objects, counts.images, counts.sizes, strict=True)]
        body = [[name, *map("{:,}".format, row)] for name, row in zip(counts.names, numbers, strict=True)]
        images = len(counts.on_image)
        sums = [*counts.objects.sum(0), images, *counts.sizes.sum(0)]
        print_table(columns, [*body, ["all", *map("{:,}".format, sums)]], title=heading)
        low, middle, high = counts.on_image[[0, images // 2, -1]].tolist()
        empty = int((counts.on_image == 0).sum())
        number = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        print_line(f"objects   {number} an image, {middle:,} in the middle; {counted(empty, 'image')} without any")
        if counts.crowds:
            print_line(
                f"groups    {counted(counts.crowds, 'object')} marked as a group whose members are not told apart"
            )
        print_line("small     less than 32x32 pixels; large from 96x96 on")
        heading = ""
    if counts.mask_names:
        rows = zip(counts.mask_names, counts.mask_images, counts.pixels, strict=True)
        body = [[name, f"{n:,}", f"{100 * share:.1f}%"] for name, n, share in rows]
        print_table(["class of pixels", "images", "pixels"], body, title=heading)
        of = f" of {counts.masks:,} masks" if counts.masks < len(counts.on_image) else ""
        print_line(f"ignored   {counts.ignored:.1%} of all pixels{of} belong to no class")
    if counts.point_names:
        points = zip(counts.point_names, counts.points.tolist(), strict=True)
        body = [[name, f"{visible:,}", f"{hidden:,}", f"{absent:,}"] for name, (absent, hidden, visible) in points]
        print_table(["key point", "visible", "hidden", "not given"], body)
