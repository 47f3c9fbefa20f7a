"""Heads that start from the names of classes: the rows, the weight of the names, and names that say nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score

import fake_texts
from hubel.core.errors import WeightsError
from hubel.features.named_head import NamedHead, fit_from_names, head_of_names
from hubel.features.probe import fit_probe
from hubel.retrieval.concepts import ConceptSpace

PRETRAINED = ("tabby", "Egyptian cat", "beagle", "airliner")
Floats = NDArray[np.float32]


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_texts.use(monkeypatch)


def pretrained_head() -> tuple[Floats, Floats]:
    generator = np.random.default_rng(0)
    return generator.standard_normal((4, 12)).astype(np.float32), generator.standard_normal(4).astype(np.float32)


def test_a_class_has_the_mean_of_the_rows_that_its_name_asks_for() -> None:
    weight, bias = pretrained_head()
    head = head_of_names(["cat", "비행기", "toy_dog"], PRETRAINED, weight, bias)
    assert head is not None
    asked = ConceptSpace(PRETRAINED).weights(["cat", "airplane", "toy dog"])
    assert asked[0, :2].min() > 10 * asked[0, 2:].max()
    for row, shares in enumerate(asked / asked.sum(1, keepdims=True)):
        np.testing.assert_allclose(head.weight[row], np.average(weight, axis=0, weights=shares), atol=1e-6)
        assert head.bias[row] == pytest.approx(np.average(bias, weights=shares), abs=1e-6)
    np.testing.assert_allclose(head.weight[1], weight[3], atol=0.05)


def test_names_that_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert head_of_names(["cat", "🙂"], PRETRAINED, *pretrained_head()) is None
    assert head_of_names(["cat", " "], PRETRAINED, *pretrained_head()) is None

    def refuse() -> None:
        raise WeightsError("not installed")

    monkeypatch.setattr("hubel.retrieval.concepts.load_minilm", refuse)
    assert head_of_names(["cat", "dog"], PRETRAINED, *pretrained_head()) is None


def drawn(count: int, seed: int = 0) -> tuple[Floats, NDArray[np.int64], NamedHead]:
    """Return features around 3 centres, their classes, and a head that knows the centres roughly."""
    centres = np.random.default_rng(7).standard_normal((3, 40))
    generator = np.random.default_rng(seed)
    targets = np.repeat(np.arange(3), count)
    features = centres[targets] + 1.5 * generator.standard_normal((len(targets), 40))
    rough = centres + 0.7 * np.random.default_rng(8).standard_normal(centres.shape)
    named = NamedHead(weight=rough.astype(np.float32), bias=(-0.5 * np.square(rough).sum(1)).astype(np.float32))
    return features.astype(np.float32), targets, named


def accuracy(weight: Floats, bias: Floats) -> float:
    features, targets, _ = drawn(300, seed=99)
    return float(((features @ weight.T + bias).argmax(1) == targets).mean())


@pytest.mark.parametrize("count", [1, 4])
def test_the_head_by_names_is_added_with_a_weight(count: int) -> None:
    """Twice Cohen's kappa by scikit-learn, over the root of the number of images, at the same spread."""
    features, targets, named = drawn(count)
    plain, found = fit_probe(features, targets, 3), fit_from_names(features, targets, named)
    logits = [features @ one.weight.T + one.bias for one in (plain, named)]
    spreads = [np.sqrt(np.mean(np.var(one, axis=1))) for one in logits]
    accuracy = accuracy_score(targets, logits[1].argmax(1))
    factor = 2 * (accuracy - 1 / 3) / (2 / 3) / np.sqrt(count) * spreads[0] / spreads[1]
    np.testing.assert_allclose(found.weight, plain.weight + factor * named.weight, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.bias, plain.bias + factor * named.bias, rtol=1e-4, atol=1e-5)
    if count > 1:
        assert plain.left_out is not None
        assert found.left_out is not None
        np.testing.assert_allclose(found.left_out.logits, plain.left_out.logits + factor * logits[1], atol=1e-4)
        assert found.accuracy == accuracy_score(targets, found.left_out.logits.argmax(1))


def test_names_help_with_few_images_and_wrong_ones_cost_little() -> None:
    for count in (1, 2):
        plain, right, wrong = [], [], []
        for seed in range(1, 4):
            features, targets, named = drawn(count, seed)
            turned = NamedHead(weight=-named.weight, bias=named.bias)
            found = fit_from_names(features, targets, named)
            for scores, one in (
                (plain, fit_probe(features, targets, 3)),
                (right, found),
                (wrong, fit_from_names(features, targets, turned)),
            ):
                scores.append(accuracy(one.weight, one.bias))
        assert np.mean(right) > np.mean(plain) + 0.1
        assert np.mean(wrong) > np.mean(plain) - 0.05
        assert (found.accuracy is None) == (found.left_out is None) == (count == 1)
