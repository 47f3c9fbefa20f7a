"""Prediction sets against their equations, taken literally, and on real scores; what a card keeps of them."""

from __future__ import annotations

import dataclasses
import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import peers
from hubel.core.errors import DataError, OptionError
from hubel.metrics.prediction_sets import (
    aps_scores,
    conformal_quantile,
    conformal_rank,
    coverage_table,
    lac_scores,
    measure_sets,
    raps_scores,
)
from hubel.weights.coverage import LEVELS, CoverageTable

Scores = NDArray[np.float64]
COVERAGES = st.sampled_from([0.5, 0.61, 0.8, 0.9, 0.925, 0.95, 0.975, 0.99, 0.999])


def drawn(n: int, classes: int = 5, *, seed: int = 0, shares: tuple[float, ...] = ()) -> tuple[Scores, NDArray[Any]]:
    """Probabilities of a classifier that is right in what it says: labels are drawn from them."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, classes)) + (np.log(shares) if shares else 0)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return p, np.array([rng.choice(classes, p=row) for row in p])


@given(n=st.integers(1, 300), coverage=COVERAGES)
def test_rank_is_the_lowest_that_covers(n: int, coverage: float) -> None:
    k = conformal_rank(n, coverage)
    wanted = Fraction(str(coverage))
    assert Fraction(k, n + 1) >= wanted > Fraction(k - 1, n + 1)


@given(n=st.integers(1, 60), coverage=COVERAGES)
def test_each_of_exchangeable_images_is_covered_as_often_as_stated(n: int, coverage: float) -> None:
    """Of n + 1 different scores, each in turn that of the new image, exactly k are within the others' quantile."""
    scores = np.random.default_rng(n).permutation(n + 1).astype(float)
    within = sum(scores[i] <= conformal_quantile(np.delete(scores, i), coverage) for i in range(n + 1))
    assert within == min(conformal_rank(n, coverage), n + 1)


def test_quantile_refuses_shares_that_are_none() -> None:
    for wrong in (0, 1, -0.5, 95, math.nan):
        with pytest.raises(OptionError, match="between 0 and 1"):
            conformal_quantile([0.5], wrong)


def test_scores_are_the_equations() -> None:
    p, _ = drawn(40)
    u = np.random.default_rng(1).uniform(size=40)
    for i, row in enumerate(p):
        for y, own in enumerate(row):
            above = row[row > own].sum()
            rank = 1 + (row > own).sum()
            assert lac_scores(p)[i, y] == 1 - own
            assert aps_scores(p)[i, y] == pytest.approx(above + own)
            assert aps_scores(p, u)[i, y] == pytest.approx(above + u[i] * own)
            penalised = above + u[i] * own + 0.3 * max(0, rank - 2)
            assert raps_scores(p, u, penalty=0.3, free_ranks=2)[i, y] == pytest.approx(penalised)


def test_equal_probabilities_are_ranked_by_position() -> None:
    assert aps_scores([[0.5, 0.5]]).tolist() == [[0.5, 1.0]]


@pytest.mark.peer
def test_sets_are_those_of_mapie() -> None:
    classification, base = peers.mapie_classification(), pytest.importorskip("sklearn.base")

    class Given(base.ClassifierMixin, base.BaseEstimator):  # type: ignore[misc]
        """A classifier whose probabilities are its input."""

        def fit(self, x: Any, y: Any = None) -> Any:
            self.classes_ = np.arange(5)
            return self

        def predict_proba(self, x: Scores) -> Scores:
            return x

        def predict(self, x: Scores) -> NDArray[Any]:
            return x.argmax(1)

    (p, y), (new, _) = drawn(400), drawn(1000, seed=1)
    rows = np.arange(len(y))
    for coverage in (0.8, 0.9, 0.95):
        made = classification.SplitConformalClassifier(
            Given().fit(p), confidence_level=coverage, conformity_score="lac"
        )
        _, theirs = made.conformalize(p, y).predict_set(new)
        ours = lac_scores(new) <= conformal_quantile(lac_scores(p)[rows, y], coverage)
        np.testing.assert_array_equal(ours, theirs[:, :, 0])
        # Its own rule for the last class of a set includes the one that passes the quantile: u is 0 for new images.
        made = classification.SplitConformalClassifier(
            Given().fit(p), confidence_level=coverage, conformity_score="aps", random_state=0
        )
        _, theirs = made.conformalize(p, y).predict_set(new, conformity_score_params={"include_last_label": True})
        u = 1 - np.random.RandomState(0).uniform(size=len(y))
        quantile = conformal_quantile(aps_scores(p, u)[rows, y], coverage)
        np.testing.assert_array_equal(aps_scores(new, np.zeros(len(new))) <= quantile, theirs[:, :, 0])


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 400), seed=st.integers(0, 99), coverage=COVERAGES)
def test_a_table_is_never_less_careful_than_all_scores(n: int, seed: int, coverage: float) -> None:
    p, y = drawn(n, seed=seed)
    table, scores = coverage_table(p, y), p[np.arange(n), y]
    exact = 1 - conformal_quantile(1 - scores, coverage)
    level = next(level for level in LEVELS if level >= coverage)  # between two of them, the higher one holds
    if conformal_rank(n, level) > n:
        with pytest.raises(OptionError, match=f"more calibration images than this model has, {n}; the most that they"):
            table.at(coverage)
        return
    kept = dataclasses.replace(table, class_thresholds=()).at(coverage)
    assert kept.shape == (1,)
    assert kept[0] <= exact + 1e-15
    if coverage in LEVELS:
        assert kept[0] == pytest.approx(exact, rel=2e-5)
    for number, threshold in enumerate(table.at(coverage) if table.class_thresholds else []):
        own = 1 - conformal_quantile(1 - scores[y == number], coverage)
        assert threshold <= max(exact, own) + 1e-15


