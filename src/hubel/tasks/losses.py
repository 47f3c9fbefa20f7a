"""Losses, each one number for each sample, so that batches of any size and weights can be summed exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

__all__ = ["LOSSES", "Loss", "class_weights"]


def _one_hot(targets: Tensor, logits: Tensor, smoothing: float) -> Tensor:
    """Targets `(n, classes)`, a share of each spread over all classes (Szegedy et al. 2015, arXiv:1512.00567)."""
    classes = logits.shape[1]
    hot = targets if targets.ndim == 2 else F.one_hot(targets, classes)
    return hot.to(logits.dtype) * (1 - smoothing) + smoothing / classes


def _softmax(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of softmax: -sum(t * log p)."""
    return F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")


def _sigmoid(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Binary cross-entropy, summed over the classes: each output is a classifier of its own."""
    hot = _one_hot(targets, logits, smoothing)
    return F.binary_cross_entropy_with_logits(logits, hot, reduction="none").sum(1)


def _mse(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Squared error of outputs against 0 and 1, summed over the classes (LeCun 1998, Eq. 8, without its bitmaps)."""
    return (logits - _one_hot(targets, logits, smoothing)).square().sum(1)


LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
    "mse": _mse,
}


@dataclass(frozen=True)
class Loss:
    """A loss with its settings.

    Attributes:
        kind: a key of `LOSSES`.
        smoothing: label smoothing, 0 to 1.
        weights: one for each class, or None.
    """

    kind: str
    smoothing: float = 0.0
    weights: Tensor | None = None

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Losses `(n,)` of outputs `(n, classes)` for targets `(n,)`, class numbers, or `(n, classes)` of 0 and 1."""
        losses = LOSSES[self.kind](logits.float(), targets, self.smoothing)
        if self.weights is None:
            return losses
        if targets.ndim == 1:
            return losses * self.weights[targets]
        return losses * (targets @ self.weights) / targets.sum(1).clamp(min=1)


def class_weights(targets: NDArray[np.generic], classes: int) -> Tensor:
    """N / (C * n_c) for each of the C classes that have samples: a rare class counts as much as a common one.

    N is the number of labels, over which the mean weight is 1. A class without samples has weight 0.
    Source: King & Zeng 2001, "Logistic regression in rare events data".
    """
    counts = targets.sum(0) if targets.ndim == 2 else np.bincount(targets.astype(np.int64), minlength=classes)
    weights = np.divide(counts.sum(), np.count_nonzero(counts) * counts, out=np.zeros(classes), where=counts > 0)
    return torch.from_numpy(weights.astype(np.float32))
