"""The numbers of the walkthrough: what is compared, matched, weighed and learned, in the order of the page."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import permutation, uniform
from hubel.data.sources.builtin import XO, draw_xo
from hubel.teach.walkthrough.network import Trace, Weights, forward, gradient, losses, moved, step

__all__ = [
    "BATCH", "RATE", "STEPS", "Comparison", "Position", "Step", "Story", "Training",
    "chosen_weights", "one_step", "tell", "train", "xo_pictures",
]  # fmt: skip

Floats = NDArray[np.float64]

REFERENCES = XO(size=9, count=2, shift=0, scale=1, rotate=0, thicker=1, noise=0)
DRAWINGS = XO(size=9, count=1000, shift=0.2, scale=0.85, rotate=15, thicker=1.3, noise=0.02)
STEPS, BATCH, RATE = 200, 100, 1.0
_CHANCE = 135  # the seed of the output weights: with it, sums of rounded numbers come out right on the page
_NEW = 1  # the seed of drawings that training never sees
_FARTHEST = 2  # pixels


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two pictures, pixel by pixel.

    Attributes:
        what: the picture, in words.
        picture: `(9, 9)`, -1 or +1.
        products: with the reference's pixels.
    """

    what: str
    picture: Floats
    products: Floats

    @property
    def agree(self) -> int:
        """How many pixels are equal."""
        return int((self.products > 0).sum())

    @property
    def differ(self) -> int:
        """How many are not."""
        return self.products.size - self.agree

    @property
    def score(self) -> float:
        """The mean product, -1 to 1."""
        return float(self.products.mean())


@dataclass(frozen=True, eq=False)
class Position:
    """A pattern at one place of a picture.

    Attributes:
        row: of the window's upper left pixel.
        column: likewise.
        under: what the window sees, `(3, 3)`.
        products: with the pattern.
    """

    row: int
    column: int
    under: Floats
    products: Floats

    @property
    def score(self) -> float:
        """The mean product, -1 to 1."""
        return float(self.products.mean())


@dataclass(frozen=True, eq=False)
class Step:
    """One gradient step on one picture.

    Attributes:
        before: the network's way from the picture to its outputs.
        error: outputs minus targets, `(2,)`.
        gradient: of the loss, for every weight.
        weights: after the step.
        after: the way of the same picture then.
        losses: of the two outputs before, `(2,)`.
        losses_after: likewise.
    """

    before: Trace
    error: Floats
    gradient: Weights
    weights: Weights
    after: Trace
    losses: Floats
    losses_after: Floats


@dataclass(frozen=True, eq=False)
class Training:
    """What came of many steps.

    Attributes:
        weights: in the end.
        curve: the loss of each step's drawings, mean per picture, before the step.
        samples: some of the drawings, `(12, 9, 9)`.
        confusions: by data ("drawn", "moved") and method ("pixels", "network"): counts `(2, 2)`, true X and O in rows.
    """

    weights: Weights
    curve: Floats
    samples: Floats
    confusions: dict[tuple[str, str], NDArray[np.int64]]

    def accuracy(self, data: str, method: str) -> float:
        """The share of pictures that are told right."""
        confusion = self.confusions[data, method]
        return float(np.trace(confusion) / confusion.sum())


@dataclass(frozen=True, eq=False)
class Story:
    """All of it.

    Attributes:
        x: the reference X, `(9, 9)`.
        o: the reference O.
        comparisons: of the reference X with itself, with itself moved, and with the O.
        moved_o: scores of an O moved down and right, with the references X and O.
        weights: of the network before it has learned: chosen patterns and arrangements, small random output weights.
        x_trace: what this network computes of the X.
        o_trace: of the O.
        moved_trace: of the X moved right.
        positions: of the first pattern on the X, all 49, row by row.
        step: one gradient step on the X.
        training: what came of 200.
    """

    x: Floats
    o: Floats
    comparisons: tuple[Comparison, ...]
    moved_o: tuple[float, float]
    weights: Weights
    x_trace: Trace
    o_trace: Trace
    moved_trace: Trace
    positions: tuple[Position, ...]
    step: Step
    training: Training


