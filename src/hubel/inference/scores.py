"""Compute scores from the outputs of a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import OptionError
from hubel.weights.card import ModelCard

__all__ = ["network_scores", "rows", "scores", "shares", "sigmoid", "softmax"]


def softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Compute probabilities `exp(z / T) / sum(exp(z / T))` over the last axis, without overflow.

    Args:
        logits: finite scores, shape (..., c).
        temperature: T > 0; above 1 it flattens, below 1 it sharpens.

    Raises:
        OptionError: the temperature is not a positive finite number.

    >>> softmax([[1000.0, 1000.0]])
    array([[0.5, 0.5]])
    """
    if not 0 < temperature < np.inf:
        raise OptionError(f"the temperature must be a positive number, not {temperature}")
    z = np.asarray(logits, dtype=np.float64)
    powers = np.exp((z - z.max(axis=-1, keepdims=True)) / temperature)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """Compute probabilities `1 / (1 + exp(-z))`, element by element, without overflow.

    >>> sigmoid([-1000.0, 0.0, 1000.0])
    array([0. , 0.5, 1. ])
    """
    return np.asarray(np.exp(-np.logaddexp(0.0, -np.asarray(logits, dtype=np.float64))))


def scores(logits: ArrayLike, card: ModelCard) -> NDArray[np.float64]:
    """Return the scores of a model's outputs: probabilities, or the numbers that it predicts.

    Args:
        logits: finite outputs `(n, outputs)`.
        card: kind of scores, temperature, offset.
    """
    if card.scores == "softmax":
        return softmax(logits, card.temperature)
    if card.scores == "sigmoid":
        return sigmoid(logits)
    return np.asarray(logits, dtype=np.float64) / card.temperature + card.offset


def network_scores(outputs: NDArray[np.float32], card: ModelCard) -> NDArray[np.float32]:
    """Return the scores of the outputs `(n, c, ...)` of a network that annotates images, in their own precision.

    Args:
        outputs: finite; see `ModelCard.dense`.
        card: kind of scores, temperature.
    """
    if card.scores == "softmax":
        powers = np.exp((outputs - outputs.max(1, keepdims=True)) / np.float32(card.temperature))
        return np.asarray(powers / powers.sum(1, keepdims=True))
    return sigmoid(outputs).astype(np.float32) if card.scores == "sigmoid" else outputs


def shares(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores `(n, classes)`, at least 0, brought to a sum of 1, which those of independent outputs have not.

    >>> shares(np.array([[0.5, 1.0], [0.0, 0.0]]))
    array([[0.33333333, 0.66666667],
           [0.5       , 0.5       ]])
    """
    total = scores.sum(1, keepdims=True)
    return np.asarray(np.divide(scores, total, out=np.full_like(scores, 1 / scores.shape[1]), where=total > 0))


def rows(outputs: ArrayLike, card: ModelCard) -> NDArray[np.float64]:
    """Return the scores of a model's outputs, with what stands behind the logits: the novelty, if there is a rule.

    Args:
        outputs: finite, `(n, classes)` or `(n, classes + 1)`.
        card: see `scores`.
    """
    found, classes = np.asarray(outputs, dtype=np.float64), len(card.classes)
    return np.concatenate([scores(found[:, :classes], card), found[:, classes:]], 1)
