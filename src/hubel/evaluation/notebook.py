"""Show an evaluation at the end of a notebook's cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hubel.plots.notebook import list_html, picture_html, table_html
from hubel.tasks.task import Evaluation

__all__ = ["evaluation_html"]

_SHOWN = {"learning": "learning curves", "confusion": "confusion matrix"}  # figures that are shown, if there are any


def evaluation_html(evaluation: Evaluation, split: str, folder: Path, sentences: Sequence[str]) -> str:
    """Return numbers, figures and sentences of an evaluation that was written into a folder, as HTML.

    Args:
        evaluation: the numbers.
        split: the images that were measured.
        folder: holds the figures.
        sentences: notes and advice.
    """
    rows = [(*row, "", "")[:3] for row in evaluation.rows(split)]
    pictures = [
        picture_html(path.read_bytes(), text)
        for name, text in _SHOWN.items()
        if (path := folder / "figures" / f"{name}.png").is_file()
    ]
    table = table_html(["", "", "95% interval"], rows, caption=str(folder))
    return "".join([table, *pictures, list_html(sentences)])
