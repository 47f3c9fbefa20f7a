"""Numbers on novelty equal scikit-learn's, and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from hubel.core.errors import DataError
from hubel.metrics.novelty import area_under_roc, false_positive_rate, measure_novelty

# Few different values, so that many are equal.
SCORES = st.lists(st.integers(-4, 4).map(lambda number: number / 3), min_size=1, max_size=40)


@given(SCORES, SCORES)
def test_the_area_is_scikit_learns(known: list[float], unknown: list[float]) -> None:
    labels = np.r_[np.zeros(len(known)), np.ones(len(unknown))]
    assert area_under_roc(known, unknown) == pytest.approx(roc_auc_score(labels, np.r_[known, unknown]), abs=1e-12)


@given(SCORES, SCORES)
def test_the_false_positive_rate_is_the_best_point_of_scikit_learns_curve(
    known: list[float], unknown: list[float]
) -> None:
    """Positive are the known images here, whose novelty is low."""
    labels = np.r_[np.ones(len(known)), np.zeros(len(unknown))]
    false, true, _ = roc_curve(labels, -np.r_[known, unknown], drop_intermediate=False)
    assert false_positive_rate(known, unknown) == pytest.approx(false[true >= 0.95 - 1e-12].min(), abs=1e-12)


def test_shares_are_counted_above_the_threshold() -> None:
    found = measure_novelty([0.0, 0.5, 1.0, 1.5], 1.0, [0.9, 1.0, 2.0, 3.0, 4.0])
    assert (found.images, found.rejected, found.unknown_images, found.found) == (4, 0.25, 5, 0.6)
    alone = measure_novelty([0.0, 2.0], 1.0)
    assert alone.to_json() == {"threshold": 1.0, "images": 2, "rejected": 0.5}
    assert set(found.to_json()) == {*alone.to_json(), "unknown_images", "found", "auroc", "fpr95"}


@pytest.mark.parametrize("wrong", [[], [np.nan], [[0.0]], [np.inf]])
def test_what_is_no_novelty_is_refused(wrong: list[float]) -> None:
    with pytest.raises(DataError, match="finite numbers, one an image"):
        measure_novelty(wrong, 1.0)
    with pytest.raises(DataError, match="finite numbers, one an image"):
        measure_novelty([0.0], 1.0, wrong)
