"""The numbers of the lesson `distillation` against scipy and torch's gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import entropy as scipy_entropy
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.teach.course.digit_pictures import digit_pictures
from hubel.teach.course.lesson import lesson_data
from hubel.teach.course.lessons.distillation.lesson import (
    LABELLED,
    LESSON,
    TEMPERATURES,
    _teacher,
    teach_students,
)
from hubel.teach.course.lessons.distillation.networks import fresh_network, softened, train_small_network


@pytest.fixture(scope="module")
def data() -> Any:
    return lesson_data(LESSON)


def test_outputs_are_those_of_a_trained_network(data: Any) -> None:
    logits, labels = np.array(data["logits"]), np.array(data["labels"])
    assert data["accuracy"] > 0.93
    assert (logits.argmax(1) == labels).all(), "the pictures are those that it gets right"
    assert len(set(labels.tolist())) == len(labels)
    second = np.sort(softmax(logits, 1), 1)[:, -2]
    assert (second > 0.25).all(), "whose second class is likely"
    _, test = digit_pictures()
    for picture, label in zip(data["pictures"], labels, strict=True):
        at = np.flatnonzero((test.levels / 16 == np.array(picture)).all((1, 2)))
        assert test.labels[at] == label


def test_entropies_are_in_bits(data: Any) -> None:
    for logits, found in zip(data["logits"], data["entropy"], strict=True):
        expected = [scipy_entropy(softmax(np.array(logits) / t), base=2) for t in TEMPERATURES]
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_means_are_rows_of_probabilities_with_the_label_on_top(data: Any) -> None:
    for means in np.array(data["means"]):
        np.testing.assert_allclose(means.sum(1), 1, rtol=1e-4)
        assert (means.argmax(1) == np.arange(10)).all()
    pair, means = data["pair"], np.array(data["means"][1])
    others = means - np.diag(np.diag(means))
    assert means[pair["label"], pair["like"]] == pytest.approx(others.max(), rel=1e-4)
    assert pair["share"] == pytest.approx(others.max(), rel=1e-4)


def test_the_gradient_is_that_of_autograd(data: Any) -> None:
    """One step of plain gradient: the loss that is trained is T² times torch's cross-entropy with soft targets."""
    train, _ = digit_pictures()
    x = train.levels[:40].reshape(40, -1) / 16
    fresh = fresh_network(64, 12, 1)
    aims = softmax(np.random.default_rng(0).normal(size=(40, 10)) * 3, 1)
    ((_, stepped),) = train_small_network(fresh, x, aims, steps=1, temperature=4.0)
    w1, b1, w2, b2 = (torch.tensor(values, requires_grad=True) for values in fresh.weights)
    logits = torch.relu(torch.tensor(x) @ w1 + b1) @ w2 + b2
    loss = 16 * F.cross_entropy(logits / 4, torch.tensor(aims))
    loss.backward()
    for before, after, tensor in zip(fresh.weights, stepped.weights, (w1, b1, w2, b2), strict=True):
        assert tensor.grad is not None
        gradient = tensor.grad.numpy()
        sure = np.abs(gradient) > 1e-6
        decayed = before - 0.01 * 1e-4 * before
        # The first step of Adam is the rate times the sign of the gradient.
        np.testing.assert_allclose((decayed - after)[sure], 0.01 * np.sign(gradient[sure]), rtol=1e-2)


def test_sizes_of_gradients(data: Any) -> None:
    _, test = digit_pictures()
    x = torch.tensor(test.levels.reshape(len(test.levels), -1) / 16)
    w1, b1, w2, b2 = map(torch.tensor, fresh_network(64, 12, 1).weights)
    sizes = [row["plain"] for row in data["gradients"]]
    assert sizes == sorted(sizes, reverse=True)
    for row in data["gradients"]:
        assert row["scaled"] == pytest.approx(row["temperature"] ** 2 * row["plain"], rel=1e-4)
    scaled = [row["scaled"] for row in data["gradients"][1:]]
    assert max(scaled) / min(scaled) < 1.5, "at high temperatures the scaled gradient no longer depends on it"
    # By autograd: of the cross-entropy of the student's softened probabilities against the teacher's.
    student = (torch.relu(x @ w1 + b1) @ w2 + b2).requires_grad_()
    teacher = torch.tensor(_teacher().logits(x.numpy()))
    F.cross_entropy(student / 4, F.softmax(teacher / 4, 1), reduction="sum").backward()
    assert student.grad is not None
    assert student.grad.norm(dim=1).mean().item() == pytest.approx(sizes[1], rel=1e-4)


def test_a_student_learns_from_answers_alone(data: Any) -> None:
    rows = list(teach_students({"labelled": 50, "temperature": 4}))
    assert [row["step"] for row in rows] == list(range(10, 301, 10))
    last = rows[-1]
    assert last["taught"] > last["alone"] + 0.1
    assert last["taught"] > data["accuracy"] - 0.03
    assert last["agreement"] > 0.94
    assert data["student_parameters"] == sum(values.size for values in fresh_network(64, 12, 1).weights) == 910


@pytest.mark.parametrize("asked", [{"temperature": 2}, {"temperature": "4"}, {"labelled": 1}, {"labelled": True}])
def test_other_settings_get_one_line(asked: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"is \d+, \d+ or \d+, not") as caught:
        next(teach_students(asked))
    assert "\n" not in str(caught.value)


def test_all_choices_of_the_page_work() -> None:
    assert {1, 4, 20} == set(TEMPERATURES)
    for labelled in LABELLED:
        assert next(teach_students({"labelled": labelled, "temperature": 20}))["step"] == 10


def test_softened_probabilities_are_scipys(data: Any) -> None:
    logits = np.array(data["logits"])
    for t in TEMPERATURES:
        np.testing.assert_allclose(np.log(softened(logits, t)), log_softmax(logits / t, 1), rtol=1e-9)
