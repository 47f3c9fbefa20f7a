"""Predictions as a table, JSON, JSON lines or CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubel.data.inputs import Input
    from hubel.runtime.predictor import Prediction

__all__ = ["FORMATS", "row_of"]

Row = dict[str, Any]


def row_of(prediction: Prediction, decode: Input | None = None) -> Row:
    """The row of one image; with facts about its pixels when `decode` is given."""
    row: Row = {"path": prediction.path, "class": None, "score": None, "top": [], "error": prediction.reason}
    if prediction.reason is None:
        row["top"] = [{"class": name, "score": round(score, 6)} for name, score in prediction.ranking]
        row["class"], row["score"] = row["top"][0]["class"], row["top"][0]["score"]
        if decode is not None:
            row |= _pixel_facts(decode)
    return row


def _pixel_facts(item: Input) -> Row:
    import numpy as np

    image = item.decode()
    pixels = image.pixels if image.pixels.ndim == 3 else np.repeat(image.pixels[..., None], 3, axis=2)
    mean = [round(float(value), 3) for value in pixels.mean((0, 1), dtype=np.float64)]
    return {"width": image.width, "height": image.height, "mode": image.mode, "rgb_mean": mean}


def _json(rows: Iterable[Row]) -> None:
    print(json.dumps(list(rows), indent=2, ensure_ascii=False))


def _jsonl(rows: Iterable[Row]) -> None:
    for row in rows:
        print(json.dumps(row, ensure_ascii=False), flush=True)


def _csv(rows: Iterable[Row]) -> None:
    """path, class and score, then class2, score2, ..., then the rest."""
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row if name != "error"))
    writer = csv.DictWriter(sys.stdout, [*names, "error"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)


def _flat(row: Row) -> Row:
    flat = {name: value for name, value in row.items() if name not in ("top", "rgb_mean")}
    for place, entry in enumerate(row["top"][1:], start=2):
        flat |= {f"class{place}": entry["class"], f"score{place}": entry["score"]}
    if "rgb_mean" in row:
        flat["rgb_mean"] = " ".join(map(str, row["rgb_mean"]))
    return flat


def _table(rows: Iterable[Row]) -> None:
    from hubel.cli.show import table
    from hubel.core.progress import say

    shown, problems = [], []
    for row in rows:
        if row["error"] is not None:
            problems.append(f"{row['path']}: {row['error']}")
            continue
        others = ", ".join(f"{entry['class']} {entry['score']:.1%}" for entry in row["top"][1:])
        facts = [f"{row['width']}x{row['height']} {row['mode']} {row['rgb_mean']}"] if "mode" in row else []
        shown.append((row["path"], row["class"], f"{row['score']:.1%}", others, *facts))
    if shown:
        columns = ["image", "class", "score", "then", "decoded"]
        table(columns[: len(shown[0])], shown)
    for problem in problems:
        say(f"unreadable: {problem}")


FORMATS: dict[str, Callable[[Iterable[Row]], None]] = {
    "table": _table,
    "json": _json,
    "jsonl": _jsonl,
    "csv": _csv,
}
