"""The small network of the walkthrough in plain numpy: forward, loss, and the gradient by the formulas on the page.

Two rounds of patterns, as a stack: 3 patterns of 3x3 pixels, ReLU, 2x2 max pooling, 2 patterns of 3x3x3 values, ReLU,
flatten, two sigmoid outputs. A match is the sum of products over the number of pixels under the pattern.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["Trace", "Weights", "forward", "gradient", "losses", "match", "moved", "pool", "sigmoid", "step"]

Floats = NDArray[np.float64]
_AREA = 9  # pixels under a pattern


@dataclass(frozen=True, eq=False)
class Weights:
    """All that the network learns.

    Attributes:
        patterns: first round, `(3, 1, 3, 3)`.
        arrangements: second round, `(2, 3, 3, 3)`: where the patterns must be.
        output: `(2, 8)`, a row each for X and O.
        bias: `(2,)`, added to the outputs' sums.
    """

    patterns: Floats
    arrangements: Floats
    output: Floats
    bias: Floats


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything that the network computes of `n` pictures, in order.

    Attributes:
        pictures: `(n, 1, 9, 9)`, -1 or +1.
        matches: of the patterns, `(n, 3, 7, 7)`, -1 to 1.
        rectified: the same, negative ones as 0.
        pooled: `(n, 3, 4, 4)`.
        arranged: matches of the arrangements, `(n, 2, 2, 2)`.
        flat: these rectified, as a list, `(n, 8)`.
        sums: `(n, 2)`.
        outputs: `(n, 2)`, 0 to 1: is it an X, is it an O.
    """

    pictures: Floats
    matches: Floats
    rectified: Floats
    pooled: Floats
    arranged: Floats
    flat: Floats
    sums: Floats
    outputs: Floats


def match(maps: Floats, patterns: Floats) -> Floats:
    """Each pattern at each position: maps `(n, c, h, w)`, patterns `(k, c, 3, 3)`, to `(n, k, h - 2, w - 2)`."""
    scores: Floats = np.tensordot(_windows(maps), patterns, ([1, 4, 5], [1, 2, 3])) / _AREA
    return scores.transpose(0, 3, 1, 2)


def pool(maps: Floats) -> Floats:
    """The largest of each 2x2 values, `(n, c, h, w)` to `(n, c, ceil(h / 2), ceil(w / 2))`; of fewer at the edge."""
    largest: Floats = _quarters(maps).max(4)
    return largest


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), any shape."""
    return 1 / (1 + np.exp(-x))


def moved(picture: Floats, down: int, right: int) -> Floats:
    """A picture `(9, 9)` moved by some pixels; what comes in is background, -1."""
    height, width = picture.shape
    wide = np.pad(picture, max(abs(down), abs(right)), constant_values=-1.0)
    top, left = (wide.shape[0] - height) // 2 - down, (wide.shape[1] - width) // 2 - right
    return wide[top : top + height, left : left + width]


def forward(weights: Weights, pictures: Floats) -> Trace:
    """The network's answer for pictures `(n, 9, 9)`, and all on the way there."""
    layer = pictures[:, None]
    matches = match(layer, weights.patterns)
    rectified = np.maximum(matches, 0)
    pooled = pool(rectified)
    arranged = match(pooled, weights.arrangements)
    flat = np.maximum(arranged, 0).reshape(len(pictures), -1)
    sums = flat @ weights.output.T + weights.bias
    return Trace(layer, matches, rectified, pooled, arranged, flat, sums, sigmoid(sums))


def losses(outputs: Floats, targets: Floats) -> Floats:
    """Binary cross-entropy, -log of the probability of what is right, of each output: `(n, 2)` and `(n, 2)`."""
    return -np.log(np.where(targets == 1, outputs, 1 - outputs))


def gradient(weights: Weights, trace: Trace, targets: Floats) -> Weights:
    """How the summed loss of each picture, in the mean over pictures, changes with each weight.

    Through sigmoid and loss together, the error of an output is what it says minus what it should say.
    """
    error = (trace.outputs - targets) / len(targets)
    in_arranged = (error @ weights.output).reshape(trace.arranged.shape) * (trace.arranged > 0)
    in_pooled = _in_maps(in_arranged, weights.arrangements)
    in_matches = _in_largest(in_pooled, trace.rectified) * (trace.matches > 0)
    return Weights(
        _in_patterns(in_matches, trace.pictures),
        _in_patterns(in_arranged, trace.pooled),
        error.T @ trace.flat,
        error.sum(0),
    )


def step(weights: Weights, by: Weights, rate: float) -> Weights:
    """The weights after one step against their gradient."""
    return Weights(*(getattr(weights, f.name) - rate * getattr(by, f.name) for f in fields(Weights)))


def _windows(maps: Floats) -> Floats:
    """`(n, c, h - 2, w - 2, 3, 3)`."""
    return sliding_window_view(maps, (3, 3), (2, 3))


def _quarters(maps: Floats) -> Floats:
    """The values under each 2x2 window, `(n, c, ceil(h / 2), ceil(w / 2), 4)`; -inf beyond the edge."""
    n, c, h, w = maps.shape
    even = np.pad(maps, ((0, 0), (0, 0), (0, h % 2), (0, w % 2)), constant_values=-np.inf)
    rows, columns = -(-h // 2), -(-w // 2)
    return even.reshape(n, c, rows, 2, columns, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, rows, columns, 4)


def _in_largest(in_pooled: Floats, maps: Floats) -> Floats:
    """The gradient of a pooled value belongs to the largest under its window, the first of equal ones."""
    n, c, h, w = maps.shape
    quarters = _quarters(maps)
    chosen = quarters.argmax(4)[..., None] == np.arange(4)
    spread = (chosen * in_pooled[..., None]).reshape(n, c, -(-h // 2), -(-w // 2), 2, 2)
    whole: Floats = spread.transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h + h % 2, w + w % 2)
    return whole[:, :, :h, :w]


def _in_patterns(in_matches: Floats, maps: Floats) -> Floats:
    """The gradient of a pattern: what lay under it at each position, times the gradient there."""
    found: Floats = np.tensordot(in_matches, _windows(maps), ([0, 2, 3], [0, 2, 3]))
    return found / _AREA


def _in_maps(in_matches: Floats, patterns: Floats) -> Floats:
    """The gradient of a map that patterns were slid over: each leaves its values, times the gradient there."""
    n, _, h, w = in_matches.shape
    maps = np.zeros((n, patterns.shape[1], h + 2, w + 2))
    for row in range(3):
        for column in range(3):
            share = np.tensordot(in_matches, patterns[:, :, row, column], (1, 0))
            maps[:, :, row : row + h, column : column + w] += share.transpose(0, 3, 1, 2)
    return maps / _AREA
