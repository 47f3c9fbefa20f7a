"""Two-sample tests against their formulas, SciPy, and the uniform distribution of p-values."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from hubel.metrics.two_samples import Permutations, anderson_darling, chi_square, cliffs_delta, holm, mmd

_TESTS = {"mmd": mmd, "anderson_darling": anderson_darling, "chi_square": chi_square}


def _pooled(name: str, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Return n values of one distribution: with ties for the test of categories, and in the test of numbers."""
    if name == "mmd":
        return rng.normal(size=(n, 3))
    return rng.integers(0, 4, n).astype(float) if name == "chi_square" else rng.normal(size=n).round(1)


@pytest.mark.parametrize("name", _TESTS)
def test_p_values_are_uniform_where_nothing_differs(name: str) -> None:
    rng, count, found = np.random.default_rng(0), 39, []
    for seed in range(400):
        pooled = _pooled(name, rng, 19)
        _, p = _TESTS[name](pooled, Permutations(9, 10, count, seed).assigned())
        found.append(p)
    p_values = np.array(found)
    for alpha in (0.025, 0.05, 0.1, 0.25, 0.5):  # never more often than alpha, but for the chance of 400 draws
        assert (p_values <= alpha + 1e-12).mean() <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / 400)
    if name == "mmd":  # without ties they are exactly uniform on multiples of 1 / 40
        spread = p_values - rng.uniform(0, 1 / (1 + count), 400)
        assert stats.kstest(spread, "uniform").pvalue > 0.01


@pytest.mark.parametrize("name", _TESTS)
def test_differences_are_found(name: str) -> None:
    rng = np.random.default_rng(1)
    pooled = _pooled(name, rng, 60)
    pooled[:30] += 2
    _, p = _TESTS[name](pooled, Permutations(30, 30, 199).assigned())
    assert p == 1 / 200


def test_mmd_is_the_unbiased_estimate() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(7, 3)), rng.normal(0.5, 1, size=(5, 3))
    pooled = np.concatenate([x, y])
    squares = ((pooled[:, None] - pooled) ** 2).sum(-1)
    median = np.median([squares[i, j] for i, j in product(range(12), repeat=2) if i < j])

    def k(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(np.mean([np.exp(-((a - b) ** 2).sum() / (2 * w**2 * median)) for w in (0.5, 1, 2)]))

    within = [
        sum(k(s[i], s[j]) for i, j in product(range(len(s)), repeat=2) if i != j) / (len(s) * (len(s) - 1))
        for s in (x, y)
    ]
    expected = sum(within) - 2 * np.mean([k(a, b) for a in x for b in y])
    assert mmd(pooled, Permutations(7, 5, 9).assigned())[0] == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:Parameter `variant`:UserWarning")
def test_anderson_darling_agrees_with_scipy() -> None:
    """SciPy standardises the statistic by numbers that depend on the sizes alone."""
    rng, ours, theirs = np.random.default_rng(3), [], []
    for shift in (0.0, 0.4, 1.0, 3.0):
        x, y = rng.normal(shift, 1, 20).round(1), rng.normal(size=30).round(1)
        ours.append(anderson_darling(np.concatenate([x, y]), Permutations(20, 30, 1).assigned())[0])
        theirs.append(stats.anderson_ksamp([x, y], method=stats.PermutationMethod(n_resamples=1)).statistic)
    slopes = np.diff(ours) / np.diff(theirs)
    assert slopes == pytest.approx(slopes[0])
    assert np.array(ours) - slopes[0] * np.array(theirs) == pytest.approx(1)  # the mean of the statistic: k - 1


@given(st.lists(st.integers(0, 4), min_size=4, max_size=40))
@settings(max_examples=50, deadline=None)
def test_chi_square_is_pearsons(codes: list[int]) -> None:
    first = len(codes) // 2
    found, p = chi_square(codes, Permutations(first, len(codes) - first, 9).assigned())
    table = [[half.count(code) for code in sorted(set(codes))] for half in (codes[:first], codes[first:])]
    assert found == pytest.approx(stats.chi2_contingency(table, correction=False).statistic, abs=1e-6)
    assert 0.1 <= p <= 1


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20), st.lists(st.integers(-3, 3), min_size=1, max_size=20))
def test_cliffs_delta_counts_pairs(first: list[int], second: list[int]) -> None:
    assert cliffs_delta(first, second) == pytest.approx(np.sign(np.subtract.outer(first, second)).mean())


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_steps_down(p_values: list[float]) -> None:
    adjusted, n = holm(p_values), len(p_values)
    order = sorted(range(n), key=lambda i: p_values[i])
    for rank, i in enumerate(order):
        assert adjusted[i] == pytest.approx(min(1, max((n - r) * p_values[order[r]] for r in range(rank + 1))))


def test_values_that_are_all_equal_tell_nothing() -> None:
    assigned = Permutations(5, 6, 19).assigned()
    assert anderson_darling(np.ones(11), assigned) == (0.0, 1.0)
    assert chi_square(np.ones(11), assigned) == (0.0, 1.0)
    assert mmd(np.ones((11, 2)), assigned) == (pytest.approx(0), 1.0)
