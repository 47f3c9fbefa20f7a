"""Small networks on digits, trained with NumPy alone: softmax, its temperature, and learning from soft targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import normal

__all__ = ["SmallNetwork", "entropy", "fresh_network", "softened", "train_small_network"]

Floats = NDArray[np.float64]

_CLASSES = 10
_RATE, _DECAY = 0.01, 1e-4
_BETAS, _LEAST = (0.9, 0.999), 1e-8  # of Adam


@dataclass(frozen=True, eq=False)
class SmallNetwork:
    """A hidden layer with ReLU, and a linear one: `relu(x w1 + b1) w2 + b2`.

    Attributes:
        weights: w1 `(d, h)`, b1 `(h,)`, w2 `(h, 10)`, b2 `(10,)`.
    """

    weights: tuple[Floats, ...]

    def hidden(self, x: Floats) -> Floats:
        """Return the hidden activations `(n, h)` of pictures `(n, d)`."""
        w1, b1, _, _ = self.weights
        return np.maximum(x @ w1 + b1, 0)

    def logits(self, x: Floats) -> Floats:
        """Return the logits `(n, 10)` of pictures `(n, d)`."""
        _, _, w2, b2 = self.weights
        return self.hidden(x) @ w2 + b2

    def parameters(self) -> int:
        """Return the number of weights and biases."""
        return sum(values.size for values in self.weights)


def fresh_network(inputs: int, hidden: int, seed: int) -> SmallNetwork:
    """Return a network with random weights (He et al. 2015, arXiv:1502.01852)."""
    w1 = normal(seed, 0, np.arange(inputs)[:, None], np.arange(hidden)) * np.sqrt(2 / inputs)
    w2 = normal(seed, 1, np.arange(hidden)[:, None], np.arange(_CLASSES)) * np.sqrt(1 / hidden)
    return SmallNetwork((w1, np.zeros(hidden), w2, np.zeros(_CLASSES)))


def softened(logits: Floats, temperature: float) -> Floats:
    """Return `softmax(z / T)` over the last axis."""
    powers = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def entropy(probabilities: Floats) -> Floats:
    """Return the entropy over the last axis, in bits."""
    logs = np.log2(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return np.asarray(-(probabilities * logs).sum(-1))


def train_small_network(
    network: SmallNetwork, x: Floats, aims: Floats, *, steps: int, temperature: float = 1.0, every: int = 0
) -> Iterator[tuple[int, SmallNetwork]]:
    """Train on all pictures at once, by Adam, and yield the steps made and the network: every so often, and at the end.

    The loss is T² times the cross-entropy of `softmax(z / T)` against the targets, in the mean.

    Args:
        network: to start from; left as it is.
        x: pictures `(n, d)`.
        aims: target probabilities `(n, 10)`, of the same temperature.
        steps: of Adam.
        temperature: T.
        every: steps between two that are yielded; 0 for the end alone.
    """
    weights = [values.copy() for values in network.weights]
    means, squares = ([np.zeros_like(values) for values in weights] for _ in range(2))
    for step in range(1, steps + 1):
        now = SmallNetwork(tuple(weights))
        hidden = now.hidden(x)
        error = temperature * (softened(now.logits(x), temperature) - aims) / len(x)
        below = (error @ weights[2].T) * (hidden > 0)
        gradients = (x.T @ below, below.sum(0), hidden.T @ error, error.sum(0))
        for at, gradient in enumerate(gradients):
            means[at] = _BETAS[0] * means[at] + (1 - _BETAS[0]) * gradient
            squares[at] = _BETAS[1] * squares[at] + (1 - _BETAS[1]) * gradient**2
            move = means[at] / (1 - _BETAS[0] ** step) / (np.sqrt(squares[at] / (1 - _BETAS[1] ** step)) + _LEAST)
            weights[at] = weights[at] - _RATE * (move + _DECAY * weights[at])
        if step == steps or (every and step % every == 0):
            yield step, SmallNetwork(tuple(values.copy() for values in weights))
