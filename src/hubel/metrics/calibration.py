"""Calibrate class probabilities by temperature scaling, and measure calibration. Guo et al. 2017, arXiv:1706.04599.

Of the predictions with a confidence of 90 %, nine in ten should be correct. A single temperature corrects most of the
overconfidence of a trained network and never changes the predicted class (Section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.metrics.checks import checked_pair

__all__ = ["BINS", "ReliabilityBins", "fit_temperature", "reliability_bins"]

BINS = 15  # as in Guo et al.
LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(
    logits: NDArray[Any], labels: NDArray[np.integer[Any]], *, log_shift: NDArray[np.float64] | None = None
) -> float:
    """Fit the temperature T that minimises the mean negative log-likelihood of `softmax(logits / T)` (Section 4.2).

    Use images that the network was not trained on. The loss is convex in 1 / T, so that the search over log T for T
    between 0.05 and 20 finds its minimum.

    Args:
        logits: logits of the network, shape (n, c), finite.
        labels: true classes, shape (n,), in 0..c-1.
        log_shift: added to `logits / T`, shape (c,): the logarithm of the classes' shares among these images over those
            that the logits assume, by which the scores hold for these images. None for 0.

    Returns:
        T between 0.05 and 20; its loss is never higher than that of T = 1.

    Raises:
        DataError: the shapes do not match, a label is out of range, or a logit is not finite.
    """
    from scipy.optimize import minimize_scalar

    scores, truth = checked_pair(logits, labels, "logits")
    centred = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    mean_true = centred[np.arange(len(truth)), truth].mean()
    factors = 1.0 if log_shift is None else np.exp(log_shift)

    def loss(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        return float(np.log((np.exp(centred * inverse) * factors).sum(axis=1)).mean() - mean_true * inverse)

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0


@dataclass(frozen=True, eq=False, kw_only=True)
class ReliabilityBins:
    """Images by confidence, as sums over bins of equal width.

    Attributes:
        edges: bounds of the bins, shape (bins + 1,), 0 to 1; a bin includes its upper bound, not its lower one.
        count: number of images, shape (bins,).
        correct: number of correctly classified images, shape (bins,).
        confidence: sum of the confidences, shape (bins,).
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    correct: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @property
    def expected_error(self) -> float:
        """Expected calibration error, 0 to 1: the mean gap of confidence and accuracy, weighted by images (Eq. 3)."""
        return float(np.abs(self.correct - self.confidence).sum() / self.count.sum())


def reliability_bins(confidence: NDArray[Any], correct: NDArray[np.bool_], *, bins: int = BINS) -> ReliabilityBins:
    """Group images by confidence into bins of equal width (Eq. 1 and 2).

    Args:
        confidence: probability of the predicted class, shape (n,), 0 to 1.
        correct: whether the predicted class is the true one, shape (n,).
        bins: number of bins.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    bin_of = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    return ReliabilityBins(
        edges=edges,
        count=np.bincount(bin_of, minlength=bins),
        correct=np.bincount(bin_of[correct], minlength=bins),
        confidence=np.bincount(bin_of, weights=confidence, minlength=bins).astype(np.float64),
    )
