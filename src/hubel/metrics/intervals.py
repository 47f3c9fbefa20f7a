"""Say how sure a number is that some images have given: 95 % intervals, and whether two models differ.

Of the intervals of many sets of test images, 95 in 100 contain the number that endless images of the same kind would
give. They know nothing of images of another kind. Three methods suffice:

- a share of images has Wilson's score interval;
- other numbers are computed again from images that are drawn from the measured ones (bootstrap). Of n images, n - 1 are
  drawn and weighted by n / (n - 1), within each class: drawing n would make the intervals of small classes too short
  (Rao & Wu 1988, "Resampling inference with complex survey data", JASA 83, Section 2);
- two models that looked at the same images are compared image by image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import DataError
from hubel.core.random import scalar

__all__ = [
    "Interval",
    "PairedDifference",
    "bootstrap",
    "compare_paired",
    "mcnemar",
    "percentile_interval",
    "score_interval",
    "share_intervals",
    "wilson",
]

_Z = 1.959963984540054  # of the standard normal distribution, 2.5 % lies above
_NO_ERROR = 1e-9  # a standard error that is nothing but rounding
_HALVINGS = 60  # of an interval of at most 2, to the last digit
_SIGNIFICANT = 0.05
_TAILS = (0.025, 0.975)
_DRAWS = 5_000_000  # weights in all
_REPLICATES = (200, 1_000)  # at least, at most
_CHUNK = 2**20  # weights at once, 8 MiB

# Takes weights `(replicates, items)`; returns a number, or several, for each replicate.
Measure = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Interval(NamedTuple):
    """A 95 % interval: its lower and its upper end.

    Attributes:
        low: lower end.
        high: upper end.
    """

    low: float
    high: float


def wilson(hits: float, n: float) -> Interval:
    """Return the score interval of a share, such as an accuracy. Wilson 1927, JASA 22.

    Unlike `p ± 1.96 sqrt(p (1 - p) / n)` it is of use for few images and for shares near 0 and 1: Brown, Cai &
    DasGupta 2001, "Interval estimation for a binomial proportion".

    Args:
        hits: number of images that count, 0 to n.
        n: number of images; of none, nothing is known: 0 to 1.

    Raises:
        DataError: there are fewer images than hits, or fewer than none.

    >>> [round(end, 3) for end in wilson(13, 14)], [round(end, 3) for end in wilson(1300, 1400)]
    ([0.685, 0.987], [0.914, 0.941])
    """
    if not 0 <= hits <= n:
        raise DataError(f"{hits} of {n} is no share of images")
    if n == 0:
        return Interval(0.0, 1.0)
    share, z2 = hits / n, _Z * _Z
    centre = (hits + z2 / 2) / (n + z2)
    half = _Z * math.sqrt(n * share * (1 - share) + z2 / 4) / (n + z2)
    return Interval(0.0 if hits == 0 else centre - half, 1.0 if hits == n else centre + half)


def score_interval(value: float, error: float, n: float) -> Interval:
    """Return the interval of a number from 0 to 1 with a standard error, such as a macro F1.

    It is Wilson's interval for as many images as give a share this standard error, `p (1 - p) / error²`, as Korn &
    Graubard 1998 do it for shares in surveys. So it never leaves 0 to 1, and no number is certain because no image was
    wrong.

    Args:
        value: the number, 0 to 1.
        error: its standard error, at least 0.
        n: number of images that count where the standard error tells nothing: it is 0 but for rounding.

    >>> score_interval(0.9, 0.03, 50) == wilson(90, 100), score_interval(1.0, 0.0, 50) == wilson(50, 50)
    (True, True)
    """
    images = round(value * (1 - value) / error**2, 9) if error > _NO_ERROR and 0 < value < 1 else n
    return wilson(min(value * images, images), images)


def bootstrap(
    measure: Measure,
    images: ArrayLike,
    *,
    strata: ArrayLike | None = None,
    replicates: int | None = None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Compute a metric again and again, from images that are drawn with replacement; return all values.

    The same arguments give the same values.

    Args:
        measure: takes the weights of all items in some replicates, float64 `(b, m)`, and returns a number each `(b,)`
            or several `(b, k)`: the metric with these sample weights. The difference of two metrics is one, too.
        images: the number of images that each item stands for, int `(m,)`: 1 each, but for images that are alike to the
            metric, which are one item.
        strata: class number of each item, `(m,)`, within which images are drawn, so that each class keeps its weight;
            an only image of its class stays in each replicate.
        replicates: 200 to 1,000 if not given, the fewer the more items there are.
        seed: of the random numbers.

    Returns:
        Values `(replicates,)` or `(replicates, k)`.
    """
    counts = np.asarray(images)
    fewest, most = _REPLICATES
    wanted = min(most, max(fewest, _DRAWS // len(counts))) if replicates is None else replicates
    kind = np.zeros(len(counts), np.int64) if strata is None else np.asarray(strata)
    return np.concatenate([measure(weights) for weights in _weights(counts, kind, wanted, seed)])


def _weights(counts: NDArray[Any], strata: NDArray[Any], replicates: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield the weights of items `(b, m)`, some replicates at a time."""
    order = np.argsort(strata, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(strata[order])) + 1)
    together = max(1, _CHUNK // len(counts))
    for first in range(0, replicates, together):
        weights = np.empty((min(together, replicates - first), len(counts)))
        numbers = np.random.default_rng(scalar(seed, first))
        for items in members:
            total = counts[items].sum()
            drawn = max(total - 1, 1)
            found = numbers.multinomial(drawn, counts[items] / total, size=len(weights))
            weights[:, items] = found * (total / drawn)
        yield weights


def percentile_interval(values: NDArray[np.float64]) -> Interval:
    """Return the interval that leaves out 2.5 % of the values of `bootstrap`, `(replicates,)`, on each side."""
    low, high = np.quantile(values, _TAILS).tolist()
    return Interval(low, high)


def share_intervals(
    names: Sequence[str], measure: Measure, n: int, *, replicates: int | None = None
) -> dict[str, Interval]:
    """Return the 95 % intervals of numbers from 0 to 1 over images, by name: the percentiles of `bootstrap`.

    Draws without a number (NaN), such as the average precision of images without objects, are left out. Where the draws
    agree, as where no image was wrong, the interval is Wilson's: no number is certain. What is unknown has no interval,
    nor has a single image.

    Args:
        names: of the numbers.
        measure: see `bootstrap`; returns `(b, k)`.
        n: images.
        replicates: see `bootstrap`.
    """
    if n < 2:
        return {}
    values = bootstrap(measure, np.ones(n, np.int64), replicates=replicates)
    found = {}
    for name, value, drawn in zip(names, measure(np.ones((1, n)))[0].tolist(), values.T, strict=True):
        known = drawn[~np.isnan(drawn)]
        if len(known) and not math.isnan(value):
            interval = percentile_interval(known)
            wide = interval.high - interval.low > _NO_ERROR
            found[name] = interval if wide else score_interval(value, 0.0, n)
    return found


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the p-value, two-sided and exact, of two models on the same images. McNemar 1947, Psychometrika 12.

    Args:
        only_first: number of images that only the first model classifies correctly.
        only_second: number of images that only the second one does.

    Returns:
        The probability of at least this difference between models that are equally good; 1 where they never differ.

    >>> round(mcnemar(8, 1), 4), mcnemar(0, 0)
    (0.0391, 1.0)
    """
    n, fewer = only_first + only_second, min(only_first, only_second)
    k = np.arange(1, fewer + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k))])  # of the binomial coefficients
    return min(1.0, 2 * float(np.exp(logs - n * math.log(2)).sum()))


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """Two models compared on the same images.

    Attributes:
        difference: mean of the first model minus that of the second.
        interval: 95 % interval of the difference; infinite for numbers of a single image, which say nothing.
        p_value: of McNemar's exact test; None for numbers other than right and wrong.
        n: number of images.
    """

    difference: float
    interval: Interval
    p_value: float | None
    n: int

    @property
    def may_be_chance(self) -> bool:
        """The images do not tell which model is better: the interval contains 0, or the p-value is not below 0.05."""
        return self.interval.low <= 0 <= self.interval.high or (self.p_value or 0) >= _SIGNIFICANT

    def in_points(self) -> str:
        """Return a difference of shares and its interval in percentage points.

        >>> compare_paired([True] * 60 + [False] * 40, [True] * 58 + [False] * 42).in_points()
        '+2.0 (-1.8 to +7.0), may be chance'
        """
        low, high = (f"{100 * end:+.1f}" for end in self.interval)
        return f"{100 * self.difference:+.1f} ({low} to {high}){', may be chance' if self.may_be_chance else ''}"


