"""Fit the score of novelty to images that the network has not learned from, and choose its threshold.

The score is that of `hubel.nn.novelty.Novelty`. Its threshold is the one of split conformal prediction (Vovk et al.
2005, "Algorithmic Learning in a Random World", Section 4.2): among n + 1 exchangeable images of the known classes, the
last one is above it with at most the stated probability. What is left over of a feature is therefore measured on
images that did not choose the directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hubel.core.random import permutation
from hubel.core.vectors import unit
from hubel.nn.novelty import Novelty

__all__ = ["FittedNovelty", "fit_novelty"]

_MOST_RANK = 64  # directions: 32 and 128 separate about as well, and the file grows with them
_IMAGES_A_DIRECTION = 4  # at least; more directions would leave nothing over of the images that chose them
_SHARE_OF_VIM = 0.5  # of the weight of the norm in ViM; see hubel.nn.novelty
_MOST_IMAGES = 1_000  # a share of 5 % is then known to 0.7 percentage points
_FOLDS = 5
_TINY = 1e-9  # relative variance of a direction that says nothing


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedNovelty:
    """A score of novelty with its threshold.

    Attributes:
        mean: of the features of length 1, `(d,)`.
        directions: `(d, rank)`; orthonormal, or 0 where the images vary in fewer.
        weight: of the norm of what is left over.
        centre: median score of the images.
        scale: distance of the threshold from it.
        threshold: of the novelty; 1, or 0 where all images have one score.
        images: number of images that chose it.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    weight: float
    centre: float
    scale: float
    threshold: float
    images: int

    def module(self) -> Novelty:
        """Return the score as a module of torch."""
        novelty = Novelty(*self.directions.shape)
        for name in ("mean", "directions"):
            getattr(novelty, name).copy_(torch.from_numpy(getattr(self, name)))
        for name in ("weight", "centre", "scale"):
            getattr(novelty, name).fill_(getattr(self, name))
        return novelty


def fit_novelty(
    features: NDArray[np.float32], logits: NDArray[np.float32], *, reject: float, seed: int = 0
) -> FittedNovelty | None:
    """Fit a score of novelty; return None where there are too few images for so small a share.

    Args:
        features: inputs `(n, d)` of the last layer for images of the known classes, finite.
        logits: `(n, classes)`, of a network or head that has not learned from these very images.
        reject: share of such images that may be above the threshold, above 0 and at most 0.5.
        seed: of the choice of images and of their division into folds.
    """
    chosen = permutation(len(features), seed)[:_MOST_IMAGES]
    x, logits = unit(features[chosen].astype(np.float64)), logits[chosen].astype(np.float64)
    n, d = x.shape
    place = int(np.ceil((n + 1) * (1 - reject)))  # of the threshold among the sorted scores, from 1 on
    if place > n or n < 2:
        return None
    rank = max(1, min(_MOST_RANK, n // _IMAGES_A_DIRECTION, d // _IMAGES_A_DIRECTION))
    left_over = np.empty(n)
    with threadpool_limits(1):  # on such small matrices threads would wait for each other, and for those of torch
        for fold in range(_FOLDS):
            held = np.arange(fold, n, _FOLDS)
            left_over[held] = _left_over(x[held], *_main_directions(np.delete(x, held, 0), rank))
        mean, directions = _main_directions(x, rank)
    highest = logits.max(1)
    energy = highest + np.log(np.exp(logits - highest[:, None]).sum(1))
    weight = _SHARE_OF_VIM * float(np.abs(highest).mean() / max(left_over.mean(), _TINY))  # Wang et al., Equation 6
    scores = np.sort(weight * left_over - energy)
    centre = float(np.median(scores))
    distance = float(scores[place - 1] - centre)
    scale = distance if distance > _TINY else 1.0
    return FittedNovelty(
        mean=mean,
        directions=directions,
        weight=weight,
        centre=centre,
        scale=scale,
        threshold=distance / scale,
        images=n,
    )


def _main_directions(x: NDArray[np.float64], rank: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean `(d,)` and the directions of the largest variance around it, `(d, rank)`."""
    from scipy.linalg import eigh  # 0.3 s, which a training from scratch does without

    mean = x.mean(0)
    centred = x - mean
    n, d = x.shape
    few = n < d  # then the smaller matrix of scalar products has the same eigenvalues
    products = centred @ centred.T if few else centred.T @ centred
    size = len(products)
    values, vectors = eigh(products, subset_by_index=[max(0, size - rank), size - 1])
    if few:
        usable = values > _TINY * max(values[-1], _TINY)
        vectors = centred.T @ (vectors * np.where(usable, 1 / np.sqrt(np.where(usable, values, 1)), 0))
    directions = np.zeros((d, rank))
    directions[:, : vectors.shape[1]] = vectors
    return mean, directions


def _left_over(
    x: NDArray[np.float64], mean: NDArray[np.float64], directions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the norm `(n,)` of what the directions leave over of features of length 1."""
    centred = x - mean
    return np.asarray(np.linalg.norm(centred - (centred @ directions) @ directions.T, axis=1))
