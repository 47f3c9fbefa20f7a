"""Accuracy at each level of a hierarchy, and that of the answers of which a model is sure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score

from hubel.metrics.hierarchy import hierarchy_rows, level_table, measure_hierarchy
from hubel.metrics.intervals import wilson
from hubel.weights.class_tree import ClassTree

DIGITS = tuple(map(str, range(10)))
# Even and odd ones; of the even ones, those with a loop of their own.
PARENTS = {
    **{digit: ("even", "odd")[int(digit) % 2] for digit in DIGITS},
    **dict.fromkeys("068", "loops"),
    "loops": "even",
}


def test_on_real_scores() -> None:
    images, labels = load_digits(return_X_y=True)
    model = LogisticRegression(C=0.2).fit(images[::4] / 16, labels[::4])  # one that is often unsure
    keep = np.arange(len(labels)) % 4 > 0
    p, labels = model.predict_proba(images[keep] / 16), labels[keep]
    predicted = p.argmax(1)
    tree = ClassTree(DIGITS, PARENTS)
    found = measure_hierarchy(tree, labels, predicted, p, sure=0.8)

    middle = np.where(np.isin(np.arange(10), [0, 6, 8]), 100, np.arange(10))
    expected = [
        accuracy_score(labels % 2, predicted % 2),
        accuracy_score(middle[labels], middle[predicted]),  # 3, 5, 7, ... stand at this level themselves
        accuracy_score(labels, predicted),
    ]
    assert [one.accuracy for one in found.levels] == pytest.approx(expected)
    assert [one.names for one in found.levels] == [2, 8, 10]
    for one in found.levels:
        assert one.interval == wilson(round(one.accuracy * len(labels)), len(labels))

    right, given_, classes = 0, 0, 0
    for label, row, answer in zip(labels, p, found.sure.answers, strict=True):
        groups = {"even": row[::2].sum(), "odd": row[1::2].sum(), "loops": row[[0, 6, 8]].sum()}
        chain = [DIGITS[row.argmax()], "loops", *sorted(("even", "odd"), key=groups.__getitem__)[::-1]]
        score = groups | dict(zip(DIGITS, row, strict=True))
        wanted = next((name for name in chain if score[name] >= 0.8), "")
        assert answer == wanted
        given_ += answer != ""
        classes += answer in DIGITS
        right += (
            answer == DIGITS[label]
            or answer == ("even", "odd")[label % 2]
            or (answer == "loops" and label in (0, 6, 8))
        )
    assert 0 < classes < given_ < len(labels)
    assert found.sure.accuracy == pytest.approx(right / given_)
    assert (found.sure.of_class, found.sure.of_group) == pytest.approx(
        (classes / len(labels), (given_ - classes) / len(labels))
    )
    assert found.sure.accuracy > found.levels[-1].accuracy

    assert [row[0] for row in hierarchy_rows(found)] == [
        "accuracy at level 1 of 3", "accuracy at level 2 of 3",
        "80% sure of a class", "80% sure of a group of classes", "80% sure: right",
    ]  # fmt: skip
    assert [row[0] for row in level_table(found.levels).rows] == ["1", "2", "3"]
    assert found.to_json()["answers"]["accuracy"] == found.sure.accuracy


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_no_level_is_less_accurate_than_the_one_below(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = np.array(pairs).T
    found = measure_hierarchy(ClassTree(DIGITS, PARENTS), labels, predicted, np.eye(10)[predicted])
    shares = [one.accuracy for one in found.levels]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == (labels == predicted).mean()


def test_where_no_answer_is_sure() -> None:
    found = measure_hierarchy(ClassTree(("a", "b"), {}), np.array([0]), np.array([0]), np.array([[0.6, 0.4]]), sure=0.9)
    assert (found.sure.accuracy, found.sure.of_class, found.sure.answers) == (None, 0, ("",))
    assert hierarchy_rows(found) == [("90% sure of a class", "0.0%")]
