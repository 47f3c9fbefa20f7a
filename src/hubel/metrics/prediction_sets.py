"""Prediction sets: the classes that an image may have, so many that the true one is among them with a stated coverage.

Split conformal prediction (Vovk, Gammerman & Shafer 2005; Papadopoulos et al. 2002). Scores s(x, y) say how badly a
class y suits an image x. Of the scores of n calibration images with their true classes, q is the k-th smallest,

    k = ceil((n + 1) coverage)                                                                     (1)

and the set of an image holds every class whose score is not higher:

    C(x) = {y : s(x, y) <= q}                                                                      (2)

If the image and the calibration images are exchangeable, P(y in C(x)) >= coverage, whatever the network is; the mean is
over images and calibration images alike. Where k > n, q is infinite. The scores, from probabilities p:

    LAC   s(x, y) = 1 - p_y                                                                        (3)
    APS   s(x, y) = sum of all p_j > p_y, and u p_y                                                (4)
    RAPS  s(x, y) = (4) + penalty max(0, rank(y) - free_ranks), the most probable class has rank 1  (5)

(3): Sadinle, Lei & Wasserman 2019, arXiv:1609.00451, Section 2: of all sets with this coverage its are the smallest, if
p is right. (4): Romano, Sesia & Candes 2020, arXiv:2006.02544, Eq. 8. (5): Angelopoulos, Bates, Malik & Jordan 2021,
arXiv:2009.14193, Eq. 4. With u from 0 to 1, drawn for each image, the coverage of (4) and (5) is exact; with u = 1 the
same image has always the same set, and sets are larger than they need be. (3) needs no draw.

Mondrian sets (Vovk 2012) have a q for each class, from the calibration images of this class alone: then the coverage
holds among the images of each class. Models of hubel keep (3) with these; `benchmarks/coverage.py` compares them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from decimal import ROUND_FLOOR, Context
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import DataError, OptionError
from hubel.metrics.checks import checked_pair, checked_probabilities
from hubel.metrics.intervals import Interval, wilson
from hubel.weights.coverage import LEVELS, CoverageTable

__all__ = [
    "ClassCoverage",
    "SetMetrics",
    "aps_scores",
    "conformal_quantile",
    "conformal_rank",
    "coverage_table",
    "lac_scores",
    "measure_sets",
    "raps_scores",
]

_ENOUGH = 4  # images of a class with scores of at most 1 - q
_DIGITS = 6  # of a threshold; what is cut off makes sets larger


def conformal_rank(n: int, coverage: float) -> int:
    """Return k of Eq. 1; the decimal digits of the coverage count, not the nearest binary fraction.

    >>> conformal_rank(19, 0.95), conformal_rank(18, 0.95), conformal_rank(99, 0.9)
    (19, 19, 90)
    """
    return math.ceil((n + 1) * Fraction(str(coverage)))


def conformal_quantile(scores: ArrayLike, coverage: float) -> float:
    """Return q of Eq. 2 from the scores `(n,)` of calibration images with their true classes; infinite if k > n.

    Raises:
        OptionError: the coverage is not between 0 and 1.

    >>> conformal_quantile([0.1, 0.4, 0.2, 0.3], 0.5), conformal_quantile([0.1, 0.4], 0.9)
    (0.3, inf)
    """
    if not 0 < coverage < 1:
        raise OptionError(f"a coverage is between 0 and 1, not {coverage}")
    values = np.sort(np.asarray(scores, dtype=np.float64))
    k = conformal_rank(len(values), coverage)
    return float(values[k - 1]) if k <= len(values) else math.inf


def lac_scores(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return the scores `(n, c)` of Eq. 3 of probabilities `(n, c)`."""
    return 1 - np.asarray(probabilities, dtype=np.float64)