@settings(max_examples=30, deadline=None)
@given(n=st.integers(20, 300), seed=st.integers(0, 99))
def test_sets_grow_with_the_coverage_and_are_never_empty(n: int, seed: int) -> None:
    p, y = drawn(n, seed=seed)
    table, new = coverage_table(p, y), drawn(50, seed=seed + 1)[0]
    for lower, higher in ((0.5, 0.7), (0.7, 0.72), (0.72, 0.95)):
        assert (table.at(higher) <= table.at(lower)).all()
        inside = table.sets(new, lower)
        assert inside.any(1).all()
        best = np.arange(5) == new.argmax(1)[:, None]
        full = (new >= table.at(lower)).any(1)
        assert np.array_equal(inside[full], (new >= table.at(lower))[full])
        assert np.array_equal(inside[~full], best[~full])


def test_a_class_has_a_threshold_of_its_own_where_its_images_allow_it() -> None:
    p, y = drawn(800, 2)
    own = p[np.arange(800), y][y == 1]
    few, enough = own[:38], own[:39]  # floor(40 * 0.1) = 4
    for scores, allowed in ((few, False), (enough, True)):
        rows = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[: len(scores)]])
        thresholds = coverage_table(p[rows], y[rows]).at(0.9)
        exact = 1 - conformal_quantile(1 - scores, 0.9)
        assert (thresholds[-1] == pytest.approx(exact, rel=2e-5)) == allowed


def test_a_rare_class_that_the_others_hide_is_covered() -> None:
    """12 of 200 images: the quantile of all would leave most of them out of their sets."""
    rng = np.random.default_rng(0)
    common, rare = np.full(188, 0.9) + 0.09 * rng.uniform(size=188), np.linspace(0.05, 0.4, 12)
    p = np.concatenate([np.stack([common, 1 - common], 1), np.stack([1 - rare, rare], 1)])
    y = np.repeat([0, 1], [188, 12])
    table = coverage_table(p, y)
    assert measure_sets(table.sets(p, 0.9), y, ("a", "b"), 0.9).per_class[1].covered >= 11
    alone = dataclasses.replace(table, class_thresholds=())
    assert measure_sets(alone.sets(p, 0.9), y, ("a", "b"), 0.9).per_class[1].covered < 11


def test_coverage_of_real_scores_over_100_splits() -> None:
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    train, rest = order[:250], order[250:]
    x = digits.data / 16
    model = LogisticRegression(C=0.1).fit(x[train], digits.target[train])
    p, y = model.predict_proba(x[rest]), digits.target[rest]
    found = []
    for seed in range(100):
        order = np.random.default_rng(seed).permutation(len(y))
        calibration, test = order[:1000], order[1000:]
        inside = coverage_table(p[calibration], y[calibration]).sets(p[test], 0.95)
        found.append(measure_sets(inside, y[test], [str(i) for i in range(10)], 0.95))
    assert np.mean([one.measured for one in found]) == pytest.approx(0.95, abs=0.01)
    assert np.mean([one.mean_size for one in found]) < 1.5


def test_metrics_of_sets() -> None:
    inside = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]], bool)
    measured = measure_sets(inside, np.array([0, 1, 0, 1]), ("a", "b", "c"), 0.9)
    assert (measured.measured, measured.mean_size, measured.singletons, measured.n) == (0.75, 1.5, 0.5, 4)
    assert [(one.n, one.covered, one.mean_size) for one in measured.per_class] == [(2, 1, 1.5), (2, 2, 1.5), (0, 0, 0)]
    assert measured.interval == pytest.approx((0.300642, 0.954413), abs=1e-5)  # statsmodels' proportion_confint
    numbers = json.loads(json.dumps(measured.to_json()))
    assert (numbers["coverage"], numbers["per_class"][1]["covered"]) == (0.9, 2)
    assert "inside" not in numbers
    with pytest.raises(DataError, match="shape"):
        measure_sets(inside, np.array([0, 1]), ("a", "b", "c"), 0.9)


def test_a_table_is_small_and_comes_back_from_json() -> None:
    table = coverage_table(*drawn(2000, 10))
    text = json.dumps(dataclasses.asdict(table))
    assert len(text) < 3000
    assert CoverageTable.from_json(json.loads(text)) == table


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("levels", [0.9, 0.5]),
        ("levels", []),
        ("levels", [0.5, 1.0]),
        ("images", 0),
        ("images", True),
        ("images", "many"),
        ("thresholds", [0.1, 0.2]),
        ("thresholds", [2.0]),
        ("thresholds", [0.5] * 99),
        ("thresholds", 3),
        ("class_thresholds", [[0.1, 0.2]]),
        ("class_thresholds", [["a"]]),
        ("class_thresholds", [[0.1]]),
        ("class_thresholds", None),
    ],
)
def test_damaged_tables_are_refused(field: str, wrong: Any) -> None:
    good: dict[str, Any] = {"levels": [0.5, 0.9], "images": 9, "thresholds": [0.3, 0.1], "class_thresholds": [[0.2, 0]]}
    assert CoverageTable.from_json(good).at(0.8).tolist() == [0.0]
    with pytest.raises((OptionError, TypeError, ValueError)):
        CoverageTable.from_json({**good, field: wrong})


def test_coverages_out_of_range_are_refused() -> None:
    table = coverage_table(*drawn(100))
    for wrong in (95, 0.4, 1, math.nan, "0.9"):
        with pytest.raises(OptionError, match="coverage"):
            table.at(wrong)  # type: ignore[arg-type]
    with pytest.raises(
        OptionError, match=r"0\.995 needs more calibration images than this model has, 100; .* is 0\.99"
    ):
        table.at(0.995)
