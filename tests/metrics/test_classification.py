import csv
import io
import itertools
import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from hubel.core.errors import DataError, OptionError
from hubel.inference.scores import softmax
from hubel.metrics.classification import measure_classification, measure_multilabel, sample_losses
from hubel.metrics.tables import confusion_csv, per_class_csv


def names(c):
    return [f"class {i}" for i in range(c)]


@st.composite
def classified(draw):
    """Probabilities and labels; few samples and coarse scores, so that ties and absent classes are common."""
    n, c = draw(st.integers(1, 30)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    step = draw(st.sampled_from([0.01, 1.0]))
    logits = np.round(rng.normal(0, 2, (n, c)) / step) * step
    return softmax(logits).astype(draw(st.sampled_from(["f4", "f8"]))), rng.integers(0, c, n)


def naive_ece(p, labels, bins=15):
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = [i for i in range(len(p)) if low < p[i].max() <= high]
        if inside:
            accuracy = sum(p[i].argmax() == labels[i] for i in inside) / len(inside)
            confidence = sum(float(p[i].max()) for i in inside) / len(inside)
            total += len(inside) / len(p) * abs(accuracy - confidence)
    return total


@given(classified())
@settings(max_examples=100, deadline=None)
def test_agrees_with_scikit_learn_and_a_naive_loop(case):
    p, labels = case
    n, c = p.shape
    found, predicted = measure_classification(p, labels, names(c)), p.argmax(axis=1)

    everything = {"labels": np.arange(c), "zero_division": 0}
    precision, recall, f1, support = reference.precision_recall_fscore_support(labels, predicted, **everything)
    assert [m.precision for m in found.per_class] == pytest.approx(precision)
    assert [m.recall for m in found.per_class] == pytest.approx(recall)
    assert [m.f1 for m in found.per_class] == pytest.approx(f1)
    assert [m.support for m in found.per_class] == support.tolist()
    seen = support > 0
    assert found.macro_precision == pytest.approx(precision[seen].mean())
    assert found.macro_recall == pytest.approx(recall[seen].mean())
    assert found.macro_f1 == pytest.approx(f1[seen].mean())

    assert found.top1 == reference.accuracy_score(labels, predicted)
    assert (found.confusion == reference.confusion_matrix(labels, predicted, labels=np.arange(c))).all()
    assert found.nll == pytest.approx(-np.log(p[np.arange(n), labels].astype(float)).mean(), abs=1e-6)
    assert found.ece == pytest.approx(naive_ece(p, labels), abs=1e-9)
    json.dumps(found.to_json(), allow_nan=False)


def test_log_loss_and_top_five_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    p, labels = softmax(rng.normal(0, 2, (500, 12))), rng.integers(0, 12, 500)
    found = measure_classification(p, labels, names(12))
    assert found.nll == pytest.approx(reference.log_loss(labels, p, labels=np.arange(12)))
    assert found.top5 == pytest.approx(reference.top_k_accuracy_score(labels, p, k=5, labels=np.arange(12)))


def test_ties_go_to_the_first_class():
    p = np.full((7, 7), 1 / 7)
    found = measure_classification(p, np.arange(7), names(7))
    assert found.top1 == pytest.approx(1 / 7)
    assert found.top5 == pytest.approx(5 / 7)
    assert found.confusion[:, 0].tolist() == [1] * 7


@pytest.mark.parametrize(("c", "expected"), [(2, None), (5, None), (6, 1.0)])
def test_top_five_needs_six_classes(c, expected):
    assert measure_classification(np.eye(c), np.arange(c), names(c)).top5 == expected


def test_one_class():
    found = measure_classification([[1.0], [1.0]], [0, 0], ["only"])
    assert (found.top1, found.nll, found.ece, found.macro_f1, found.most_confused()) == (1, 0, 0, 1, [])


def test_one_sample_and_classes_without_images():
    found = measure_classification([[0.25, 0.75, 0.0]], [1], names(3))
    assert (found.n, found.top1, found.macro_f1) == (1, 1.0, 1.0)
    assert [m.support for m in found.per_class] == [0, 1, 0]
    assert found.nll == pytest.approx(-np.log(0.75))
    assert found.ece == pytest.approx(0.25)


def test_macro_numbers_leave_out_a_class_that_is_predicted_but_absent():
    labels, predicted = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 2, 1, 1, 0])
    found = measure_classification(np.eye(4)[predicted], labels, names(4))
    assert found.macro_f1 == pytest.approx(reference.f1_score(labels, predicted, average="macro", labels=[0, 1]))
    assert found.macro_f1 == pytest.approx(reference.f1_score(labels, predicted, average="macro") * 3 / 2)
    assert found.predicted_without_images == 1
    several = measure_multilabel(np.eye(4)[predicted], np.eye(4, dtype=int)[labels], names(4))
    assert several.macro_f1 == pytest.approx(found.macro_f1)


@pytest.mark.parametrize("places", range(16))
def test_a_confidence_on_an_edge_belongs_to_the_bin_below(places):
    confidence = np.linspace(0, 1, 16)[places]
    if confidence < 0.5:
        return
    p = np.array([[confidence, 1 - confidence]])
    assert measure_classification(p, [0], names(2)).ece == pytest.approx(naive_ece(p, [0]))


def test_an_impossible_class_has_a_finite_loss():
    losses = sample_losses(np.array([[1.0, 0.0], [1.0, 0.0]], np.float32), [0, 1])
    assert losses.dtype == np.float64
    assert losses.tolist() == pytest.approx([0.0, 87.3365], abs=1e-3)
    assert np.copysign(1, losses[0]) == 1


