"""Format a summary as table rows, JSON, CSV or Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hubel.analysis.receptive import Axis
from hubel.analysis.summary import PAGE, Layer, Summary
from hubel.core.csv_text import csv_text

__all__ = ["COLUMNS", "bars", "cells", "to_csv", "to_json", "to_markdown", "to_text", "totals"]

_MIB = 2**20
_BAR = 24  # characters of a full bar
COLUMNS = ("layer", "kind", "window", "output", "parameters", "MACs", "MiB", "field", "jump", "first centre")


def cells(layer: Layer) -> list[str]:
    """Return the table row of a layer.

    The receptive field is "all" where every value depends on the whole image; a star marks fields that see the rest of
    the image through a global average only.
    """
    field = layer.field
    receptive_field = ["all", "", ""]
    if field is not None:
        star = "*" if field.whole else ""
        receptive_field = [
            _both(field, lambda a: a.size) + star,
            _both(field, lambda a: a.jump),
            _both(field, lambda a: a.first_centre),
        ]
    return [
        layer.name,
        layer.kind,
        layer.detail,
        "x".join(map(str, layer.shape)),
        f"{layer.params:,}" if layer.params else "",
        f"{layer.macs:,}" if layer.macs else "",
        f"{layer.memory / _MIB:.2f}" if layer.memory else "",
        *receptive_field,
    ]


def _both(field: Sequence[Any], number: Callable[[Axis], float]) -> str:
    rows, columns = number(field[0]), number(field[1])
    return f"{rows:g}" if rows == columns else f"{rows:g}x{columns:g}"


def totals(summary: Summary) -> list[tuple[str, str]]:
    """Return name and value of each total of a network."""
    field, frozen = summary.field, summary.params - summary.trainable
    missing = (f"{operator} in {_some(names)}" for operator, names in summary.not_counted.items())
    rows = [
        ("network", summary.description),
        ("input", ", ".join("x".join(map(str, shape)) for shape in summary.inputs)),
        ("parameters", f"{summary.params:,}"),
        ("trainable", f"{summary.trainable:,}"),
        ("not trainable", f"{frozen:,} frozen parameters, {summary.statistics:,} statistics such as running means"),
        (
            "not used here",
            f"{summary.unused:,} parameters, such as those of auxiliary classifiers" if summary.unused else "",
        ),
        ("MACs", f"{summary.macs:,} multiply-adds of convolutions and matrix products"),
        ("not counted", "; ".join(missing)),
        ("weighted layers", f"{summary.weighted_layers:,}, those in shortcuts and gates included"),
        ("neurons", f"{summary.neurons:,}, the outputs of these layers"),
        ("weights", f"{summary.bytes / _MIB:.1f} MiB"),
        ("activations", f"{summary.memory / _MIB:.1f} MiB for one input, as float32"),
        ("field", "the whole image" if field is None else f"{_both(field, lambda a: a.size)} pixels, last map"),
    ]
    return [(name, value) for name, value in rows if value]


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} modules such as {names[0]}"


def bars(summary: Summary) -> list[tuple[str, str, str, str, str]]:
    """Return each section's share of the parameters and of the multiply-adds, as bar and percentage."""
    params = sum(p for p, _ in summary.sections().values()) or 1
    macs = summary.macs or 1
    return [
        (name, "█" * round(_BAR * p / params), f"{p / params:.1%}", "█" * round(_BAR * m / macs), f"{m / macs:.1%}")
        for name, (p, m) in summary.sections().items()
    ]


def to_json(summary: Summary, layers: Sequence[Layer]) -> dict[str, Any]:
    """Return a summary as JSON values; sizes in bytes, receptive fields in pixels, None for the whole image."""
    return {
        "model": summary.title,
        "inputs": [list(shape) for shape in summary.inputs],
        "params": summary.params,
        "trainable": summary.trainable,
        "unused": summary.unused,
        "statistics": summary.statistics,
        "neurons": summary.neurons,
        "macs": summary.macs,
        "not_counted": {operator: list(names) for operator, names in summary.not_counted.items()},
        "weighted_layers": summary.weighted_layers,
        "weights_bytes": summary.bytes,
        "results_bytes": summary.memory,
        "layers": [_record(layer) for layer in layers],
    }


def _record(layer: Layer) -> dict[str, Any]:
    field = layer.field
    receptive_field = None
    if field is not None:
        receptive_field = {
            axis: {"size": a.size, "jump": a.jump, "first_centre": a.first_centre}
            for axis, a in (("rows", field.rows), ("columns", field.columns))
        }
    return {
        "name": layer.name,
        "kind": layer.kind,
        "window": layer.detail,
        "shape": list(layer.shape),
        "params": layer.params,
        "macs": layer.macs,
        "results_bytes": layer.memory,
        "receptive_field": receptive_field,
        "sees_whole_image": field is None or field.whole,
    }


def to_csv(layers: Sequence[Layer]) -> str:
    """Return a CSV table with a header and a line per layer; numbers have no thousands separators."""
    header = ["layer", "kind", "window", "output", "params", "macs", "results_bytes", "field", "jump", "first_centre"]
    rows = [[*(row := cells(layer))[:4], layer.params, layer.macs, layer.memory, *row[7:]] for layer in layers]
    return csv_text([header, *rows])


def to_text(summary: Summary) -> str:
    """Return a table of at most a page of layers and blocks, and the totals."""
    lines = [COLUMNS, *map(cells, summary.at_depth(summary.fitting(PAGE)))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*rows, "", *(f"{name:<16} {value}" for name, value in totals(summary))])


def to_markdown(layers: Sequence[Layer]) -> str:
    """Return a Markdown table of layers."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *map(cells, layers)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
