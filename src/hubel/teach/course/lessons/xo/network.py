"""Small network of the lesson in plain numpy: forward pass, loss, and the gradient by the formulas on the page.

Two convolutions: 3 patterns of 3x3 pixels, ReLU, 2x2 max pooling, 2 arrangements of 3x3x3 values, ReLU, flatten, two
sigmoid outputs. A match is the sum of products divided by the number of pixels under the pattern.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = [
    "Trace",
    "Weights",
    "cross_entropies",
    "gradient",
    "logistic",
    "match",
    "moved",
    "pool",
    "step",
    "trace_forward",
]

Floats = NDArray[np.float64]
_AREA = 9  # pixels under a pattern


@dataclass(frozen=True, eq=False)
class Weights:
    """Trainable weights of the network, or their gradients.

    Attributes:
        patterns: kernels of the first convolution, `(3, 1, 3, 3)`.
        arrangements: kernels of the second convolution, `(2, 3, 3, 3)`.
        output: weights of the outputs X and O, `(2, 8)`.
        bias: biases of the outputs, `(2,)`.
    """

    patterns: Floats
    arrangements: Floats
    output: Floats
    bias: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Trace:
    """All intermediate values of a forward pass of `n` images, in order.

    Attributes:
        images: `(n, 1, 9, 9)`, -1 or +1.
        matches: matches of the patterns, `(n, 3, 7, 7)`, -1 to 1.
        rectified: matches after ReLU, `(n, 3, 7, 7)`.
        pooled: after max pooling, `(n, 3, 4, 4)`.
        arranged: matches of the arrangements, `(n, 2, 2, 2)`.
        flat: these after ReLU, flattened, `(n, 8)`.
        sums: logits of X and O, `(n, 2)`.
        outputs: probabilities of X and O, `(n, 2)`.
    """

    images: Floats
    matches: Floats
    rectified: Floats
    pooled: Floats
    arranged: Floats
    flat: Floats
    sums: Floats
    outputs: Floats


def match(maps: Floats, patterns: Floats) -> Floats:
    """Match patterns `(k, c, 3, 3)` at each position of maps `(n, c, h, w)`; return `(n, k, h - 2, w - 2)`."""
    scores: Floats = np.tensordot(_windows(maps), patterns, ([1, 4, 5], [1, 2, 3])) / _AREA
    return scores.transpose(0, 3, 1, 2)


def pool(maps: Floats) -> Floats:
    """Max-pool maps by 2x2, `(n, c, h, w)` to `(n, c, ceil(h / 2), ceil(w / 2))`; windows are smaller at the border."""
    largest: Floats = _pool_windows(maps).max(4)
    return largest


def logistic(x: Floats) -> Floats:
    """Return the sigmoid 1 / (1 + exp(-x)), element by element."""
    return 1 / (1 + np.exp(-x))


def moved(image: Floats, down: int, right: int) -> Floats:
    """Shift an image `(9, 9)` by `down` and `right` pixels, filled with background, -1."""
    height, width = image.shape
    padded = np.pad(image, max(abs(down), abs(right)), constant_values=-1.0)
    top, left = (padded.shape[0] - height) // 2 - down, (padded.shape[1] - width) // 2 - right
    return padded[top : top + height, left : left + width]


def trace_forward(weights: Weights, images: Floats) -> Trace:
    """Run the network on images `(n, 9, 9)`; return all intermediate values."""
    layer = images[:, None]
    matches = match(layer, weights.patterns)
    rectified = np.maximum(matches, 0)
    pooled = pool(rectified)
    arranged = match(pooled, weights.arrangements)
    flat = np.maximum(arranged, 0).reshape(len(images), -1)
    sums = flat @ weights.output.T + weights.bias
    return Trace(
        images=layer,
        matches=matches,
        rectified=rectified,
        pooled=pooled,
        arranged=arranged,
        flat=flat,
        sums=sums,
        outputs=logistic(sums),
    )


def cross_entropies(outputs: Floats, targets: Floats) -> Floats:
    """Return each output's binary cross-entropy, -log of the probability of the target, for arrays `(n, 2)`."""
    return -np.log(np.where(targets == 1, outputs, 1 - outputs))


def gradient(weights: Weights, trace: Trace, targets: Floats) -> Weights:
    """Return the gradient of the loss, summed over outputs and averaged over images, with respect to each weight.

    The derivative of sigmoid and loss together is the output minus the target.
    """
    error = (trace.outputs - targets) / len(targets)
    in_arranged = (error @ weights.output).reshape(trace.arranged.shape) * (trace.arranged > 0)
    in_pooled = _map_gradient(in_arranged, weights.arrangements)
    in_matches = _unpool_gradient(in_pooled, trace.rectified) * (trace.matches > 0)
    return Weights(
        _pattern_gradient(in_matches, trace.images),
        _pattern_gradient(in_arranged, trace.pooled),
        error.T @ trace.flat,
        error.sum(0),
    )


def step(weights: Weights, by: Weights, rate: float) -> Weights:
    """Return the weights after one step against the gradient `by`."""
    return Weights(*(getattr(weights, f.name) - rate * getattr(by, f.name) for f in fields(Weights)))


def _windows(maps: Floats) -> Floats:
    """Return all 3x3 windows of maps, `(n, c, h - 2, w - 2, 3, 3)`."""
    return sliding_window_view(maps, (3, 3), (2, 3))


def _pool_windows(maps: Floats) -> Floats:
    """Return the values of each 2x2 window, `(n, c, ceil(h / 2), ceil(w / 2), 4)`; -inf beyond the border."""
    n, c, h, w = maps.shape
    even = np.pad(maps, ((0, 0), (0, 0), (0, h % 2), (0, w % 2)), constant_values=-np.inf)
    rows, columns = -(-h // 2), -(-w // 2)
    return even.reshape(n, c, rows, 2, columns, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, rows, columns, 4)


def _unpool_gradient(in_pooled: Floats, maps: Floats) -> Floats:
    """Propagate the gradient of max pooling to the largest value of each window, the first of equal ones."""
    n, c, h, w = maps.shape
    windows = _pool_windows(maps)
    chosen = windows.argmax(4)[..., None] == np.arange(4)
    spread = (chosen * in_pooled[..., None]).reshape(n, c, -(-h // 2), -(-w // 2), 2, 2)
    whole: Floats = spread.transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h + h % 2, w + w % 2)
    return whole[:, :, :h, :w]


def _pattern_gradient(in_matches: Floats, maps: Floats) -> Floats:
    """Return the gradient of patterns: the values under them at each position, times the gradient there."""
    found: Floats = np.tensordot(in_matches, _windows(maps), ([0, 2, 3], [0, 2, 3]))
    return found / _AREA


def _map_gradient(in_matches: Floats, patterns: Floats) -> Floats:
    """Return the gradient of maps: the pattern's values at each position, times the gradient there."""
    n, _, h, w = in_matches.shape
    maps = np.zeros((n, patterns.shape[1], h + 2, w + 2))
    for row in range(3):
        for column in range(3):
            share = np.tensordot(in_matches, patterns[:, :, row, column], (1, 0))
            maps[:, :, row : row + h, column : column + w] += share.transpose(0, 3, 1, 2)
    return maps / _AREA
