"""Losses, one number for each sample, so that batches of any size and weight can be summed exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hubel.metrics.imbalance import class_counts, method_weights

__all__ = ["LOSSES", "Loss", "LossSettings", "class_weights", "sample_weights"]


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """A loss by name, with its options.

    Attributes:
        name: a key of `LOSSES`.
        label_smoothing: share of the target that is spread over all classes, 0 to 1.
        balance: how unequal classes are treated, one of `hubel.metrics.imbalance.METHODS`.
        counts: training labels of each class; empty where they are not counted.
    """

    name: str
    label_smoothing: float = 0.0
    balance: str = "none"
    counts: tuple[int, ...] = ()


def _one_hot(targets: Tensor, logits: Tensor, smoothing: float) -> Tensor:
    """Return smoothed targets `(n, classes)` (Szegedy et al. 2015, arXiv:1512.00567, Section 7)."""
    classes = logits.shape[1]
    hot = targets if targets.ndim == 2 else F.one_hot(targets, classes)
    return hot.to(logits.dtype) * (1 - smoothing) + smoothing / classes


def _cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Compute the cross-entropy of softmax, -sum(t * log p)."""
    return F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")


def _bce(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Compute the binary cross-entropy of each output, summed over the classes."""
    hot = _one_hot(targets, logits, smoothing)
    return F.binary_cross_entropy_with_logits(logits, hot, reduction="none").sum(1)


def _mse(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Compute the squared error against 0 and 1, summed over the classes (LeCun 1998, Eq. 8, without its bitmaps)."""
    return (logits - _one_hot(targets, logits, smoothing)).square().sum(1)


#: Losses by name; each takes logits, targets and the share of label smoothing.
LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "cross_entropy": _cross_entropy,
    "bce": _bce,
    "mse": _mse,
}


@dataclass(frozen=True)
class Loss:
    """A loss of classification, ready to compute.

    Attributes:
        name: a key of `LOSSES`.
        smoothing: label smoothing, 0 to 1.
        weights: one for each class, or None.
        offsets: added to the logits of each class, or None: the logarithms of their prior (Menon et al. 2021, Eq. 10).
    """

    name: str
    smoothing: float = 0.0
    weights: Tensor | None = None
    offsets: Tensor | None = None

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return losses `(n,)` of logits `(n, classes)` for class numbers `(n,)` or 0 and 1 `(n, classes)`."""
        logits = logits.float() if self.offsets is None else logits.float() + self.offsets
        losses = LOSSES[self.name](logits, targets, self.smoothing)
        return losses if self.weights is None else losses * sample_weights(targets, self.weights)


def class_weights(targets: NDArray[np.generic], classes: int, method: str = "inverse") -> Tensor:
    """Return the weight of each class in the loss: N / (C * n_c) for each of the C classes that have samples.

    N is the number of labels, over which the mean weight is 1. A class without samples has weight 0.

    Args:
        targets: class numbers `(n,)`, or 0 and 1 `(n, classes)`.
        classes: how many there are.
        method: "inverse", as above, or "effective"; see `hubel.metrics.imbalance`.
    """
    return torch.from_numpy(method_weights(class_counts(targets, classes), method).astype(np.float32))


def sample_weights(targets: Tensor, weights: Tensor) -> Tensor:
    """Return the weight of each image `(n,)`, given one for each class: its class's, the mean of its classes', or 1.

    Args:
        targets: class numbers `(n,)`, or 0 and 1 `(n, classes)`; an image without any class weighs 1.
        weights: of the classes, `(classes,)`.
    """
    if targets.ndim == 1:
        return weights[targets]
    number = targets.sum(1)
    return torch.where(number > 0, (targets @ weights) / number.clamp(min=1), 1.0)