def compare_paired(first: ArrayLike, second: ArrayLike) -> PairedDifference:
    """Compare two models image by image.

    Right and wrong have the score interval of Tango 1998, "Equivalence test and confidence interval for the difference
    in proportions for the paired-sample design", Statistics in Medicine 17, which is to Wilson's interval what a
    difference is to a share. Other numbers are bootstrapped.

    Args:
        first: of each image whether the first model is right, bool `(n,)`; or a number, the higher the better.
        second: the same of the second model.

    Raises:
        DataError: these are not the same images, or none.

    >>> compare_paired([True, True, False, True], [True, False, False, False]).interval
    Interval(low=-0.234..., high=0.849...)
    """
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise DataError(f"models are compared on the same images, not on {a.shape} and {b.shape}")
    n = len(a)
    if a.dtype != bool:
        differences = a.astype(np.float64) - b
        values = bootstrap(lambda weights: weights @ differences / n, np.ones(n, np.int64))
        interval = percentile_interval(values) if n > 1 else Interval(-math.inf, math.inf)
        return PairedDifference(difference=float(differences.mean()), interval=interval, p_value=None, n=n)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return PairedDifference(
        difference=(only_a - only_b) / n,
        interval=Interval(-_tango_high(only_b, only_a, n), _tango_high(only_a, only_b, n)),
        p_value=mcnemar(only_a, only_b),
        n=n,
    )


def _tango_high(only_first: int, only_second: int, n: int) -> float:
    """Return the upper end of Tango's interval: the difference at which the score statistic is -1.96 (Eq. 10).

    The statistic falls as the difference grows, so that halving finds it.
    """

    def score(d: float) -> float:
        # The share of images that only the second model classifies correctly, most probable at this difference (Eq. 8).
        linear = (2 * n - only_first + only_second) * d - only_first - only_second
        constant = -only_second * d * (1 - d)
        share = (math.sqrt(max(0.0, linear * linear - 8 * n * constant)) - linear) / (4 * n)
        return (only_first - only_second - n * d) / math.sqrt(n * (2 * share + d * (1 - d)))

    low, high = (only_first - only_second) / n, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if score(middle) > -_Z else (low, middle)
    return high
