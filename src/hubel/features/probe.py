"""Separate classes by the features of a network: a linear head, and nearest neighbours.

The linear head is multinomial logistic regression, `p = softmax(W x + b)`, with a penalty on W that cross-validation
chooses (Kornblith, Shlens & Le 2019, arXiv:1805.08974, Section 3, do the same).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hubel.core.random import permutation
from hubel.core.vectors import unit

__all__ = ["LeftOut", "Probe", "fit_probe", "neighbours_accuracy"]

# Inverse strengths of the penalty, for features whose components have a mean variance of 1, divided by their number.
_STRENGTHS = (1.0, 3.0, 10.0)
# A prior is taken from the biases in full, which is right only where the penalty does not hold the logits down: with
# 10, up to 4 points of the frequent classes were lost. Accuracy, in which the rare ones hardly count, cannot choose it.
_ADJUSTED_STRENGTHS = (30.0,)
_FOLDS = 5
_CHOOSING = 4_000  # images that choose the strength; the head learns from all
_ITERATIONS = 200
_TOLERANCE = 1e-3  # of the gradient; ten times less changes no accuracy and takes twice the time
_NEIGHBOURS = 5
_BLOCK = 1024  # images whose neighbours are looked for at once
_ALL_CORES = 2**26  # numbers in the features from which on more threads than one are faster


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Logits of images in cross-validation: each by a head that has not seen it.

    Attributes:
        positions: of the images, ascending, `(m,)`.
        logits: `(m, classes)`.
    """

    positions: NDArray[np.int64]
    logits: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear head.

    Attributes:
        weight: `(classes, d)`, for the features as they are.
        bias: `(classes,)`.
        strength: the inverse strength of the penalty that was chosen.
        accuracy: share that is right in cross-validation, 0 to 1; of several labels, with exactly the right ones. None
            where no class has two images, so that none can be left out.
        left_out: the logits of cross-validation; None like the accuracy.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float
    accuracy: float | None
    left_out: LeftOut | None = None


@dataclass(frozen=True)
class _Scaling:
    mean: NDArray[np.float32]
    factor: float

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> _Scaling:
        """Return the scaling to mean 0 of each component, and a mean variance of 1 / components."""
        spread = float(np.sqrt(features.var(0).sum()))
        return cls(features.mean(0), 1 / spread if spread > 0 else 1.0)

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return (features - self.mean) * np.float32(self.factor)


def fit_probe(
    features: NDArray[np.float32],
    targets: NDArray[Any],
    classes: int,
    *,
    seed: int = 0,
    sample_weight: NDArray[np.float32] | None = None,
    log_prior: NDArray[np.float64] | None = None,
    strength: float | None = None,
) -> Probe:
    """Fit the best linear head to features.

    Args:
        features: `(n, d)`, finite.
        targets: class numbers `(n,)`, or 0 and 1 `(n, classes)`: then each class is judged by itself.
        classes: how many there are; some may have no image.
        seed: of the division into folds.
        sample_weight: of each image in the loss, `(n,)`, at least 0; 1 if None. The accuracy counts all alike.
        log_prior: of each class, `(classes,)`: the loss is that of the logits plus this, so that the head assumes equal
            classes. As biases have no penalty, that is the plain fit with this taken from the biases.
        strength: the inverse strength of the penalty; None chooses it by cross-validation.
    """
    weights = np.ones(len(features), np.float32) if sample_weight is None else sample_weight
    scaling = _Scaling.of(features)
    x = scaling(features)
    some = np.sort(permutation(len(x), seed)[:_CHOOSING])
    shift = 0.0 if log_prior is None else log_prior
    strengths = _STRENGTHS if log_prior is None else _ADJUSTED_STRENGTHS
    with _few_threads(x.size):
        tried = () if strength else strengths  # nothing is left to choose
        logits = _cross_validate(x[some], targets[some], weights[some], classes, seed, tried, shift)
        scores = [float(_right(one, targets[some]).mean()) for one in logits]
        best = int(np.argmax(scores)) if scores else 0
        strength = strength or strengths[best]
        weight, bias = _fit(x, targets, weights, classes, [strength])[0]
    weight = weight * scaling.factor
    bias = bias - shift - weight @ scaling.mean
    accuracy, left_out = (scores[best], LeftOut(some, logits[best])) if scores else (None, None)
    return Probe(weight.astype(np.float32), bias.astype(np.float32), strength, accuracy, left_out)


