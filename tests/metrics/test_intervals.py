"""Intervals against other libraries, closed forms and simulation."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn import metrics as reference

from hubel.core.errors import DataError
from hubel.metrics.classification import measure_classification, measure_multilabel
from hubel.metrics.classification_intervals import (
    classification_intervals,
    few_images,
    multi_label_intervals,
    weighted_label_metrics,
    weighted_macro_metrics,
)
from hubel.metrics.intervals import (
    Interval,
    bootstrap,
    compare_paired,
    mcnemar,
    percentile_interval,
    score_interval,
    wilson,
)
from hubel.tasks.regress import measure_regression, weighted_regression

Z = stats.norm.ppf(0.975)


@given(st.integers(1, 3000), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_wilson_agrees_with_scipy(n: int, share: float) -> None:
    hits = round(share * n)
    expected = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert wilson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_at_the_ends() -> None:
    assert wilson(0, 20).low == 0.0
    assert wilson(20, 20).high == 1.0
    assert wilson(0, 0) == (0.0, 1.0), "nothing is known"
    for hits, n in ((3, 2), (-1, 5), (0, -1)):
        with pytest.raises(DataError, match="no share of images"):
            wilson(hits, n)


@given(st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=200, deadline=None)
def test_mcnemar_agrees_with_scipy(one: int, two: int) -> None:
    expected = stats.binomtest(one, one + two).pvalue if one + two else 1.0
    assert mcnemar(one, two) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(one, two) == mcnemar(two, one)


def test_mcnemar_of_many_images() -> None:
    assert mcnemar(50_000, 50_700) == pytest.approx(stats.binomtest(50_000, 100_700).pvalue, rel=1e-8)
    assert 0 <= mcnemar(0, 5000) < 1e-300


@given(st.floats(0.001, 0.999), st.floats(1e-4, 0.2))
def test_a_share_with_its_own_error_has_its_own_interval(value: float, error: float) -> None:
    low, high = score_interval(value, error, 10)
    assert 0 <= low <= value <= high <= 1
    n = round(1e6 * value) and 400
    exact = math.sqrt(value * (1 - value) / n)
    assert score_interval(value, exact, 10) == pytest.approx(wilson(value * n, n), abs=1e-6)


def test_the_bootstrap_knows_the_error_of_a_mean() -> None:
    """Its variance is that of the mean, with n - 1: exact for few images, too, within classes and without."""
    rng = np.random.default_rng(0)
    for n, strata in ((6, None), (300, None), (40, np.arange(40) % 8)):
        x = rng.normal(0, 1, n)
        values = bootstrap(lambda weights, x=x, n=n: weights @ x / n, np.ones(n, int), strata=strata, replicates=20_000)
        groups = [x] if strata is None else [x[strata == k] for k in range(8)]
        expected = math.sqrt(sum((len(g) / n) ** 2 * g.var(ddof=1) / len(g) for g in groups))
        assert values.std() == pytest.approx(expected, rel=0.03)
        assert values.mean() == pytest.approx(x.mean(), abs=4 * expected / math.sqrt(20_000) + 1e-3)


def test_items_stand_for_images() -> None:
    """Images that are alike are one item, which changes nothing but the random numbers."""
    x, counts = np.array([0.0, 1.0, 3.0]), np.array([20, 30, 10])
    one = bootstrap(lambda weights: weights @ x / 60, counts, replicates=20_000)
    two = bootstrap(lambda weights: weights @ np.repeat(x, counts) / 60, np.ones(60, int), replicates=20_000)
    assert one.mean() == pytest.approx(two.mean(), abs=0.005)
    assert one.std() == pytest.approx(two.std(), rel=0.03)


def test_the_bootstrap_is_a_function_of_its_arguments() -> None:
    def mean(weights: np.ndarray) -> np.ndarray:
        return weights.mean(1) + weights[:, 0]

    ones = np.ones(50, int)
    assert (bootstrap(mean, ones) == bootstrap(mean, ones)).all()
    assert (bootstrap(mean, ones) != bootstrap(mean, ones, seed=1)).any()
    assert len(bootstrap(mean, ones)) == 1000
    assert len(bootstrap(mean, np.ones(10_000, int))) == 500
    only = bootstrap(lambda weights: weights, np.ones(3, int), strata=[0, 1, 2])
    assert (only == 1).all(), "an only image of its class stays"


@given(st.integers(2, 40), st.integers(2, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_weighted_macro_metrics_agree_with_scikit_learn(n: int, c: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, predicted, weights = rng.integers(0, c, n), rng.integers(0, c, n), rng.uniform(0.1, 2, (3, n))
    found = weighted_macro_metrics(weights, labels, predicted)
    for row, weight in zip(found, weights, strict=True):
        settings = {"labels": np.unique(labels), "average": "macro", "zero_division": 0, "sample_weight": weight}
        assert row == pytest.approx(reference.precision_recall_fscore_support(labels, predicted, **settings)[:3])
    plain = measure_classification(np.eye(c)[predicted], labels, [str(i) for i in range(c)])
    expected = (plain.macro_precision, plain.macro_recall, plain.macro_f1)
    assert weighted_macro_metrics(np.ones((1, n)), labels, predicted)[0] == pytest.approx(expected)


@given(st.integers(2, 30), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_weighted_label_metrics_agree_with_scikit_learn(n: int, c: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, truth = np.round(rng.random((n, c)), 1), rng.random((n, c)) < 0.4
    truth[0] = True
    weights = rng.integers(0, 3, (4, n)).astype(float)
    weights[:, 0] += 1
    for row, weight in zip(weighted_label_metrics(weights, p, truth, 0.5), weights, strict=True):
        given_labels = p >= 0.5
        score = partial(reference.f1_score, truth, given_labels, sample_weight=weight, zero_division=0)
        average = [reference.average_precision_score(truth[:, k], p[:, k], sample_weight=weight) for k in range(c)]
        macro = np.mean([reference.f1_score(truth[:, k], given_labels[:, k], sample_weight=weight) for k in range(c)])
        micro = reference.f1_score(truth.ravel(), given_labels.ravel(), sample_weight=np.repeat(weight, c))
        assert row == pytest.approx([micro, macro, np.mean(average)])
        assert c == 1 or score(average="macro") == pytest.approx(macro)


@given(st.integers(2, 30), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_weighted_errors_agree_with_scikit_learn(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found, weights = rng.normal(5, 1, n), rng.normal(5, 1, n), rng.uniform(0.1, 2, (2, n))
    for row, weight in zip(weighted_regression(weights, found, truth), weights, strict=True):
        kinds = (reference.r2_score, reference.mean_squared_error, reference.mean_absolute_error)
        assert row == pytest.approx([kind(truth, found, sample_weight=weight) for kind in kinds])
    plain = measure_regression(found, truth)
    assert weighted_regression(np.ones((1, n)), found, truth)[0] == pytest.approx([plain.r2, plain.mse, plain.mae])


def classified(hits: list[int], support: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and predictions with these numbers of images; the wrong ones are taken for the next class."""
    labels = np.repeat(np.arange(len(support)), support)
    right = np.concatenate([np.arange(n) < hit for hit, n in zip(hits, support, strict=True)])
    return labels, np.where(right, labels, (labels + 1) % len(support))


