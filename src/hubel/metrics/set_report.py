"""Show measured prediction sets in a terminal and in a report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hubel.metrics.prediction_sets import SetMetrics
from hubel.metrics.report_items import ReportTable, Tile
from hubel.metrics.tables import percent

__all__ = ["SETS_FOOTNOTE", "set_column", "set_rows", "set_table", "set_tiles"]

SETS_FOOTNOTE = (
    "Prediction sets (conformal; Sadinle et al. 2019): the classes that an image may have, chosen so that the stated "
    "share of sets have the true class, for images like those that calibrated the model. No set is empty: it has at "
    "least the most probable class."
)


def set_rows(sets: SetMetrics) -> list[tuple[str, str]]:
    """Return the numbers for a terminal, name and value."""
    low, high = (percent(end) for end in sets.interval)
    return [
        (f"true class in the {100 * sets.coverage:g}% set", f"{percent(sets.measured, 2)}% ({low} to {high})"),
        ("mean set size", f"{sets.mean_size:.3f}"),
        ("sets of one class", f"{percent(sets.singletons)}%"),
    ]


def set_tiles(sets: SetMetrics) -> list[Tile]:
    """Return the headline numbers of the report."""
    asked = f"{100 * sets.coverage:g}%"
    return [
        Tile(name="Coverage", value=f"{percent(sets.measured)}%", meaning=f"{asked} sets that have the true class"),
        Tile(name="Set size", value=f"{sets.mean_size:.2f}", meaning=f"mean number of classes in a {asked} set"),
    ]


def set_column(inside: NDArray[np.bool_], probabilities: NDArray[np.float64], classes: Sequence[str]) -> list[str]:
    """Return the classes in the set of each image, the most probable first, joined by "|".

    >>> set_column(np.array([[True, True]]), np.array([[0.3, 0.7]]), ["cat", "dog"])
    ['dog|cat']
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return ["|".join(classes[i] for i in best if chosen[i]) for best, chosen in zip(order, inside, strict=True)]


def set_table(sets: SetMetrics) -> ReportTable:
    """Return the coverage of the images of each class, with a bar for it."""
    shown = [one for one in sets.per_class if one.n]
    return ReportTable(
        heading=f"{100 * sets.coverage:g}% prediction sets",
        columns=("Class", "Images", "In the set %", "Mean size"),
        rows=[(one.name, f"{one.n:,}", percent(one.covered / one.n), f"{one.mean_size:.2f}") for one in shown],
        bars=[one.covered / one.n for one in shown],
    )
