"""Decisions of least expected cost (Elkan 2001, "The foundations of cost-sensitive learning", Eq. 1). Imports no torch.

`costs[i][j]` is what it costs to predict class j where class i is true. With probabilities p(i | x) of an image, the
prediction j costs sum_i p(i | x) costs[i][j] in expectation; the class with the least is predicted, of equal ones the
most probable. Probabilities stay as they are.
"""

from __future__ import annotations

import csv
import io
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.files import user_path
from hubel.core.text_files import bounded, read_text
from hubel.inference.scores import shares
from hubel.weights.card import MOST_COST, ModelCard

__all__ = ["NO_COSTS", "cheapest", "expected_costs", "read_costs", "with_costs"]

#: Takes the costs away from a model that has some.
NO_COSTS = "none"


def expected_costs(scores: NDArray[np.float64], costs: ArrayLike) -> NDArray[np.float64]:
    """Return the expected cost of predicting each class, `(n, classes)`.

    Args:
        scores: `(n, classes)`, at least 0; those of independent outputs are brought to a sum of 1.
        costs: `(classes, classes)`, a row for each true class.
    """
    return np.asarray(shares(scores) @ np.asarray(costs, np.float64))


def cheapest(scores: NDArray[np.float64], costs: ArrayLike) -> NDArray[np.int64]:
    """Return the class of least expected cost for each image, `(n,)`; of equal ones the most probable."""
    expected = expected_costs(scores, costs)
    least = expected.min(1, keepdims=True)
    equal = np.isclose(expected, least, rtol=1e-9, atol=1e-12)
    return np.asarray(np.where(equal, scores, -np.inf).argmax(1))


def with_costs(card: ModelCard, file: str | Path | None) -> ModelCard:
    """Return the card with the costs in a file; without any for "none"; as it is for None.

    Raises:
        OptionError: the model does not choose one class an image, or the file holds no costs of its classes.
        UnknownNameError: the file names a class that the model does not have.
    """
    if file is None or (isinstance(file, str) and not file):
        return card
    if str(file) == NO_COSTS:
        return replace(card, costs=None)
    if card.task != "classify":
        raise OptionError(f"costs choose one class for an image; the task {card.task} does not")
    return replace(card, costs=read_costs(user_path(file), card.classes))


def read_costs(path: Path, classes: Sequence[str]) -> tuple[tuple[float, ...], ...]:
    """Read the costs of predictions from a file: a row for each true class, in the order of `classes`.

    Args:
        path: CSV with the predicted classes as its header and the true class in front of each row; or TOML with a table
            for each true class, in which the costs stand by predicted class. In TOML, what is right may be left out.
        classes: of the model. The file may have them in another order.

    Raises:
        OptionError: the file cannot be read; a class or a cost is missing or there twice, or no number from 0 to
            1e12.
        UnknownNameError: there is no such class.
    """
    text = read_text(path, flag="--costs", expected="CSV or TOML")
    read = _read_toml if path.suffix.lower() == ".toml" else _read_csv
    try:
        table = read(text)
        _check_names(table, classes)
        return tuple(
            tuple(_cost(table[true], true, predicted) for predicted in classes) for true in _all_there(table, classes)
        )
    except UnknownNameError as error:
        error.args = (f"--costs {path}: {error}",)
        raise
    except OptionError as error:
        raise OptionError(f"--costs {path}: {error}") from None


def _read_csv(text: str) -> dict[str, dict[str, Any]]:
    try:
        found = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise OptionError(f"no CSV ({error})") from None
    rows = [[cell.strip() for cell in row] for row in found if any(map(str.strip, row))]
    if len(rows) < 2 or len(rows[0]) < 2:
        raise OptionError("expected a header with the predicted classes, and a row for each true class")
    header = rows[0][1:]
    _once(header, "column")
    _once([row[0] for row in rows[1:]], "row")
    for row in rows[1:]:
        if len(row) != len(rows[0]):
            raise OptionError(f"the row {row[0]} has {len(row) - 1} costs for {len(header)} predicted classes")
    return {row[0]: dict(zip(header, row[1:], strict=True)) for row in rows[1:]}


def _read_toml(text: str) -> dict[str, dict[str, Any]]:
    try:
        values = bounded(tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        raise OptionError(f"no TOML: {' '.join(str(error).split())}") from None
    for name, row in values.items():
        if not isinstance(row, Mapping):
            raise OptionError(f"{name} is a table of costs by predicted class, not {row!r:.80}")
    return {true: {true: 0, **row} for true, row in values.items()}


def _once(names: Sequence[str], kind: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"the {kind} {name} is there twice")


def _check_names(table: Mapping[str, Mapping[str, Any]], classes: Sequence[str]) -> None:
    for name in [*table, *(predicted for row in table.values() for predicted in row)]:
        if name not in classes:
            raise UnknownNameError("class", name, classes)


def _all_there(table: Mapping[str, Mapping[str, Any]], classes: Sequence[str]) -> Sequence[str]:
    for true in classes:
        if true not in table:
            raise OptionError(f"the row of {true} is missing: each class of the model needs one")
        for predicted in classes:
            if predicted not in table[true]:
                raise OptionError(f"the cost of predicting {predicted} where {true} is true is missing")
    return classes


def _cost(row: Mapping[str, Any], true: str, predicted: str) -> float:
    value = row[predicted]
    try:
        cost = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        cost = math.nan
    if not 0 <= cost <= MOST_COST:
        raise OptionError(
            f"the cost of predicting {predicted} where {true} is true is a number from 0 to {MOST_COST:g}, "
            f"not {value!r:.80}"
        )
    return cost