def intervals(hits: list[int], support: list[int]) -> dict[str, Interval]:
    labels, predicted = classified(hits, support)
    metrics = measure_classification(np.eye(len(support))[predicted], labels, [str(i) for i in range(len(support))])
    return classification_intervals(metrics, labels, predicted)


def test_of_equal_classes_macro_recall_is_as_sure_as_accuracy() -> None:
    found = intervals([90] * 4, [100] * 4)
    assert found["macro_recall"] == pytest.approx(found["top1"], abs=0.004)
    assert "top5" not in found


def test_the_error_of_macro_recall_is_that_of_its_classes() -> None:
    hits, support = np.array([18, 30, 95, 5]), np.array([20, 60, 100, 10])
    p = hits / support
    error = math.sqrt((p * (1 - p) / (support - 1)).sum()) / 4
    found = intervals(hits.tolist(), support.tolist())["macro_recall"]
    assert found == pytest.approx(score_interval(p.mean(), error, 0), abs=0.01)


def test_no_number_is_certain() -> None:
    """Nothing wrong, single images, a class that is always wrong: the intervals have a width nevertheless."""
    for hits, support in (([10, 10], [10, 10]), ([1] * 6, [1] * 6), ([0, 20], [20, 20]), ([1, 0, 1, 1], [1] * 4)):
        for name, (low, high) in intervals(hits, support).items():
            assert high - low > 0.1, (name, hits, support)
    assert intervals([10, 10], [10, 10])["macro_f1"] == pytest.approx(wilson(20, 20))
    wide = intervals([1, 1, 0, 1, 1, 1, 0, 1], [1] * 8)
    assert wide["macro_recall"] == pytest.approx(wide["top1"], abs=0.02), "classes of one image are images"