def aps_scores(probabilities: ArrayLike, u: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return the scores `(n, c)` of Eq. 4; of equally probable classes the first one counts as more probable.

    Args:
        probabilities: shape (n, c); rows sum to 1.
        u: one draw from 0 to 1 for each image, `(n,)`; 1 if None.
    """
    p = checked_probabilities(probabilities, exclusive=True).astype(np.float64)
    order = np.argsort(-p, axis=1, kind="stable")
    sums = np.empty_like(p)
    np.put_along_axis(sums, order, np.cumsum(np.take_along_axis(p, order, 1), axis=1), 1)
    return sums if u is None else sums - (1 - np.asarray(u, dtype=np.float64)[:, None]) * p


def raps_scores(
    probabilities: ArrayLike, u: ArrayLike | None = None, *, penalty: float = 0.01, free_ranks: int = 5
) -> NDArray[np.float64]:
    """Return the scores `(n, c)` of Eq. 5.

    Args:
        probabilities: shape (n, c); rows sum to 1.
        u: see `aps_scores`.
        penalty: of each rank; lambda of the paper.
        free_ranks: the number of most probable classes without a penalty; k_reg of the paper.
    """
    p = np.asarray(probabilities)
    ranks = np.argsort(np.argsort(-p, axis=1, kind="stable"), axis=1) + 1
    return aps_scores(p, u) + penalty * np.maximum(0, ranks - free_ranks)


def coverage_table(probabilities: ArrayLike, labels: ArrayLike) -> CoverageTable:
    """Return the thresholds of LAC (Eq. 3) at all levels, from calibration images that taught nothing.

    A set holds the classes with p_y >= 1 - q, so the table keeps 1 - q, rounded down. A class has a q of its own where
    its images allow it: k <= n in Eq. 1, which needs 9 images for a coverage of 0.9 and 19 for 0.95. With so few, q is
    their highest score, which says little: sets grew by a third and covered the worst class no better (CIFAR-10,
    balanced). So 4 of the images have to lie on either side, n + 1 - k >= 4 (39 images for 0.9, 79 for 0.95); unless
    the q of all images is plainly wrong for the class, and misses more than twice as many of its images as it may, and
    one. All other classes have the q of all images, with which the coverage holds in the mean over the classes only.

    Args:
        probabilities: scores 0 to 1, `(n, c)`; rows need not sum to 1.
        labels: true classes `(n,)`.

    Raises:
        DataError: the shapes do not match, or the values are not probabilities.
    """
    p, truth = checked_pair(probabilities, labels, "probabilities")
    checked_probabilities(p, exclusive=False)
    of_true = np.clip(p[np.arange(len(p)), truth].astype(np.float64), 0, 1)
    every = np.sort(of_true)
    allowed = [level for level in LEVELS if _below(len(every), level) > 0]
    thresholds = [_threshold(every, level) for level in allowed]
    rows = [_class_thresholds(np.sort(of_true[truth == number]), allowed, thresholds) for number in range(p.shape[1])]
    return CoverageTable(
        levels=LEVELS,
        images=len(p),
        thresholds=_rounded_down(thresholds),
        class_thresholds=tuple(map(_rounded_down, rows)) if any(rows) else (),
    )


def _class_thresholds(own: NDArray[np.float64], levels: list[float], of_all: list[float]) -> list[float]:
    """Return 1 - q of a class at each level, given the ascending scores of its images; none where all are of `of_all`.

    A higher coverage never has a higher threshold, so that its sets hold those of a lower one.
    """
    chosen = []
    for level, threshold in zip(levels, of_all, strict=True):
        below, missed = _below(len(own), level), np.searchsorted(own, threshold)
        plainly_wrong = missed > 2 * (1 - level) * len(own) + 1
        chosen.append(_threshold(own, level) if below >= _ENOUGH or (below > 0 and plainly_wrong) else threshold)
    return [] if chosen == of_all else np.minimum.accumulate(chosen).tolist()


def _below(n: int, level: float) -> int:
    """Return n + 1 - k of Eq. 1: the rank of 1 - q among the scores p, from below; 0 or less where q is infinite."""
    return n + 1 - conformal_rank(n, level)


def _threshold(ascending: NDArray[np.float64], level: float) -> float:
    return float(ascending[_below(len(ascending), level) - 1])


def _rounded_down(scores: list[float]) -> tuple[float, ...]:
    down = Context(prec=_DIGITS, rounding=ROUND_FLOOR)
    return tuple(float(down.create_decimal_from_float(score)) for score in scores)


@dataclass(frozen=True, kw_only=True)
class ClassCoverage:
    """Prediction sets of the images of one class.

    Attributes:
        name: of the class.
        n: number of its images.
        covered: number of those whose set has the class.
        mean_size: mean number of classes in their sets; 0 without images.
    """

    name: str
    n: int
    covered: int
    mean_size: float


@dataclass(frozen=True, eq=False, kw_only=True)
class SetMetrics:
    """Prediction sets measured against labels.

    Attributes:
        coverage: the share that was asked for, 0 to 1.
        measured: the share of images whose set has their class, 0 to 1.
        interval: 95 % interval of `measured`; see `wilson`.
        n: number of images.
        mean_size: mean number of classes in a set.
        singletons: share of the images whose set has one class.
        per_class: the images of each class, in the order of the classes.
        inside: whether each class is in the set of each image, `(n, classes)`.
    """

    coverage: float
    measured: float
    interval: Interval
    n: int
    mean_size: float
    singletons: float
    per_class: tuple[ClassCoverage, ...]
    inside: NDArray[np.bool_]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        numbers = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "inside"}
        return {**numbers, "interval": list(self.interval), "per_class": [asdict(one) for one in self.per_class]}


def measure_sets(
    sets: NDArray[np.bool_], labels: NDArray[np.integer[Any]], classes: Sequence[str], coverage: float
) -> SetMetrics:
    """Measure prediction sets.

    Args:
        sets: whether each class is in the set of each image, `(n, classes)`, n at least 1.
        labels: true classes `(n,)`.
        classes: their names.
        coverage: that was asked for.

    Raises:
        DataError: the shapes do not match.
    """
    if sets.shape != (len(labels), len(classes)) or not len(labels):
        raise DataError(f"sets have the shape {sets.shape}, not that of {len(labels)} images, {len(classes)} classes")
    covered, sizes = sets[np.arange(len(labels)), labels], sets.sum(1)
    by_class = [labels == number for number in range(len(classes))]
    return SetMetrics(
        coverage=coverage,
        measured=float(covered.mean()),
        interval=wilson(int(covered.sum()), len(labels)),
        n=len(labels),
        mean_size=float(sizes.mean()),
        singletons=float((sizes == 1).mean()),
        per_class=tuple(
            ClassCoverage(
                name=name,
                n=int(own.sum()),
                covered=int(covered[own].sum()),
                mean_size=float(sizes[own].mean()) if own.any() else 0.0,
            )
            for name, own in zip(classes, by_class, strict=True)
        ),
        inside=sets,
    )
