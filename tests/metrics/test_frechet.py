"""The Fréchet distance: against scipy's matrix root, the closed form of diagonal normals, and what must be 0."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from hubel.core.errors import DataError
from hubel.metrics.frechet import frechet_distance, normal_distance, spread


def features(seed: int, n: int, d: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)


def by_root(a: np.ndarray, b: np.ndarray) -> float:
    """The formula as it is printed, with scipy's root of an asymmetric matrix."""
    c1, c2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    shift = a.mean(0) - b.mean(0)
    return float(shift @ shift + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real))


@given(st.integers(0, 10**6), st.integers(2, 12))
def test_is_the_printed_formula(seed: int, d: int) -> None:
    a, b = features(seed, 40, d), features(seed + 1, 30, d)
    assert frechet_distance(a, b) == pytest.approx(by_root(a, b), rel=1e-6, abs=1e-6)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-9)


@given(st.integers(0, 10**6), st.integers(1, 20))
def test_diagonal_normals_have_a_closed_form(seed: int, d: int) -> None:
    """The squared differences of means and of standard deviations."""
    rng = np.random.default_rng(seed)
    m1, m2, s1, s2 = rng.normal(size=d), rng.normal(size=d), rng.uniform(0, 2, d), rng.uniform(0, 2, d)
    expected = np.square(m1 - m2).sum() + np.square(s1 - s2).sum()
    assert normal_distance(m1, np.diag(s1**2), m2, np.diag(s2**2)) == pytest.approx(expected)


def test_equal_sets_have_none_even_of_fewer_rows_than_features() -> None:
    a = features(0, 5, 20)
    assert frechet_distance(a, a[::-1]) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a.astype(np.float32), a + 2.0) == pytest.approx(20 * 4, rel=1e-5)


def test_halves_of_one_distribution_come_nearer_with_their_size() -> None:
    distances = [frechet_distance(*np.split(features(3, n, 6), 2)) for n in (40, 400, 40_000)]
    assert distances[0] > distances[1] > distances[2] > 0


def test_spread() -> None:
    assert spread(np.ones((5, 3))) == 0
    assert spread(np.array([[0.0, 0.0], [6.0, 8.0]])) == 5


@pytest.mark.parametrize("shapes", [((1, 3), (5, 3)), ((5, 3), (5, 4)), ((5,), (5,))])
def test_mistakes(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(DataError, match="two sets of features"):
        frechet_distance(*(np.zeros(shape) for shape in shapes))
