from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.audit.outliers import neighbour_distances, outliers

module = import_module("hubel.audit.outliers")


def test_distances_by_hand(monkeypatch):
    features = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    expected = []
    for i, a in enumerate(features):
        others = [1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for j, b in enumerate(features) if j != i]
        expected.append(np.mean(sorted(others)[:3]))
    for rows in (1, 7, 1024):
        monkeypatch.setattr(module, "_ROWS", rows)
        np.testing.assert_allclose(neighbour_distances(features, neighbours=3), expected, atol=1e-6)


def test_planted_outliers_are_found():
    rng = np.random.default_rng(1)
    usual = np.abs(rng.normal(size=(200, 30))) + 3
    strange = rng.normal(size=(4, 30))
    features = np.concatenate([usual[:100], strange, usual[100:]]).astype(np.float32)
    found = outliers(features)
    assert set(found.rows[:4].tolist()) == {100, 101, 102, 103}
    assert len(found.rows) < 10
    assert (np.diff(found.deviations[found.rows]) <= 0).all()
    assert len(outliers(features, limit=1e9).rows) == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 60))
def test_deviations_are_robust_ones(seed, n):
    features = np.random.default_rng(seed).normal(size=(n, 5)).astype(np.float32)
    distances, found = neighbour_distances(features), outliers(features)
    unit = 1.4826 * np.median(np.abs(distances - np.median(distances)))
    if unit > 1e-12:
        np.testing.assert_allclose(found.deviations, (distances - np.median(distances)) / unit)
    assert set(found.rows.tolist()) == set(np.flatnonzero(found.deviations > 3).tolist())


@pytest.mark.parametrize("n", [0, 1, 2, 30])
def test_nothing_to_compare(n):
    for features in (np.ones((n, 4), np.float32), np.zeros((n, 4), np.float32)):
        found = outliers(features)
        assert found.deviations.shape == (n,)
        assert len(found.rows) == 0
