"""Numbers of the walkthrough, computed in the order of the page."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import permutation, uniform
from hubel.data.sources.builtin import XO, draw_xo
from hubel.teach.walkthrough.network import Trace, Weights, cross_entropies, gradient, moved, step, trace_forward

__all__ = [
    "BATCH",
    "RATE",
    "STEPS",
    "Comparison",
    "GradientStep",
    "Lesson",
    "PatternPosition",
    "Training",
    "chosen_weights",
    "compute_lesson",
    "gradient_step",
    "train_drawings",
    "xo_images",
]

Floats = NDArray[np.float64]

REFERENCES = XO(size=9, count=2, shift=0, scale=1, rotate=0, thicker=1, noise=0)
DRAWINGS = XO(size=9, count=1000, shift=0.2, scale=0.85, rotate=15, thicker=1.3, noise=0.02)
STEPS, BATCH, RATE = 200, 100, 1.0
_WEIGHTS_SEED = 135  # of the output weights; with it, sums of the rounded numbers on the page are exact
_TEST_SEED = 1  # of the drawings that are not trained on
_MAX_SHIFT = 2  # pixels


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Comparison of an image with a reference, pixel by pixel.

    Attributes:
        name: description of the image.
        image: `(9, 9)`, -1 or +1.
        products: products with the reference's pixels, `(9, 9)`.
    """

    name: str
    image: Floats
    products: Floats

    @property
    def agree(self) -> int:
        """Return the number of equal pixels."""
        return int((self.products > 0).sum())

    @property
    def differ(self) -> int:
        """Return the number of different pixels."""
        return self.products.size - self.agree

    @property
    def score(self) -> float:
        """Return the mean product, -1 to 1."""
        return float(self.products.mean())


@dataclass(frozen=True, eq=False, kw_only=True)
class PatternPosition:
    """A pattern at one position of an image.

    Attributes:
        row: row of the window's upper left pixel.
        column: column of the window's upper left pixel.
        under: pixels under the window, `(3, 3)`.
        products: products with the pattern, `(3, 3)`.
    """

    row: int
    column: int
    under: Floats
    products: Floats

    @property
    def score(self) -> float:
        """Return the mean product, -1 to 1."""
        return float(self.products.mean())


@dataclass(frozen=True, eq=False, kw_only=True)
class GradientStep:
    """One step of gradient descent on one image.

    Attributes:
        before: forward pass before the step.
        error: outputs minus targets before the step, `(2,)`.
        gradient: gradient of the loss with respect to every weight.
        weights: weights after the step.
        after: forward pass of the same image after the step.
        losses: losses of the two outputs before the step, `(2,)`.
        losses_after: losses of the two outputs after the step, `(2,)`.
    """

    before: Trace
    error: Floats
    gradient: Weights
    weights: Weights
    after: Trace
    losses: Floats
    losses_after: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Training:
    """Training of the network, and its evaluation.

    Attributes:
        weights: weights after the last step.
        loss_history: mean loss per image of each step's batch, before the step.
        samples: some of the training drawings, `(12, 9, 9)`.
        confusions: confusion matrices by data ("drawn", "moved") and method ("pixels", "network"): counts `(2, 2)`,
            true classes X and O in rows, predictions in columns.
    """

    weights: Weights
    loss_history: Floats
    samples: Floats
    confusions: dict[tuple[str, str], NDArray[np.int64]]

    def accuracy(self, data: str, method: str) -> float:
        """Return the accuracy of a method on data, 0 to 1."""
        confusion = self.confusions[data, method]
        return float(np.trace(confusion) / confusion.sum())


@dataclass(frozen=True, eq=False, kw_only=True)
class Lesson:
    """All numbers of the walkthrough.

    Attributes:
        x: the reference X, `(9, 9)`.
        o: the reference O.
        comparisons: the X, the X shifted right, and the O, each compared with the reference X.
        moved_o: scores of an O shifted down and right, with the references X and O.
        weights: weights before training: chosen patterns and arrangements, small random output weights.
        x_trace: forward pass of the X with these weights.
        o_trace: forward pass of the O.
        moved_trace: forward pass of the X shifted right.
        positions: the first pattern at all 49 positions of the X, row by row.
        step: one gradient step on the X.
        training: 200 gradient steps, and the evaluation.
    """

    x: Floats
    o: Floats
    comparisons: tuple[Comparison, ...]
    moved_o: tuple[float, float]
    weights: Weights
    x_trace: Trace
    o_trace: Trace
    moved_trace: Trace
    positions: tuple[PatternPosition, ...]
    step: GradientStep
    training: Training


