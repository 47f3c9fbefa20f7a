"""Write what a model predicted for each image that measured it: `predictions.csv`, a row an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hubel.core.csv_text import csv_text
from hubel.data.sources.listing import SPLITS
from hubel.data.taught import Taught
from hubel.tasks.task import Evaluation

__all__ = ["predictions_csv"]

# The split of an image that the data itself puts into none, by the name of the images that were measured.
_HELD_OUT = {"training": "train", "validation": "val", "test": "test"}


def predictions_csv(
    evaluation: Evaluation, *, split: str, taught: Taught, columns: Mapping[str, Sequence[Any]] | None = None
) -> bytes | None:
    """Return the table, encoded in UTF-8, or None for a task that predicts nothing for single images.

    Columns: `path`; label, prediction and what else the task compares; `split`; more `columns`; scores of classes. The
    rows are in the order of the dataset. `split` is "train", "val" or "test": where the data itself puts the image,
    otherwise "train" if it taught the model, otherwise the split that was measured; empty if there is none.

    Args:
        evaluation: the predictions and their images.
        split: the images: "test", "validation", "training", "labelled".
        taught: the images that taught the model.
        columns: more columns by name, a value for each image.
    """
    table, images = evaluation.prediction_table(), evaluation.images
    if table is None:
        return None
    known = taught.among(images.digests)
    splits = [
        SPLITS[code] or ("train" if seen else _HELD_OUT.get(split, ""))
        for code, seen in zip(images.splits.tolist(), known.tolist(), strict=True)
    ]
    paths = [images.path(position) for position in range(len(images))]
    found = {"path": paths, **table.facts, "split": splits, **(columns or {}), **table.scores}
    # Names stay as they are, formulas or not: whoever reads the table back looks for them. Bytes that are no UTF-8 are
    # written as in the rows of `hubel predict`.
    return csv_text([found, *zip(*found.values(), strict=True)], formulas=True).encode("utf-8", "backslashreplace")
