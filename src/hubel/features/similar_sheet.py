"""Contact sheet of a query image and the images that are most similar to it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from hubel.core.errors import DecodeError
from hubel.core.outputs import output_file
from hubel.data.inputs import Input
from hubel.plots.contact_sheet import contact_sheet
from hubel.plots.figure_files import is_figure, save_figure
from hubel.retrieval.index import Neighbour

__all__ = ["save_similar_sheet"]

_SIZE = (400, 400)  # pixels that an image needs at most


def save_similar_sheet(path: Path, query: Path, found: Sequence[Neighbour]) -> None:
    """Draw the query and its neighbours into a PNG file, without neighbours that cannot be read any more.

    Raises:
        DecodeError: the query cannot be read.
        OptionError: `path` is one of the images, or another file that would be lost.
    """
    path = output_file(path, ours=is_figure, inputs=(query, *(one.path for one in found)), flag="--sheet")
    images, captions = [Input(str(query)).decode(_SIZE).pixels], [f"the query\n{query.name}"]
    for neighbour in found:
        with contextlib.suppress(DecodeError):
            images.append(Input(neighbour.path).decode(_SIZE).pixels)
            captions.append(
                f"{neighbour.similarity:.3f}\n{Path(neighbour.path).parent.name}/{Path(neighbour.path).name}"
            )
    save_figure(contact_sheet(images, captions, f"Most similar to {query.name}"), path)