def compute_lesson() -> Lesson:
    """Compute all numbers of the walkthrough; takes a second."""
    (x, o), _ = xo_images(REFERENCES)
    weights = chosen_weights()
    right = moved(x, 0, 1)
    diagonal = moved(o, 1, 1)
    return Lesson(
        x=x,
        o=o,
        comparisons=(
            Comparison(name="the X itself", image=x, products=x * x),
            Comparison(name="the X, one pixel to the right", image=right, products=right * x),
            Comparison(name="an O", image=o, products=o * x),
        ),
        moved_o=(float((diagonal * x).mean()), float((diagonal * o).mean())),
        weights=weights,
        x_trace=trace_forward(weights, x[None]),
        o_trace=trace_forward(weights, o[None]),
        moved_trace=trace_forward(weights, right[None]),
        positions=tuple(_position(x, weights.patterns[0, 0], *divmod(index, 7)) for index in range(49)),
        step=gradient_step(weights, x, np.array([[1.0, 0.0]])),
        training=train_drawings(weights),
    )


def xo_images(spec: XO) -> tuple[Floats, Floats]:
    """Return images `(n, 9, 9)` of -1 and +1, and targets `(n, 2)`: 1, 0 for an X and 0, 1 for an O."""
    numbers = np.arange(spec.count)
    return np.where(draw_xo(spec, numbers) > 0, 1.0, -1.0), np.eye(2)[numbers % 2]


def chosen_weights() -> Weights:
    """Return hand-made patterns, their arrangements in an X and in an O, and random output weights within 0.5."""
    falling = 2 * np.eye(3) - 1
    rising = falling[:, ::-1]
    corners = np.array([[1.0, 0, -1], [0, 0, 0], [-1, 0, 1]])
    centre = np.zeros((3, 3))
    centre[1, 1] = 1
    in_x = np.stack([corners, centre, corners[:, ::-1]])
    patterns = np.stack([falling, np.maximum(falling, rising), rising])[:, None]
    return Weights(
        patterns, np.stack([in_x, -in_x]), uniform(_WEIGHTS_SEED, np.arange(16)).reshape(2, 8) - 0.5, np.zeros(2)
    )


def gradient_step(weights: Weights, image: Floats, targets: Floats) -> GradientStep:
    """Take a gradient step on one image `(9, 9)` with targets `(1, 2)`."""
    before = trace_forward(weights, image[None])
    grad = gradient(weights, before, targets)
    updated = step(weights, grad, RATE)
    after = trace_forward(updated, image[None])
    return GradientStep(
        before=before,
        error=before.outputs[0] - targets[0],
        gradient=grad,
        weights=updated,
        after=after,
        losses=cross_entropies(before.outputs, targets)[0],
        losses_after=cross_entropies(after.outputs, targets)[0],
    )


def train_drawings(weights: Weights) -> Training:
    """Train for 200 steps of 100 drawings; evaluate on new drawings and on references shifted by up to 2 pixels."""
    images, targets = xo_images(DRAWINGS)
    loss_history = []
    for number in range(STEPS):
        epoch, start = divmod(number * BATCH, len(images))
        drawn = permutation(len(images), 0, epoch)[start : start + BATCH]
        trace = trace_forward(weights, images[drawn])
        loss_history.append(cross_entropies(trace.outputs, targets[drawn]).sum(1).mean())
        weights = step(weights, gradient(weights, trace, targets[drawn]), RATE)
    new = replace(DRAWINGS, seed=_TEST_SEED)
    confusions = {}
    for name, (shown, true) in (("drawn", xo_images(new)), ("moved", _moved_references())):
        for method, scores in (("pixels", _pixel_scores(shown)), ("network", trace_forward(weights, shown).outputs)):
            confusions[name, method] = _confusion(scores, true)
    return Training(weights=weights, loss_history=np.array(loss_history), samples=images[:12], confusions=confusions)


def _position(image: Floats, pattern: Floats, row: int, column: int) -> PatternPosition:
    under = image[row : row + 3, column : column + 3]
    return PatternPosition(row=row, column=column, under=under, products=under * pattern)


def _moved_references() -> tuple[Floats, Floats]:
    """Return both references at 25 positions each, with their targets."""
    images, targets = xo_images(REFERENCES)
    shifts = range(-_MAX_SHIFT, _MAX_SHIFT + 1)
    shown = [moved(image, down, right) for image in images for down in shifts for right in shifts]
    return np.stack(shown), np.repeat(targets, len(shifts) ** 2, 0)


def _pixel_scores(images: Floats) -> Floats:
    """Return the scores `(n, 2)` of images `(n, 9, 9)`, compared with the references pixel by pixel."""
    references, _ = xo_images(REFERENCES)
    products = images[:, None] * references
    scores: Floats = products.mean((2, 3))
    return scores


def _confusion(scores: Floats, targets: Floats) -> NDArray[np.int64]:
    counts = np.zeros((2, 2), np.int64)
    np.add.at(counts, (targets.argmax(1), scores.argmax(1)), 1)
    return counts
