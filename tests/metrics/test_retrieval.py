"""Recall and ranks of queries, beside scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, top_k_accuracy_score

from hubel.metrics.retrieval import measure_retrieval


@pytest.mark.parametrize("n", [12, 40])
def test_scikit_learn(n: int) -> None:
    """Where query i fits candidate i alone, recall@k is the top-k accuracy."""
    similar = np.random.default_rng(n).normal(size=(n, n)) + np.eye(n)
    found = measure_retrieval(similar, np.eye(n, dtype=np.bool_))
    for k in (1, 5, 10):
        expected = top_k_accuracy_score(np.arange(n), similar, k=k, labels=np.arange(n))
        assert getattr(found, f"recall_at_{k}") == pytest.approx(expected)
    assert (found.queries, found.candidates) == (n, n)


def test_average_precision_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    similar = generator.normal(size=(20, 30))
    fits = generator.random((20, 30)) < 0.2
    fits[:, 0] = True
    expected = [average_precision_score(fit, one) for fit, one in zip(fits, similar, strict=True)]
    found = measure_retrieval(similar, fits)
    assert found.average_precision == pytest.approx(np.mean(expected))
    first = np.take_along_axis(fits, np.argsort(-similar, axis=1), 1)[:, :5]
    assert found.precision_at_5 == pytest.approx(first.mean())


def test_what_is_equally_similar_counts_last() -> None:
    found = measure_retrieval(np.zeros((1, 4)), np.array([[True, False, False, True]]))
    assert found.average_precision == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert found.median_rank == 3


def test_ranks_by_hand() -> None:
    """The best that fits counts; what is exactly as similar and does not fit stands before it."""
    similar = np.array([[0.9, 0.8, 0.1], [0.5, 0.5, 0.5], [0.2, 0.3, 0.1]])
    fits = np.array([[True, True, False], [False, True, False], [True, False, True]])
    found = measure_retrieval(similar, fits)
    assert found.median_rank == 2  # of 1, 3 and 2
    assert (found.recall_at_1, found.recall_at_5) == (pytest.approx(1 / 3), 1)