def tell() -> Story:
    """Compute everything; takes a second."""
    (x, o), _ = xo_pictures(REFERENCES)
    weights = chosen_weights()
    right = moved(x, 0, 1)
    astray = moved(o, 1, 1)
    return Story(
        x,
        o,
        (
            Comparison("the X itself", x, x * x),
            Comparison("the X, one pixel to the right", right, right * x),
            Comparison("an O", o, o * x),
        ),
        (float((astray * x).mean()), float((astray * o).mean())),
        weights,
        forward(weights, x[None]),
        forward(weights, o[None]),
        forward(weights, right[None]),
        tuple(_position(x, weights.patterns[0, 0], *divmod(place, 7)) for place in range(49)),
        one_step(weights, x, np.array([[1.0, 0.0]])),
        train(weights),
    )


def xo_pictures(spec: XO) -> tuple[Floats, Floats]:
    """Pictures `(n, 9, 9)` of -1 and +1, and targets `(n, 2)`: 1, 0 for an X and 0, 1 for an O."""
    numbers = np.arange(spec.count)
    return np.where(draw_xo(spec, numbers) > 0, 1.0, -1.0), np.eye(2)[numbers % 2]


def chosen_weights() -> Weights:
    """Patterns of an X by hand, and where they lie in an X and in an O; output weights within 0.5 by chance."""
    falling = 2 * np.eye(3) - 1
    rising = falling[:, ::-1]
    corners = np.array([[1.0, 0, -1], [0, 0, 0], [-1, 0, 1]])
    centre = np.zeros((3, 3))
    centre[1, 1] = 1
    in_x = np.stack([corners, centre, corners[:, ::-1]])
    patterns = np.stack([falling, np.maximum(falling, rising), rising])[:, None]
    return Weights(patterns, np.stack([in_x, -in_x]), uniform(_CHANCE, np.arange(16)).reshape(2, 8) - 0.5, np.zeros(2))


def one_step(weights: Weights, picture: Floats, targets: Floats) -> Step:
    """A gradient step on one picture `(9, 9)` with targets `(1, 2)`."""
    before = forward(weights, picture[None])
    slope = gradient(weights, before, targets)
    better = step(weights, slope, RATE)
    after = forward(better, picture[None])
    return Step(
        before,
        before.outputs[0] - targets[0],
        slope,
        better,
        after,
        losses(before.outputs, targets)[0],
        losses(after.outputs, targets)[0],
    )


def train(weights: Weights) -> Training:
    """200 steps on 100 drawings each; measured on others, and on the references moved by up to two pixels."""
    pictures, targets = xo_pictures(DRAWINGS)
    curve = []
    for number in range(STEPS):
        epoch, start = divmod(number * BATCH, len(pictures))
        drawn = permutation(len(pictures), 0, epoch)[start : start + BATCH]
        trace = forward(weights, pictures[drawn])
        curve.append(losses(trace.outputs, targets[drawn]).sum(1).mean())
        weights = step(weights, gradient(weights, trace, targets[drawn]), RATE)
    new = replace(DRAWINGS, seed=_NEW)
    confusions = {}
    for name, (shown, true) in (("drawn", xo_pictures(new)), ("moved", _moved_references())):
        for method, scores in (("pixels", _pixel_scores(shown)), ("network", forward(weights, shown).outputs)):
            confusions[name, method] = _confusion(scores, true)
    return Training(weights, np.array(curve), pictures[:12], confusions)


def _position(picture: Floats, pattern: Floats, row: int, column: int) -> Position:
    under = picture[row : row + 3, column : column + 3]
    return Position(row, column, under, under * pattern)


def _moved_references() -> tuple[Floats, Floats]:
    """Both letters at 25 places each."""
    pictures, targets = xo_pictures(REFERENCES)
    by = range(-_FARTHEST, _FARTHEST + 1)
    shown = [moved(picture, down, right) for picture in pictures for down in by for right in by]
    return np.stack(shown), np.repeat(targets, len(by) ** 2, 0)


def _pixel_scores(pictures: Floats) -> Floats:
    """How well pictures `(n, 9, 9)` match the references pixel by pixel, `(n, 2)`."""
    references, _ = xo_pictures(REFERENCES)
    products = pictures[:, None] * references
    scores: Floats = products.mean((2, 3))
    return scores


def _confusion(scores: Floats, targets: Floats) -> NDArray[np.int64]:
    counts = np.zeros((2, 2), np.int64)
    np.add.at(counts, (targets.argmax(1), scores.argmax(1)), 1)
    return counts
