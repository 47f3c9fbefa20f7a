"""Print predictions as a table, JSON, JSON lines or CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hubel.cli.printing import csv_output, print_json
from hubel.inference.reconstructor import ReconstructionLayout
from hubel.inference.row_files import Layout, Row, RowLayout, write_csv

__all__ = ["FORMATS"]


def _json(rows: Iterable[Row], layout: Layout) -> None:
    print_json(list(rows))


def _jsonl(rows: Iterable[Row], layout: Layout) -> None:
    for row in rows:
        print_json(row, indent=None)


def _csv(rows: Iterable[Row], layout: Layout) -> None:
    write_csv(rows, csv_output(), layout)


def _table(rows: Iterable[Row], layout: Layout) -> None:
    from hubel.cli.tables import print_table
    from hubel.core.progress import say

    if isinstance(layout, ReconstructionLayout):
        _reconstruction_table(rows)
        return
    if not isinstance(layout, RowLayout):
        _dense_table(rows, layout)
        return
    shown, problems = [], []
    form = ".6g" if layout.numbers else ".1%"
    for row in rows:
        if row["error"] is not None:
            problems.append(f"{'damaged' if row['top'] else 'unreadable'}: {row['path']}: {row['error']}")
        if not row["top"]:
            continue
        others = ", ".join(f"{entry['class']} {entry['score']:{form}}" for entry in row["top"][1:])
        cost = [f"{row['expected_cost']:.4g}"] if layout.costs else []
        facts = [f"{row['width']}x{row['height']} {row['mode']} {row['rgb_mean']}"] if layout.decoded else []
        sets = [", ".join(entry["class"] for entry in row["set"])] if layout.coverage else []
        ancestor = [] if layout.sure is None else [_ancestor(row)]
        novelty = [f"{row['novelty']:.2f}{', unknown' * row['unknown']}"] if layout.novelty else []
        shown.append(
            (row["path"], row["class"], f"{row['score']:{form}}", others, *cost, *sets, *ancestor, *novelty, *facts)
        )
    if shown:
        costs = ["expected cost"] if layout.costs else []
        sets = [f"{100 * layout.coverage:g}% set"] if layout.coverage else []
        ancestor = [] if layout.sure is None else [f"{100 * layout.sure:g}% sure"]
        more = [*costs, *sets, *ancestor, *["novelty"] * layout.novelty, *["decoded"] * layout.decoded]
        print_table(["image", "class", "score", "next classes", *more], shown)
    for problem in problems:
        say(problem)


def _dense_table(rows: Iterable[Row], layout: Layout) -> None:
    """Print what is found on each image: its objects, or the shares of its classes, the largest first."""
    from hubel.cli.tables import print_table
    from hubel.core.progress import say

    shown, problems = [], []
    for row in rows:
        if row["error"] is not None:
            problems.append(f"{'damaged' if row['width'] else 'unreadable'}: {row['path']}: {row['error']}")
        if not row["width"]:
            continue
        if "shares" in row:
            shares = sorted(row["shares"].items(), key=lambda item: -item[1])
            found = ", ".join(f"{name} {share:.1%}" for name, share in shares if share)
        else:
            found = ", ".join(f"{one['class']} {one['score']:.0%}" for one in row["objects"]) or "nothing"
        shown.append((row["path"], f"{row['width']}x{row['height']}", found))
    if shown:
        print_table(["image", "size", "found"], shown)
    for problem in problems:
        say(problem)


def _reconstruction_table(rows: Iterable[Row]) -> None:
    """Print the error of each image's reconstruction."""
    from hubel.cli.tables import print_table
    from hubel.core.progress import say

    shown, problems = [], []
    for row in rows:
        if row["error"] is not None:
            problems.append(f"{'unreadable' if row['mse'] is None else 'damaged'}: {row['path']}: {row['error']}")
        if row["mse"] is not None:
            shown.append((row["path"], f"{row['mse']:.4f}"))
    if shown:
        print_table(["image", "mean squared error of a pixel"], shown)
    for problem in problems:
        say(problem)


def _ancestor(row: Row) -> str:
    return "any" if row["ancestor"] is None else f"{row['ancestor']} {row['ancestor_score']:.1%}"


FORMATS: dict[str, Callable[[Iterable[Row], Layout], None]] = {
    "table": _table,
    "json": _json,
    "jsonl": _jsonl,
    "csv": _csv,
}
