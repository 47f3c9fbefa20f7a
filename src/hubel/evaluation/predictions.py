"""Write what a model predicted for each image that measured it: `predictions.csv`, a row an image."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
    return _csv(found)


def _csv(columns: Mapping[str, Iterable[Any]]) -> bytes:
    lines = _Lines()
    writer = csv.writer(lines, lineterminator=_END)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    # Names of files may hold bytes that are no UTF-8, which are written as in the rows of `hubel predict`.
    return "".join(lines).encode("utf-8", "backslashreplace")


_END = "\r\n"  # a text with one of these characters is quoted; with "\n" alone a name with "\r" would not be


class _Lines(list[str]):
    """Lines of a CSV file that end with a newline alone."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix(_END) + "\n")
