"""`hubel similar`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hubel.features.similar import Neighbour


EXAMPLES = (
    "hubel similar efficientnet_lite0 holiday/ photo.jpg",
    "hubel similar runs/PHOTOS-efficientnet_lite0-1 holiday/ photo.jpg --top 20 --sheet found.png",
)


def similar(
    model: str,
    folder: Path,
    query: Path,
    /,
    *,
    top: int = 10,
    json: bool = False,
    csv: bool = False,
    sheet: Path | None = None,
    device: str = "auto",
) -> int:
    """Find the images of a folder that are most similar to a query image, by a network's features.

    The first search embeds every image of the folder; later ones only those that are new or changed.

    Exit code: 0 all well, 3 some files unreadable, 2 wrong use.

    Args:
        model: a model file, or the folder of a run; or a network with ImageNet weights, as in hubel predict.
        folder: images at any depth; they need no labels.
        query: an image. If it lies in the folder, it finds itself first.
        top: how many images to name.
        json: one JSON list.
        csv: a table with a header.
        sheet: a PNG file to draw the query and what was found in.
        device: cpu, cuda, mps or auto.
    """
    import csv as csv_module
    import json as json_module
    import sys
    from dataclasses import asdict

    from hubel.cli.tables import print_table
    from hubel.core.errors import OptionError
    from hubel.core.progress import say
    from hubel.features.similar import similar_images
    from hubel.inference.predictor import load_predictor

    if json and csv:
        raise OptionError("choose one of --json and --csv")
    found, index = similar_images(load_predictor(model, device=device), folder, query, top_k=top)
    if sheet is not None:
        _draw(sheet, query, found)
    if json:
        print(json_module.dumps([asdict(one) for one in found], indent=2, ensure_ascii=False))
    elif csv:
        writer = csv_module.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["path", "similarity"])
        writer.writerows((one.path, f"{one.similarity:.6f}") for one in found)
    else:
        print_table(["image", "similarity"], [(one.path, f"{one.similarity:.4f}") for one in found])
        print(f"{len(index.paths):,} images searched, {index.embedded:,} of them new")
    for problem in index.problems:
        say(f"unreadable: {problem}")
    return 3 if index.problems else 0


def _draw(path: Path, query: Path, found: Sequence[Neighbour]) -> None:
    """The query and what was found as a contact sheet; a file that has gone meanwhile is left out."""
    import contextlib

    from hubel.core.errors import DecodeError
    from hubel.data.inputs import Input
    from hubel.plots.contact_sheet import contact_sheet
    from hubel.plots.png import save_figure

    pictures, captions = [Input(str(query)).decode((400, 400)).pixels], [f"the query\n{query.name}"]
    for one in found:
        with contextlib.suppress(DecodeError):
            pictures.append(Input(one.path).decode((400, 400)).pixels)
            captions.append(f"{one.similarity:.3f}\n{Path(one.path).parent.name}/{Path(one.path).name}")
    save_figure(contact_sheet(pictures, captions, f"Most similar to {query.name}"), path)
