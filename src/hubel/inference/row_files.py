"""Predictions as rows, and rows as files: JSON lines, CSV, Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TextIO

from hubel.core.csv_text import CSV_END, CsvLines, without_formula
from hubel.core.errors import OptionError

if TYPE_CHECKING:
    from hubel.data.inputs import Input
    from hubel.inference.classifier import Prediction

__all__ = ["Layout", "Row", "RowLayout", "as_line", "row_of", "write_csv", "writer_for"]

Row = dict[str, Any]

_BETWEEN = "|"  # the classes of a set, as between the labels of a table
_ROW_GROUP = 2**14  # rows of a Parquet file that are in memory at once
_ESCAPED = "backslashreplace"  # names of files may hold bytes that are no UTF-8; JSON reads this form of them back


class Layout(Protocol):
    """The form of a table of predictions, the same for all rows.

    Attributes:
        no_formulas: texts of a CSV file that spreadsheets would take for formulas get an apostrophe in front.
    """

    @property
    def no_formulas(self) -> bool:
        """Return whether they do."""

    def columns(self) -> list[str]:
        """Return the names of the columns of a CSV file."""

    def lines(self, row: Row) -> list[Row]:
        """Return the lines of a CSV file for a row, each a value for some of the columns."""

    def types(self) -> dict[str, Any]:
        """Return the types of the columns of a Parquet file, in pyarrow's terms, by name."""


@dataclass(frozen=True)
class RowLayout:
    """Columns of a table of predictions, the same for all rows.

    Attributes:
        top: classes of each image.
        decoded: rows have facts about how the image was decoded.
        numbers: scores are predicted numbers rather than probabilities.
        costs: rows have the expected cost of their class.
        no_formulas: texts of a CSV file that spreadsheets would take for formulas get an apostrophe in front.
        coverage: of the rows' prediction sets; None for rows without sets.
        novelty: rows say how new an image is, and whether it is unknown.
        sure: of the rows' ancestors; None for rows without any.
    """

    top: int
    decoded: bool = False
    numbers: bool = False
    no_formulas: bool = False
    coverage: float | None = None
    costs: bool = False
    novelty: bool = False
    sure: float | None = None

    def columns(self) -> list[str]:
        """Return the names of the columns.

        >>> RowLayout(2).columns()
        ['path', 'class', 'score', 'class2', 'score2', 'error']
        """
        others = [f"{name}{place}" for place in range(2, self.top + 1) for name in ("class", "score")]
        sets = [] if self.coverage is None else ["set"]
        decoded = ["width", "height", "mode", "rgb_mean"] if self.decoded else []
        costs = ["expected_cost"] if self.costs else []
        novelty = ["novelty", "unknown"] if self.novelty else []
        ancestor = [] if self.sure is None else ["ancestor", "ancestor_score"]
        return ["path", "class", "score", *others, *costs, *sets, *ancestor, *novelty, *decoded, "error"]

    def lines(self, row: Row) -> list[Row]:
        """Return the lines of a table for a row: one."""
        flat = {name: value for name, value in row.items() if name not in ("top", "set", "rgb_mean")}
        for place, entry in enumerate(row["top"][1:], start=2):
            flat |= {f"class{place}": entry["class"], f"score{place}": entry["score"]}
        if "set" in row:
            flat["set"] = _BETWEEN.join(entry["class"] for entry in row["set"])
        if "rgb_mean" in row:
            flat["rgb_mean"] = " ".join(map(str, row["rgb_mean"]))
        if "unknown" in row:
            flat["unknown"] = "true" if row["unknown"] else "false"
        return [flat]

    def types(self) -> dict[str, Any]:
        """Return the types of the columns of a Parquet file."""
        import pyarrow as pa

        entry = pa.struct([("class", pa.string()), ("score", pa.float64())])
        types = {
            "path": pa.string(), "class": pa.string(), "score": pa.float64(), "top": pa.list_(entry),
            "set": pa.list_(entry), "ancestor": pa.string(), "ancestor_score": pa.float64(),
            "novelty": pa.float64(), "unknown": pa.bool_(),
            "width": pa.int32(), "height": pa.int32(), "mode": pa.string(), "rgb_mean": pa.list_(pa.float64()),
            "expected_cost": pa.float64(), "error": pa.string(),
        }  # fmt: skip
        wanted = {"path", "class", "score", "top", "error", *self.columns()}
        return {name: kind for name, kind in types.items() if name in wanted}