def test_most_confused():
    p = np.eye(3)[[1, 1, 0, 2, 2, 0]]
    found = measure_classification(p, [0, 0, 1, 1, 2, 2], ["a", "b", "c"])
    assert found.most_confused() == [("a", "b", 2), ("b", "a", 1), ("b", "c", 1), ("c", "a", 1)]
    assert found.most_confused(1) == [("a", "b", 2)]
    assert measure_classification(np.eye(2), [0, 1], names(2)).most_confused() == []


GOOD = np.array([[0.5, 0.5], [0.9, 0.1]])


@pytest.mark.parametrize(
    ("p", "labels", "classes", "says"),
    [
        (np.zeros((0, 2)), [], "ab", r"at least \(1, 1\), not \(0, 2\)"),
        (np.zeros((2, 0)), [0, 0], "", r"not \(2, 0\)"),
        (GOOD[0], [0], "ab", r"not \(2,\)"),
        (GOOD, [0], "ab", r"shape \(2,\), not \(1,\)"),
        (GOOD, [0.0, 1.0], "ab", "integer"),
        (GOOD, [0, 2], "ab", r"label 2 is outside 0\.\.1"),
        (GOOD, [-1, 0], "ab", r"label -1 is outside"),
        (GOOD, [0, 1], "abc", "2 class names, not 3"),
        ([[0.5, 0.5], [np.nan, 0.5]], [0, 1], "ab", "in 1 of 2 rows; the first is row 1"),
        ([[0.5, 0.5], [np.inf, 0.5]], [0, 1], "ab", "infinite"),
        ([[0.5, 0.5], [3.0, -2.0]], [0, 1], "ab", "0 to 1, not -2 to 3"),
        ([[0.5, 0.5], [0.9, 0.6]], [0, 1], "ab", "row 1 sum to 1.5"),
    ],
)
def test_wrong_input_is_named(p, labels, classes, says):
    with pytest.raises(DataError, match=says):
        measure_classification(p, labels, classes)


def test_a_million_images_take_about_a_second():
    rng = np.random.default_rng(0)
    p = rng.random((1_000_000, 10), dtype=np.float32)
    p /= p.sum(axis=1, keepdims=True)
    labels = rng.integers(0, 10, len(p))
    start = time.process_time()
    measure_classification(p, labels, names(10))
    assert time.process_time() - start < 5  # a busy machine counts too; a loop over the images takes minutes


@given(st.integers(1, 30), st.integers(2, 6), st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.25]))
@settings(max_examples=100, deadline=None)
def test_multilabel_agrees_with_scikit_learn(n, c, seed, step):
    rng = np.random.default_rng(seed)
    p, targets = np.round(rng.random((n, c)) / step) * step, (rng.random((n, c)) < 0.4).astype(int)
    targets[0, 0] = 1
    found = measure_multilabel(p, targets, names(c), threshold=0.5)
    given_labels = p >= 0.5

    precision, recall, f1, support = reference.precision_recall_fscore_support(targets, given_labels, zero_division=0)
    assert [m.support for m in found.per_class] == support.tolist()
    assert [m.precision for m in found.per_class] == pytest.approx(precision)
    assert [m.recall for m in found.per_class] == pytest.approx(recall)
    assert [m.f1 for m in found.per_class] == pytest.approx(f1)
    seen = targets.any(axis=0)
    average = [reference.average_precision_score(targets[:, i], p[:, i]) for i in np.flatnonzero(seen)]
    assert [m.average_precision for m in found.per_class if m.support] == pytest.approx(average)
    assert all(m.average_precision is None for m in found.per_class if not m.support)
    assert found.mean_average_precision == pytest.approx(np.mean(average))
    assert found.macro_f1 == pytest.approx(np.asarray(f1)[seen].mean())
    assert found.micro_f1 == pytest.approx(reference.f1_score(targets.ravel(), given_labels.ravel(), zero_division=0))
    assert found.subset_accuracy == pytest.approx((targets == given_labels).all(axis=1).mean())
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("targets", "threshold", "error", "says"),
    [
        ([[1, 0]], 0.5, DataError, r"shape \(2, 2\) need targets of that shape, not \(1, 2\)"),
        ([[1, 2], [0, 0]], 0.5, DataError, "0 or 1"),
        ([[0, 0], [0, 0]], 0.5, DataError, "none of the 2 images"),
        ([[1, 0], [0, 1]], 0.0, OptionError, "threshold"),
        ([[1, 0], [0, 1]], float("nan"), OptionError, "threshold"),
    ],
)
def test_wrong_multilabel_input_is_named(targets, threshold, error, says):
    with pytest.raises(error, match=says):
        measure_multilabel(GOOD, targets, "ab", threshold=threshold)


def test_tables_survive_commas_quotes_and_line_ends():
    hostile = ['a, "b"', "line\nend", "naïve 猫"]
    found = measure_classification(np.eye(3)[[0, 1, 1]], [0, 1, 2], hostile)
    table = list(csv.reader(io.StringIO(confusion_csv(found))))
    assert table[0][1:] == hostile
    assert table[1:] == [
        [hostile[0], "1", "0", "0"],
        [hostile[1], "0", "1", "0"],
        [hostile[2], "0", "1", "0"],
    ]
    rows = list(csv.DictReader(io.StringIO(per_class_csv(found))))
    assert [row["name"] for row in rows] == hostile
    assert [float(row["recall"]) for row in rows] == [1, 1, 0]

    several = measure_multilabel([[0.9, 0.1]], [[1, 0]], ["a", "b"])
    rows = list(csv.DictReader(io.StringIO(per_class_csv(several))))
    assert [row["average_precision"] for row in rows] == ["1.0", ""]
