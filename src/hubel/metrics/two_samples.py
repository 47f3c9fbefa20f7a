"""Two-sample tests: whether two samples come from the same distribution.

Each p-value is that of a permutation test: the share of the assignments of the pooled values to both samples, the true
one included, whose statistic is at least as large. If nothing differs it is at most alpha with a probability of at most
alpha, for samples of any size and any distribution (Phipson & Smyth 2010, Section 3). The tests of one comparison share
their permutations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.random import bits

__all__ = ["Permutations", "anderson_darling", "chi_square", "cliffs_delta", "holm", "mmd"]

_BANDWIDTHS = (0.5, 1.0, 2.0)  # of the kernels, in medians of the distances
_AT_ONCE = 2**22  # numbers of a block of permuted samples


@dataclass(frozen=True)
class Permutations:
    """Random assignments of `first + second` pooled values to the two samples.

    Attributes:
        first: size of the first sample, at least 2.
        second: size of the second sample, at least 2.
        count: number of permutations; the smallest p-value is `1 / (1 + count)`.
        seed: seed of the assignments.
    """

    first: int
    second: int
    count: int = 999
    seed: int = 0

    def assigned(self) -> NDArray[np.float32]:
        """Return 1 where a value belongs to the first sample, `(1 + count, n)`; row 0 is the true assignment."""
        n = self.first + self.second
        rows = np.zeros((1 + self.count, n), np.float32)
        rows[0, : self.first] = 1
        words = bits(self.seed, np.arange(1, 1 + self.count)[:, None], np.arange(n))
        np.put_along_axis(rows[1:], np.argsort(words, axis=1, kind="stable")[:, : self.first], 1, axis=1)
        return rows


def mmd(pooled: ArrayLike, assigned: NDArray[np.float32]) -> tuple[float, float]:
    """Test samples of vectors by their maximum mean discrepancy; return the unbiased MMD² and its p-value.

    Gretton et al. 2012, "A kernel two-sample test", JMLR 13, equation 3. The kernel is the mean of Gaussian ones with
    0.5, 1 and 2 times the median distance as their bandwidth.

    Args:
        pooled: both samples, the first one first, `(n, d)`.
        assigned: see `Permutations.assigned`.
    """
    kernel = _kernel(np.asarray(pooled, np.float64))
    ones = assigned.astype(np.float64)
    with_all = kernel.sum(1)
    inside = np.einsum("bi,bi->b", ones @ kernel, ones)
    across = ones @ with_all - inside
    n, m = assigned[0].sum(dtype=np.float64), (1 - assigned[0]).sum(dtype=np.float64)
    outside = with_all.sum() - inside - 2 * across
    values = inside / (n * (n - 1)) + outside / (m * (m - 1)) - 2 * across / (n * m)
    return float(values[0]), _p_value(values)


def _kernel(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the kernel between all pairs, with a diagonal of 0: the unbiased estimate leaves it out."""
    squares = (x**2).sum(1)
    distances = np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0)
    median = np.median(distances[np.triu_indices(len(x), 1)]) or 1.0
    kernel = np.mean([np.exp(-distances / (2 * width**2 * median)) for width in _BANDWIDTHS], axis=0)
    np.fill_diagonal(kernel, 0)
    return np.asarray(kernel)


def anderson_darling(pooled: ArrayLike, assigned: NDArray[np.float32]) -> tuple[float, float]:
    """Test samples of numbers by the Anderson-Darling distance; return the statistic and its p-value.

    Scholz & Stephens 1987, "K-sample Anderson-Darling tests", equation 7, with the midranks of ties.

    Args:
        pooled: both samples, the first one first, `(n,)`.
        assigned: see `Permutations.assigned`.
    """
    values, inverse, counts = np.unique(np.asarray(pooled), return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    ends = np.cumsum(counts)
    total = len(inverse)
    n = float(assigned[0].sum())
    middle = ends - counts / 2
    weight = counts / np.maximum(middle * (total - middle) - total * counts / 4, 1e-12)
    if len(values) < 2:
        return 0.0, 1.0
    found = []
    for block in np.array_split(assigned, max(1, assigned.size // _AT_ONCE)):
        within = np.cumsum(block[:, order], axis=1, dtype=np.float64)[:, ends - 1]
        below = within - np.diff(within, axis=1, prepend=0) / 2
        found.append(((total * below - n * middle) ** 2 @ weight) / (n * (total - n)))
    statistics = np.concatenate(found) * (total - 1) / total
    return float(statistics[0]), _p_value(statistics)


def chi_square(pooled: ArrayLike, assigned: NDArray[np.float32]) -> tuple[float, float]:
    """Test samples of categories by Pearson's chi-square statistic; return the statistic and its p-value.

    Args:
        pooled: the categories of both samples as whole numbers, the first sample first, `(n,)`.
        assigned: see `Permutations.assigned`.
    """
    _, codes = np.unique(np.asarray(pooled), return_inverse=True)
    member = np.eye(codes.max() + 1)[codes]
    share = assigned[0].mean(dtype=np.float64)
    expected = member.sum(0) * share
    observed = assigned @ member
    statistics = ((observed - expected) ** 2 / (expected * (1 - share))).sum(1)
    return float(statistics[0]), _p_value(statistics)


def cliffs_delta(first: ArrayLike, second: ArrayLike) -> float:
    """Return P(x > y) - P(x < y) for x of the first and y of the second sample, -1 to 1 (Cliff 1993)."""
    a, b = np.sort(np.asarray(first)), np.asarray(second)
    below, up_to = np.searchsorted(a, b, "left"), np.searchsorted(a, b, "right")
    return float((len(a) - up_to - below).mean() / len(a))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm 1979: the chance of any false one among those below alpha is at most alpha.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values)[order] * factors))
    return [float(value) for value in adjusted[np.argsort(order, kind="stable")]]


def _p_value(statistics: NDArray[np.float64]) -> float:
    """Return the p-value of the first statistic among all; what differs by rounding alone is a tie."""
    above = statistics >= statistics[0] - 1e-9 * max(1.0, abs(statistics[0]))
    return float(above.sum() / len(statistics))
