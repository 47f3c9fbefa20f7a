"""`hubel similar`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.data_flags import Root, rooted
from hubel.cli.printing import csv_output, print_json, print_line

EXAMPLES = (
    "hubel similar efficientnet_lite0 holiday/ photo.jpg",
    "hubel similar runs/PHOTOS-efficientnet_lite0-1 holiday/ photo.jpg --top 20 --sheet found.png",
)


def similar(
    model: str,
    folder: str,
    query: Path,
    /,
    *,
    top: int = 10,
    json: bool = False,
    csv: bool = False,
    sheet: Path | None = None,
    root: Root = None,
    device: str = "auto",
) -> int:
    """Find the images of a folder or table that are most similar to a query image, by a network's features.

    The first search embeds every image; later searches embed only new and changed images.

    Exit codes: 0 success, 2 wrong usage, 3 some files unreadable.

    Args:
        model: a model file, the folder of a run, or a pretrained network by its name, as for hubel predict.
        folder: folder with images at any depth, or a table (CSV, TSV or Parquet) of paths; labels are not needed.
        query: image file. If it lies in the folder, it is the first result.
        top: number of images to print.
        json: print one JSON list.
        csv: print a CSV table with a header.
        sheet: PNG file for a contact sheet of the query and the results.
        root: folder that the paths of a table start at.
        device: cpu, cuda, mps or auto.
    """
    import csv as csv_module
    from dataclasses import asdict

    from hubel.cli.tables import print_table
    from hubel.core.errors import OptionError
    from hubel.core.progress import counted, say, say_notes
    from hubel.features.similar import similar_images
    from hubel.inference.predictor import load_predictor

    if json and csv:
        raise OptionError("choose one of --json and --csv")
    found, index = similar_images(load_predictor(model, device=device), rooted(folder, root), query, top_k=top)
    if sheet is not None:
        from hubel.features.similar_sheet import save_similar_sheet

        save_similar_sheet(sheet, query, found)
    if json:
        print_json([asdict(one) for one in found])
    elif csv:
        writer = csv_module.writer(csv_output(), lineterminator="\n")
        writer.writerow(["path", "similarity"])
        writer.writerows((one.path, f"{one.similarity:.6f}") for one in found)
    else:
        print_table(["image", "similarity"], [(one.path, f"{one.similarity:.4f}") for one in found])
        print_line(f"{counted(len(index.paths), 'image')} searched, {index.embedded:,} of them new")
    say_notes(index.notes)
    for problem in index.problems:
        say(f"unreadable: {problem}")
    return 3 if index.problems else 0
