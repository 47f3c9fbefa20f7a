"""Compare two models on the same images: is the difference more than noise?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.metrics.intervals import bootstrap

__all__ = ["Confirmation", "compare"]

_RESAMPLES = 500
_RISK = 0.05  # of taking noise for a difference


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """The difference of two scores on the same images.

    Attributes:
        difference: of the second to the first; above 0 the second is better.
        lower: the lower end of its one-sided 95 % interval.
        images: their number.
    """

    difference: float
    lower: float
    images: int

    @property
    def better(self) -> bool:
        """The second is better, beyond noise."""
        return self.lower > 0


def compare(
    first: Callable[[NDArray[np.int64]], float], second: Callable[[NDArray[np.int64]], float], n: int, seed: int = 0
) -> Confirmation:
    """Compare two scores by the paired bootstrap of `hubel.metrics.bootstrap`: images are drawn again.

    Args:
        first: the score of the first model on some of the images, given their positions with repetitions; higher is
            better.
        second: likewise of the second model.
        n: number of images.
        seed: of the draws.

    >>> truth = np.arange(100) % 2
    >>> compare(lambda at: float((truth[at] == 0).mean()), lambda at: 1.0, 100).better
    True
    """
    every = np.arange(n)

    def differences(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        # A score takes images rather than weights: one that is drawn twice is there twice.
        drawn = (np.repeat(every, counts) for counts in np.rint(weights * max(n - 1, 1) / n).astype(np.int64))
        return np.array([second(at) - first(at) for at in drawn])

    values = bootstrap(differences, np.ones(n, np.int64), replicates=_RESAMPLES, seed=seed)
    return Confirmation(difference=second(every) - first(every), lower=float(np.quantile(values, _RISK)), images=n)
