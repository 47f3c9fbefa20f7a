"""Rows of a table for the annotations that a model finds: objects with boxes and points, or shares of pixels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from hubel.data.annotation import IGNORED
from hubel.inference.dense import Found
from hubel.inference.row_files import Row
from hubel.weights.card import ModelCard

__all__ = ["DenseLayout", "dense_row"]

_SIDES = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class DenseLayout:
    """The form of a table of what is found on images; see `hubel.inference.row_files.Layout`.

    Attributes:
        classes: their names.
        output: the kind of output, see `hubel.weights.card.DENSE`.
        points: names of key points.
        no_formulas: texts of a CSV file that spreadsheets would take for formulas get an apostrophe in front.
    """

    classes: tuple[str, ...]
    output: str
    points: tuple[str, ...] = ()
    no_formulas: bool = False

    @classmethod
    def of(cls, card: ModelCard, *, no_formulas: bool = False) -> DenseLayout:
        """Return the form of the rows of a model."""
        points = card.classes if card.dense == "points" else ()
        return cls(card.objects, card.dense, points, no_formulas=no_formulas)

    def columns(self) -> list[str]:
        """Return the names of the columns of a CSV file: shares of classes, or a line for each object."""
        if self.output == "maps":
            return ["path", "width", "height", *self.classes, "error"]
        points = [f"{name}_{axis}" for name in self.points for axis in "xy"]
        return ["path", "width", "height", "class", "score", *_SIDES, *points, "error"]

    def lines(self, row: Row) -> list[Row]:
        """Return a line for each object; one for an image with shares, or without objects."""
        image = {name: row[name] for name in ("path", "width", "height", "error")}
        if self.output == "maps":
            return [image | row["shares"]]
        objects = []
        for entry in row["objects"]:
            box = dict(zip(_SIDES, entry["box"], strict=True))
            named = zip(self.points, entry.get("points", ()), strict=False)
            points = {f"{name}_{axis}": value for name, xy in named for axis, value in zip("xy", xy, strict=False)}
            objects.append(image | {"class": entry["class"], "score": entry["score"]} | box | points)
        return objects or [image]

    def types(self) -> dict[str, Any]:
        """Return the types of the columns of a Parquet file."""
        import pyarrow as pa

        image = {"path": pa.string(), "width": pa.int32(), "height": pa.int32()}
        if self.output == "maps":
            found = {"shares": pa.map_(pa.string(), pa.float64())}
        else:
            numbers = pa.list_(pa.float64())
            parts = [("class", pa.string()), ("score", pa.float64()), ("box", numbers), ("points", pa.list_(numbers))]
            found = {"objects": pa.list_(pa.struct(parts))}
        return image | found | {"error": pa.string()}


def dense_row(found: Found, classes: tuple[str, ...]) -> Row:
    """Return the row of one image, in pixels of the upright image.

    An image with a mask has the share of its pixels that each class has; all others have their objects.
    """
    row: Row = {"path": found.path, "width": found.width, "height": found.height}
    annotation = found.annotation
    if annotation.mask is not None:
        counts = np.bincount(annotation.mask[annotation.mask != IGNORED], minlength=len(classes))
        shares = (counts / max(1, counts.sum())).tolist()
        return row | {
            "shares": {name: round(x, 6) for name, x in zip(classes, shares, strict=True)},
            "error": found.reason,
        }
    objects = []
    for number, box, score, points in itertools.zip_longest(
        annotation.classes.tolist(), annotation.boxes.tolist(), found.scores.tolist(), annotation.points.tolist()
    ):
        entry: Row = {"class": classes[number], "score": round(score, 6), "box": [round(x, 2) for x in box]}
        if points:
            entry["points"] = [[round(x, 2), round(y, 2), round(v, 4)] for x, y, v in points]
        objects.append(entry)
    return row | {"objects": objects, "error": found.reason}
