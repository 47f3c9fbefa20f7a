"""Measure how well a score of novelty tells images of no known class from those of the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import DataError

__all__ = ["NoveltyMetrics", "area_under_roc", "false_positive_rate", "measure_novelty"]


@dataclass(frozen=True, kw_only=True)
class NoveltyMetrics:
    """Novelty of images of the classes, and of others; all shares are from 0 to 1.

    Attributes:
        threshold: novelty above which an image is called unknown.
        images: number of images of the classes.
        rejected: share of them that is called unknown.
        unknown_images: number of the other images; 0 where only images of the classes were measured.
        found: share of these that is called unknown; None without such images, as are the next two.
        auroc: probability that one of these has a higher novelty than an image of the classes.
        fpr95: share of these that is taken for images of the classes where 95 % of those are.
    """

    threshold: float
    images: int
    rejected: float
    unknown_images: int = 0
    found: float | None = None
    auroc: float | None = None
    fpr95: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values, without those that were not measured."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in values.items() if value is not None and (name, value) != _NONE}


_NONE = ("unknown_images", 0)


def measure_novelty(known: ArrayLike, threshold: float, unknown: ArrayLike | None = None) -> NoveltyMetrics:
    """Measure the novelty of images of the classes `(n,)`, and of images of none of them `(m,)`.

    Raises:
        DataError: there is no image, or a novelty is not finite.
    """
    near = _checked(known)
    both = NoveltyMetrics(threshold=threshold, images=len(near), rejected=float((near > threshold).mean()))
    if unknown is None:
        return both
    far = _checked(unknown)
    return NoveltyMetrics(
        threshold=both.threshold,
        images=both.images,
        rejected=both.rejected,
        unknown_images=len(far),
        found=float((far > threshold).mean()),
        auroc=area_under_roc(near, far),
        fpr95=false_positive_rate(near, far),
    )


def area_under_roc(negative: ArrayLike, positive: ArrayLike) -> float:
    """Return the area under the curve of true over false positives, 0 to 1: equal scores count half.

    It is the probability that a positive has the higher score (Hanley & McNeil 1982, Radiology 143, Equation 1).

    Args:
        negative: scores `(n,)` of those that should have low ones.
        positive: scores `(m,)` of those that should have high ones.

    >>> area_under_roc([0, 1, 2], [1, 3])
    0.75
    """
    low, high = np.sort(_checked(negative)), _checked(positive)
    below = np.searchsorted(low, high, side="left").mean()
    not_above = np.searchsorted(low, high, side="right").mean()
    return float((below + not_above) / 2 / len(low))


def false_positive_rate(known: ArrayLike, unknown: ArrayLike, *, true_positive_rate: float = 0.95) -> float:
    """Return the share of unknown images that is accepted where so large a share of known images is, 0 to 1.

    Of out-of-distribution detection this is "FPR95" (Hendrycks & Gimpel 2017, arXiv:1610.02136, as later work has it):
    positive are the images of the classes, which have the low scores.

    Args:
        known: novelty of images of the classes, `(n,)`.
        unknown: novelty of others, `(m,)`.
        true_positive_rate: share of the known images to be accepted, above 0 and at most 1.
    """
    near, far = np.sort(_checked(known)), _checked(unknown)
    highest_accepted = near[int(np.ceil(true_positive_rate * len(near) - 1e-9)) - 1]
    return float((far <= highest_accepted).mean())


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise DataError(f"novelty is a list of finite numbers, one an image, not an array of shape {found.shape}")
    return found
