"""The linear classifier: one template a class, learned by gradient descent on all pictures at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Templates", "class_averages", "learn_templates"]

Floats = NDArray[np.float64]

_STEPS, _RATE, _MOMENTUM, _DECAY = 150, 0.5, 0.9, 1e-3


@dataclass(frozen=True, eq=False, kw_only=True)
class Templates:
    """A linear classifier.

    Attributes:
        weights: one template a class, `(classes, h, w)`.
        bias: one number a class, `(classes,)`.
    """

    weights: Floats
    bias: Floats

    def scores(self, pictures: Floats) -> Floats:
        """Return the score of each class `(n, classes)` of pictures `(n, h, w)`: sum of products, plus the bias."""
        return np.asarray(np.tensordot(pictures, self.weights, ([1, 2], [1, 2])) + self.bias)

    def classify(self, pictures: Floats) -> NDArray[np.int64]:
        """Return the class of the highest score `(n,)`."""
        return np.asarray(self.scores(pictures).argmax(1))


def learn_templates(pictures: Floats, labels: NDArray[np.int64], classes: int = 10) -> Templates:
    """Minimise the cross-entropy, plus a little weight decay, from zero.

    Args:
        pictures: grey values from 0 to 1, `(n, h, w)`.
        labels: class numbers, `(n,)`.
        classes: their number.
    """
    n, *shape = pictures.shape
    x, targets = pictures.reshape(n, -1), np.eye(classes)[labels]
    weights, bias = np.zeros((classes, x.shape[1])), np.zeros(classes)
    weights_speed, bias_speed = np.zeros_like(weights), np.zeros_like(bias)
    for _ in range(_STEPS):
        error = (_softmax(x @ weights.T + bias) - targets) / n
        weights_speed = _MOMENTUM * weights_speed + error.T @ x + _DECAY * weights
        bias_speed = _MOMENTUM * bias_speed + error.sum(0)
        weights, bias = weights - _RATE * weights_speed, bias - _RATE * bias_speed
    return Templates(weights=weights.reshape(classes, *shape), bias=bias)


def class_averages(pictures: Floats, labels: NDArray[np.int64], classes: int = 10) -> Templates:
    """Return the classifier that picks the nearest average picture; it is linear, too.

    |x - m|^2 = |x|^2 - 2 m x + |m|^2, and |x|^2 is the same for every class: the score is m x - |m|^2 / 2.
    """
    means = np.stack([pictures[labels == number].mean(0) for number in range(classes)])
    return Templates(weights=means, bias=-(means**2).sum((1, 2)) / 2)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))
