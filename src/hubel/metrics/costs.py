"""Measure decisions by what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.inference.costs import cheapest

__all__ = ["CostMetrics", "measure_costs"]


@dataclass(frozen=True, kw_only=True)
class CostMetrics:
    """Costs of an image in the mean, by three ways to decide.

    Attributes:
        mean: of the class of least expected cost, which is predicted.
        of_most_probable: of the class with the highest score.
        constant: the class that costs least if it is always predicted.
        of_constant: what this costs; a model whose mean is no lower is of no use.
    """

    mean: float
    of_most_probable: float
    constant: str
    of_constant: float

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        return asdict(self)


def measure_costs(
    probabilities: NDArray[np.float64], labels: NDArray[Any], costs: NDArray[np.float64], classes: Sequence[str]
) -> CostMetrics:
    """Measure what decisions cost.

    Args:
        probabilities: of the classes, shape (n, c).
        labels: true classes, shape (n,).
        costs: of predicting each class (column) where each class (row) is true, shape (c, c).
        classes: class names.

    >>> costs = np.array([[0.0, 1.0], [9.0, 0.0]])  # to miss a tumour is worse than to find one that is none
    >>> measure_costs(np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([1, 1]), costs, ["healthy", "tumour"])
    CostMetrics(mean=0.0, of_most_probable=4.5, constant='tumour', of_constant=0.0)
    """
    by_constant = costs[labels].mean(0)
    best = int(by_constant.argmin())
    return CostMetrics(
        mean=float(costs[labels, cheapest(probabilities, costs)].mean()),
        of_most_probable=float(costs[labels, probabilities.argmax(1)].mean()),
        constant=classes[best],
        of_constant=float(by_constant[best]),
    )
