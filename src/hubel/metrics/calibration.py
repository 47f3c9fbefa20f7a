"""From scores to probabilities that mean what they say. Guo et al. 2017, arXiv:1706.04599.

A network that is 90 % sure should be right nine times in ten. One number, the temperature, corrects most of
the overconfidence of a trained network and never changes which class it prefers (Section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.metrics.checks import checked_pair

__all__ = ["BINS", "ReliabilityBins", "fit_temperature", "reliability_bins"]

BINS = 15  # the number that Guo et al. use, and most of the field after them
LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(logits: NDArray[Any], labels: NDArray[np.integer[Any]]) -> float:
    """The temperature T that minimises the mean negative log-likelihood of `softmax(logits / T)`.

    Fit it on images that the network was not trained on. Section 4.2; the loss is convex in 1 / T, so that
    the search over log T between 0.05 and 20 finds its one minimum.

    Args:
        logits: the network's scores, shape (n, c), finite.
        labels: the true class of each row, shape (n,), in 0..c-1.

    Returns:
        T between 0.05 and 20; its loss is never worse than that of T = 1.

    Raises:
        DataError: the shapes do not fit, a label is out of range, or a logit is not finite.
    """
    from scipy.optimize import minimize_scalar

    scores, truth = checked_pair(logits, labels, "logits")
    centred = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    mean_true = centred[np.arange(len(truth)), truth].mean()

    def loss(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        return float(np.log(np.exp(centred * inverse).sum(axis=1)).mean() - mean_true * inverse)

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0


@dataclass(frozen=True, eq=False)
class ReliabilityBins:
    """Sums over the images whose confidence falls into each bin.

    Attributes:
        edges: the bounds of the bins, shape (bins + 1,), 0 to 1; a bin holds its upper bound, not its lower.
        count: images, shape (bins,).
        correct: images that are right, shape (bins,).
        confidence: the sum of the confidences, shape (bins,).
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    correct: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @property
    def expected_error(self) -> float:
        """The expected calibration error, 0 to 1: the mean over images of their bin's gap. Eq. 3."""
        return float(np.abs(self.correct - self.confidence).sum() / self.count.sum())


def reliability_bins(confidence: NDArray[Any], correct: NDArray[np.bool_], *, bins: int = BINS) -> ReliabilityBins:
    """Sort images by how sure the network was, into bins of equal width. Eq. 1 and 2.

    Args:
        confidence: the probability of the predicted class, shape (n,), 0 to 1.
        correct: whether the predicted class is the true one, shape (n,).
        bins: how many bins.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    return ReliabilityBins(
        edges,
        np.bincount(place, minlength=bins),
        np.bincount(place[correct], minlength=bins),
        np.bincount(place, weights=confidence, minlength=bins).astype(np.float64),
    )