def test_intervals_of_several_labels() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((200, 3)) < 0.3
    p = np.clip(0.5 * truth + 0.6 * rng.random((200, 3)), 0, 1)
    metrics = measure_multilabel(p, truth.astype(int), "abc")
    found = multi_label_intervals(metrics, p, truth)
    for name, (low, high) in found.items():
        assert low < getattr(metrics, name) < high
        assert 0.01 < high - low < 0.2
    assert found["subset_accuracy"] == wilson(round(metrics.subset_accuracy * 200), 200)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 2**32 - 1))
def test_models_that_are_compared(first: list[bool], seed: int) -> None:
    a = np.array(first)
    b = np.random.default_rng(seed).random(len(a)) < 0.5
    found, other = compare_paired(a, b), compare_paired(b, a)
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert found.interval == pytest.approx((-other.interval.high, -other.interval.low))
    assert found.interval.low < found.interval.high
    assert found.p_value == pytest.approx(
        stats.binomtest(int((a & ~b).sum()), int((a ^ b).sum())).pvalue if (a ^ b).any() else 1
    )
    assert compare_paired(a, a).may_be_chance


def score_statistic(d: float, one: int, two: int, n: int) -> float:
    """The score statistic of a difference d, with the most probable shares at this difference found numerically."""

    def loss(q: float) -> float:
        cells = ((one, q + d), (two, q), (n - one - two, 1 - 2 * q - d))
        return -sum(count * math.log(max(share, 1e-300)) for count, share in cells if count)

    low, high = max(0.0, -d), (1 - d) / 2
    q = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return (one - two - n * d) / math.sqrt(n * (2 * q + d - d * d))


@pytest.mark.parametrize(
    ("one", "two", "n"), [(59, 16, 209), (3, 1, 14), (0, 4, 20), (0, 0, 30), (7, 7, 14), (20, 0, 20)]
)
def test_the_interval_of_a_difference_is_that_of_the_score_test(one: int, two: int, n: int) -> None:
    first, second = np.zeros(n, bool), np.zeros(n, bool)
    first[:one] = second[one : one + two] = True
    found = compare_paired(first, second).interval
    for end, expected in ((found.low, Z), (found.high, -Z)):
        if abs(end) < 1:
            assert score_statistic(end, one, two, n) == pytest.approx(expected, abs=2e-3)
    if one == two == 0:
        assert found == pytest.approx((-wilson(0, n).high, wilson(0, n).high)), "as of a share without hits"


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_interval_and_the_score_test_agree(one: int, two: int) -> None:
    n = one + two + 10
    first, second = np.zeros(n, bool), np.zeros(n, bool)
    first[:one] = second[one : one + two] = True
    expected = abs(one - two) / math.sqrt(max(1, one + two)) < Z  # McNemar 1947, without continuity correction
    found = compare_paired(first, second)
    assert (found.interval.low <= 0 <= found.interval.high) == expected
    assert found.may_be_chance == (expected or mcnemar(one, two) >= 0.05)


