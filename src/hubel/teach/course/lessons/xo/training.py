"""Drawings of X and O, the hand-made weights, one gradient step, and the training of the lesson's network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import permutation, uniform
from hubel.data.sources.builtin import XO, draw_xo
from hubel.teach.course.lessons.xo.network import (
    Trace,
    Weights,
    cross_entropies,
    gradient,
    moved,
    step,
    trace_forward,
)

__all__ = [
    "BATCH",
    "DRAWINGS",
    "RATE",
    "GradientStep",
    "Progress",
    "chosen_weights",
    "confusions",
    "drawn_weights",
    "gradient_step",
    "references",
    "train_drawings",
    "xo_images",
]

Floats = NDArray[np.float64]

REFERENCES = XO(size=9, count=2, shift=0, scale=1, rotate=0, thicker=1, noise=0)
DRAWINGS = XO(size=9, count=1000, shift=0.2, scale=0.85, rotate=15, thicker=1.3, noise=0)
BATCH, RATE = 100, 2.0
_MOST_STEPS = 600
_CHECK = 10  # steps between two looks at all drawings
_WEIGHTS_SEED = 135  # of the output weights; with it, sums of the rounded numbers on the page are exact
_TEST_SEED = 1  # of the drawings that are not trained on
_MAX_SHIFT = 2  # pixels


@dataclass(frozen=True, eq=False, kw_only=True)
class GradientStep:
    """One step of gradient descent on one image.

    Attributes:
        before: forward pass before the step.
        gradient: gradient of the loss with respect to every weight.
        weights: weights after the step.
        losses: losses of the two outputs before the step, `(2,)`.
        losses_after: losses of the two outputs after the step, `(2,)`.
    """

    before: Trace
    gradient: Weights
    weights: Weights
    losses: Floats
    losses_after: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Progress:
    """State of a training before a step.

    Attributes:
        step: number of the step, from 0.
        loss: mean loss per image of the step's batch.
        weights: weights before the step.
        right: number of training drawings that are classified correctly; None where it was not counted.
    """

    step: int
    loss: float
    weights: Weights
    right: int | None


def references() -> tuple[Floats, Floats]:
    """Return the reference X and the reference O, each `(9, 9)`."""
    (x, o), _ = xo_images(REFERENCES)
    return x, o


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
    return Weights(patterns, np.stack([in_x, -in_x]), _small(_WEIGHTS_SEED, 0, (2, 8)) * 0.5, np.zeros(2))


def drawn_weights(seed: int) -> Weights:
    """Return random weights from -1 to 1, those of the outputs within 0.5."""
    return Weights(
        _small(seed, 16, (3, 1, 3, 3)), _small(seed, 43, (2, 3, 3, 3)), _small(seed, 0, (2, 8)) * 0.5, np.zeros(2)
    )


def gradient_step(weights: Weights, image: Floats, targets: Floats, rate: float = 1.0) -> GradientStep:
    """Take a gradient step on one image `(9, 9)` with targets `(1, 2)`."""
    before = trace_forward(weights, image[None])
    grad = gradient(weights, before, targets)
    updated = step(weights, grad, rate)
    after = trace_forward(updated, image[None])
    return GradientStep(
        before=before,
        gradient=grad,
        weights=updated,
        losses=cross_entropies(before.outputs, targets)[0],
        losses_after=cross_entropies(after.outputs, targets)[0],
    )


def train_drawings(weights: Weights, spec: XO, rate: float) -> Iterator[Progress]:
    """Train on batches of 100 drawings until all drawings are classified correctly, at most for 600 steps."""
    images, targets = xo_images(spec)
    for number in range(_MOST_STEPS + 1):
        right = _correct(weights, images, targets) if number % _CHECK == 0 else None
        epoch, start = divmod(number * BATCH, len(images))
        drawn = permutation(len(images), 0, epoch)[start : start + BATCH]
        trace = trace_forward(weights, images[drawn])
        loss = float(cross_entropies(trace.outputs, targets[drawn]).sum(1).mean())
        yield Progress(step=number, loss=loss, weights=weights, right=right)
        if right == len(images):
            return
        weights = step(weights, gradient(weights, trace, targets[drawn]), rate)


def confusions(weights: Weights, spec: XO) -> dict[str, dict[str, NDArray[np.int64]]]:
    """Compare the network with the comparison pixel by pixel, on new drawings and on moved references.

    Returns:
        Confusion matrices by data ("drawn", "moved") and method ("pixels", "network"): counts `(2, 2)`, true classes X
        and O in rows, predictions in columns.
    """
    new = replace(spec, seed=spec.seed + _TEST_SEED)
    return {
        name: {
            "pixels": _confusion(_pixel_scores(images), targets),
            "network": _confusion(trace_forward(weights, images).outputs, targets),
        }
        for name, (images, targets) in (("drawn", xo_images(new)), ("moved", _moved_references()))
    }


def _small(seed: int, first: int, shape: tuple[int, ...]) -> Floats:
    """Return random numbers from -1 to 1."""
    numbers = np.arange(first, first + int(np.prod(shape)))
    found: Floats = 2 * uniform(seed, numbers).reshape(shape) - 1
    return found


def _correct(weights: Weights, images: Floats, targets: Floats) -> int:
    return int((trace_forward(weights, images).outputs.argmax(1) == targets.argmax(1)).sum())


def _moved_references() -> tuple[Floats, Floats]:
    """Return both references at 25 positions each, with their targets."""
    images, targets = xo_images(REFERENCES)
    shifts = range(-_MAX_SHIFT, _MAX_SHIFT + 1)
    shown = [moved(image, down, right) for image in images for down in shifts for right in shifts]
    return np.stack(shown), np.repeat(targets, len(shifts) ** 2, 0)


def _pixel_scores(images: Floats) -> Floats:
    """Return the scores `(n, 2)` of images `(n, 9, 9)`, compared with the references pixel by pixel."""
    scores: Floats = (images[:, None] * np.stack(references())).mean((2, 3))
    return scores


def _confusion(scores: Floats, targets: Floats) -> NDArray[np.int64]:
    counts = np.zeros((2, 2), np.int64)
    np.add.at(counts, (targets.argmax(1), scores.argmax(1)), 1)
    return counts