def neighbours_accuracy(features: NDArray[np.float32], targets: NDArray[Any], classes: int) -> float:
    """Return the share of images whose 5 nearest others, by the angle between features, mostly have its class.

    Nearer ones count more: each votes with its cosine. Of several labels, those that most votes have.
    """
    directions = unit(features)
    hot = targets if targets.ndim == 2 else np.eye(classes, dtype=np.float32)[targets]
    right = 0
    k = min(_NEIGHBOURS, len(directions) - 1)
    for start in range(0, len(directions) if k else 0, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(directions)))
        cosine = directions[rows] @ directions.T
        cosine[np.arange(len(rows)), rows] = -np.inf
        near = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        weight = np.maximum(np.take_along_axis(cosine, near, 1), 0)
        votes = (hot[near] * weight[:, :, None]).sum(1)
        if targets.ndim == 2:
            right += int(((votes > weight.sum(1, keepdims=True) / 2) == (hot[rows] > 0.5)).all(1).sum())
        else:
            right += int((votes.argmax(1) == targets[rows]).sum())
    return right / len(directions)


def _cross_validate(
    x: NDArray[np.float32],
    targets: NDArray[Any],
    weights: NDArray[np.float32],
    classes: int,
    seed: int,
    strengths: tuple[float, ...],
    shift: NDArray[np.float64] | float,
) -> NDArray[np.float32]:
    """Return the logits `(strengths, n, classes)` of images, each left out; of no strength where none can be."""
    folds = list(_folds(targets, seed)) if strengths else []
    logits = np.empty((len(strengths) if folds else 0, len(x), classes), np.float32)
    for train, held in folds:
        heads = _fit(x[train], targets[train], weights[train], classes, strengths)
        for place, (weight, bias) in enumerate(heads):
            logits[place, held] = x[held] @ weight.T + (bias - shift)
    return logits


def _right(logits: NDArray[np.float32], targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Return whether each image `(n,)` gets its class, or exactly its classes."""
    if targets.ndim == 2:
        return np.asarray(((logits > 0) == (targets > 0.5)).all(1))
    return np.asarray(logits.argmax(1) == targets)


def _folds(targets: NDArray[Any], seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    from sklearn.model_selection import KFold, StratifiedKFold  # see `_path`

    n = min(_FOLDS, len(targets))
    if n < 2:
        return
    if targets.ndim == 2:
        yield from KFold(n, shuffle=True, random_state=seed).split(targets)
        return
    most = int(np.bincount(targets).max())
    if most < 2:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer images than folds is left out of some
        yield from StratifiedKFold(min(n, most), shuffle=True, random_state=seed).split(targets, targets)


def _fit(
    x: NDArray[np.float32],
    targets: NDArray[Any],
    weights: NDArray[np.float32],
    classes: int,
    strengths: tuple[float, ...] | list[float],
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return weights `(classes, d)` and biases for each strength."""
    heads = [(np.zeros((classes, x.shape[1])), np.full(classes, _NEVER)) for _ in strengths]
    if targets.ndim == 1:
        for (weight, bias), (w, b, present) in zip(heads, _path(x, targets, weights, strengths), strict=True):
            weight[present], bias[present] = w, b
        return heads
    for number in range(classes):
        has = targets[:, number] > 0.5
        for (weight, bias), (w, b, _) in zip(heads, _path(x, has, weights, strengths), strict=True):
            # One logit says yes or no: the difference of those for the two.
            weight[number], bias[number] = (w[1] - w[0], b[1] - b[0]) if len(w) > 1 else (0, b[0] * (2 * has[0] - 1))
    return heads


_NEVER = -30.0  # the logit of a class without an image


def _path(
    x: NDArray[np.float32],
    targets: NDArray[Any],
    weights: NDArray[np.float32],
    strengths: tuple[float, ...] | list[float],
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[Any]]]:
    """Yield weights, biases and their classes for each strength; of two classes, too, a row for each."""
    from sklearn.exceptions import ConvergenceWarning  # over a second, which a training from scratch does without
    from sklearn.linear_model import LogisticRegression

    present = np.unique(targets)
    if len(present) == 1:
        yield from [(np.zeros((1, x.shape[1])), np.array([-_NEVER]), present)] * len(strengths)
        return
    # From zero each time: from the solution for another strength it would stop at once, within the tolerance.
    model = LogisticRegression(max_iter=_ITERATIONS, tol=_TOLERANCE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a head that is nearly the best one is good
        for strength in strengths:
            model.set_params(C=strength).fit(x, targets, weights)
            weight, bias = model.coef_.copy(), model.intercept_.copy()
            if len(present) == 2:
                weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
            yield weight, bias, present


@contextmanager
def _few_threads(size: int) -> Iterator[None]:
    """Limit linear algebra on small arrays to one thread: the threads of two libraries would wait for each other."""
    with threadpool_limits(None if size > _ALL_CORES else 1):
        yield