def row_of(prediction: Prediction, decode: Input | None = None) -> Row:
    """Return the row of one image, with facts about its pixels if `decode` is given."""
    row: Row = {"path": prediction.path, "class": None, "score": None, "top": [], "error": prediction.reason}
    if prediction.ranking:
        row["top"] = _entries(prediction.ranking)
        row["class"], row["score"] = row["top"][0]["class"], row["top"][0]["score"]
        if prediction.expected_cost is not None:
            row["expected_cost"] = round(prediction.expected_cost, 6)
        if prediction.label_set is not None:
            row["set"] = _entries(zip(prediction.label_set, prediction.set_scores, strict=True))
        if prediction.ancestor_score is not None:
            row |= {"ancestor": prediction.ancestor, "ancestor_score": round(prediction.ancestor_score, 6)}
        if prediction.novelty is not None:
            row |= {"novelty": round(prediction.novelty, 6), "unknown": prediction.unknown}
        if decode is not None:
            row |= _pixel_facts(decode)
    return row


def _entries(ranking: Iterable[tuple[str, float]]) -> list[Row]:
    return [{"class": name, "score": round(score, 6)} for name, score in ranking]


def _pixel_facts(item: Input) -> Row:
    import numpy as np

    image = item.decode()
    pixels = image.pixels if image.pixels.ndim == 3 else np.repeat(image.pixels[..., None], 3, axis=2)
    mean = [round(float(value), 3) for value in pixels.mean((0, 1), dtype=np.float64)]
    return {"width": image.width, "height": image.height, "mode": image.mode, "rgb_mean": mean}


def as_line(row: Row) -> bytes:
    """Return a row as a line of JSON lines."""
    return json.dumps(row, ensure_ascii=False).encode("utf-8", _ESCAPED) + b"\n"


def write_csv(rows: Iterable[Row], file: TextIO, layout: Layout) -> None:
    """Write a header, and the lines of each row, as they come."""
    writer = csv.DictWriter(CsvLines(file.write), layout.columns(), lineterminator=CSV_END)
    writer.writeheader()
    for row in rows:
        for line in layout.lines(row):
            plain = {name: without_formula(value) for name, value in line.items()} if layout.no_formulas else line
            writer.writerow(plain)


Writer = Callable[[Iterable[Row], BinaryIO, Layout], None]


def writer_for(path: Path) -> Writer:
    """Return the function that writes all rows into an open file, in the format of the name of `path`.

    Raises:
        OptionError: it says none.
    """
    try:
        return _WRITERS[path.suffix.lower()]
    except KeyError:
        *some, last = _WRITERS
        raise OptionError(
            f"--output {path}: the name says the format and ends in {', '.join(some)} or {last}"
        ) from None


def _jsonl_file(rows: Iterable[Row], file: BinaryIO, layout: Layout) -> None:
    file.writelines(map(as_line, rows))


def _csv_file(rows: Iterable[Row], file: BinaryIO, layout: Layout) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", errors=_ESCAPED, newline="")
    write_csv(rows, text, layout)
    text.detach()


def _parquet_file(rows: Iterable[Row], file: BinaryIO, layout: Layout) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(list(layout.types().items()))
    remaining = iter(rows)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while some := list(itertools.islice(remaining, _ROW_GROUP)):
            writer.write_table(pa.Table.from_pylist(list(map(_in_unicode, some)), schema))


def _in_unicode(row: Row) -> Row:
    """Return the row with texts that are valid UTF-8, as Parquet needs them."""
    texts = {name: row[name].encode("utf-8", _ESCAPED).decode() for name in ("path", "error") if row[name]}
    return row | texts


_WRITERS: dict[str, Writer] = {".jsonl": _jsonl_file, ".csv": _csv_file, ".parquet": _parquet_file}