def test_errors_are_compared_by_pairs() -> None:
    rng = np.random.default_rng(0)
    common = rng.gamma(2, 1, 400)
    better, worse = common * rng.uniform(0.9, 1.0, 400), common
    found = compare_paired(better, worse)
    assert found.p_value is None
    assert found.interval.low < found.difference < found.interval.high < 0
    ordinary = stats.bootstrap((better - worse,), np.mean, method="percentile", rng=rng, n_resamples=2000)
    assert found.interval == pytest.approx(ordinary.confidence_interval, abs=0.004)
    with pytest.raises(DataError, match="on the same images"):
        compare_paired(better, worse[:9])
    with pytest.raises(DataError, match="on the same images"):
        compare_paired([], [])


def test_a_remark_on_few_images() -> None:
    labels, predicted = classified([3, 9, 20], [4, 9, 20])
    metrics = measure_classification(np.eye(3)[predicted], labels, ["hat", "shoe", "shirt"])
    assert few_images(metrics.per_class, "test") == [
        "2 classes have fewer than 10 test images (hat 4, shoe 9), which say little: the recall of hat may be anything "
        "from 30 to 95%"
    ]
    assert few_images(metrics.per_class[2:], "test") == []


def covered(low: np.ndarray, high: np.ndarray, truth: float) -> float:
    return float(((low <= truth) & (truth <= high)).mean())


def test_wilson_covers_the_truth() -> None:
    """2,000 simulations each; one p may leave the band because shares of n images are discrete, the mean does not."""
    rng, found = np.random.default_rng(1), []
    for n in (20, 50, 293, 2000):
        table = np.array([wilson(hits, n) for hits in range(n + 1)])
        for p in (0.5, 0.7, 0.8, 0.9, 0.95):
            ends = table[rng.binomial(n, p, 2000)]
            found.append(covered(ends[:, 0], ends[:, 1], p))
    assert 0.94 < np.mean(found) < 0.96
    assert min(found) > 0.91


def test_numbers_of_a_single_image_tell_no_difference() -> None:
    found = compare_paired([0.9], [0.1])
    assert (found.difference, found.may_be_chance) == (0.8, True)
    assert found.in_points() == "+80.0 (-inf to +inf), may be chance"


def test_the_paired_difference_covers_the_truth() -> None:
    rng, found = np.random.default_rng(2), []
    for n, only_a, only_b in ((100, 0.1, 0.05), (293, 0.06, 0.03), (1000, 0.05, 0.05)):
        counts = rng.multinomial(n, [only_a, only_b, 1 - only_a - only_b], 2000)
        ends = []
        for a, b, _ in counts.tolist():
            first, second = np.zeros(n, bool), np.zeros(n, bool)
            first[:a] = second[a : a + b] = True
            ends.append(compare_paired(first, second).interval)
        low, high = np.array(ends).T
        found.append(covered(low, high, only_a - only_b))
    assert 0.94 < np.mean(found) < 0.965
    assert min(found) > 0.935


@pytest.mark.slow
def test_macro_recall_covers_the_truth() -> None:
    rng, found = np.random.default_rng(3), []
    for support, recall in (([30] * 10, np.linspace(0.7, 0.98, 10)), ([12] * 10, np.full(10, 0.85))):
        labels, ends = np.repeat(np.arange(10), support), []
        for _ in range(2000):
            predicted = np.where(rng.random(len(labels)) < recall[labels], labels, (labels + 1) % 10)
            metrics = measure_classification(np.eye(10)[predicted], labels, [str(i) for i in range(10)])
            ends.append(classification_intervals(metrics, labels, predicted)["macro_recall"])
        low, high = np.array(ends).T
        found.append(covered(low, high, float(recall.mean())))
    assert all(0.94 <= share <= 0.96 for share in found), found


def test_percentiles() -> None:
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25, 975))
