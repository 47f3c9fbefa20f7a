"""From a network's outputs to scores between 0 and 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import OptionError

__all__ = ["scores", "sigmoid", "softmax"]


def softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities `(n, c)` of outputs `(n, c)` divided by a temperature above 0; each row sums to 1.

    Raises:
        OptionError: the temperature is not above 0.

    >>> softmax([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """
    if not temperature > 0:
        raise OptionError(f"a temperature is above 0, not {temperature}")
    z = np.asarray(logits, np.float64) / temperature
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """The score of each output by itself, `1 / (1 + exp(-x))`, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(np.asarray(logits, np.float64) / 2)))


def scores(logits: ArrayLike, kind: str, temperature: float) -> NDArray[np.float64]:
    """Scores of the kind that a model's card names."""
    return softmax(logits, temperature) if kind == "softmax" else sigmoid(logits)
