"""The linear head is scikit-learn's in double precision, and edges that data sets have do not break it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from hubel.data.preprocess import Preprocess
from hubel.features.probe import Probe, fit_probe, neighbours_accuracy
from hubel.tasks.classify import Classification
from hubel.tasks.losses import LossSettings, class_weights, sample_weights
from hubel.weights.card import ModelCard

Features = NDArray[np.float32]
RNG = np.random.default_rng


def clouds(n: int, classes: int, d: int = 12, spread: float = 1.0, seed: int = 0) -> tuple[Features, NDArray[np.int64]]:
    """Points around a centre for each class, far from the origin, with components of unequal size."""
    rng = RNG(seed)
    targets = np.arange(n) % classes
    x = 2 * rng.normal(size=(classes, d))[targets] + spread * rng.normal(size=(n, d))
    return (x * rng.uniform(0.2, 3, d) + 5).astype(np.float32), targets


def logits(probe: Probe, x: Features) -> NDArray[np.float64]:
    return x.astype(np.float64) @ probe.weight.T.astype(np.float64) + probe.bias


def softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def scaled(x: Features) -> NDArray[np.float64]:
    """Components of mean 0, whose variances add up to 1."""
    x = x.astype(np.float64)
    return (x - x.mean(0)) / np.sqrt(x.var(0).sum())


@pytest.mark.parametrize("classes", [2, 5])
def test_what_can_be_told_apart_is(classes: int) -> None:
    x, targets = clouds(60, classes, spread=0.1)
    probe = fit_probe(x, targets, classes)
    assert probe.accuracy == 1
    assert (logits(probe, x).argmax(1) == targets).all()
    assert probe.weight.shape == (classes, 12)
    assert probe.bias.shape == (classes,)
    assert probe.weight.dtype == probe.bias.dtype == np.float32
    assert neighbours_accuracy(x - 5, targets, classes) == 1


def test_what_cannot_is_left_to_chance() -> None:
    rng = RNG(0)
    x, targets = rng.normal(size=(200, 8)).astype(np.float32), rng.integers(0, 4, 200)
    assert fit_probe(x, targets, 4).accuracy < 0.4
    assert neighbours_accuracy(x, targets, 4) < 0.4


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits that go on until the end."""
    monkeypatch.setattr("hubel.features.probe._TOLERANCE", 1e-6)
    monkeypatch.setattr("hubel.features.probe._ITERATIONS", 5000)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("classes", [2, 3, 6])
def test_the_head_is_that_of_a_fit_in_double_precision(classes: int) -> None:
    x, targets = clouds(150, classes, spread=2.0)
    probe = fit_probe(x, targets, classes)
    wanted = LogisticRegression(C=probe.strength, tol=1e-9, max_iter=5000).fit(scaled(x), targets)
    got = softmax(logits(probe, x))
    np.testing.assert_allclose(got, wanted.predict_proba(scaled(x)), atol=1e-3)
    assert wanted.score(scaled(x), targets) > 0.6, "there is something to learn"


@pytest.mark.parametrize("classes", [2, 6])
def test_a_fit_that_stops_early_is_nearly_as_good(classes: int) -> None:
    x, targets = clouds(150, classes, spread=2.0)
    probe = fit_probe(x, targets, classes)
    wanted = LogisticRegression(C=probe.strength, tol=1e-9, max_iter=5000).fit(scaled(x), targets)
    np.testing.assert_allclose(softmax(logits(probe, x)), wanted.predict_proba(scaled(x)), atol=0.03)
    assert (logits(probe, x).argmax(1) == targets).mean() >= wanted.score(scaled(x), targets) - 0.01


@pytest.mark.usefixtures("exact")
def test_each_of_several_labels_has_a_fit_of_its_own() -> None:
    x, codes = clouds(120, 4, spread=2.0)
    targets = np.stack([codes < 2, codes % 2 == 0], 1).astype(np.float32)
    probe = fit_probe(x, targets, 2)
    for number in range(2):
        wanted = LogisticRegression(C=probe.strength, tol=1e-9, max_iter=5000).fit(scaled(x), targets[:, number])
        got = 1 / (1 + np.exp(-logits(probe, x)[:, number]))
        np.testing.assert_allclose(got, wanted.predict_proba(scaled(x))[:, 1], atol=1e-3)
    exactly = ((logits(probe, x) > 0) == targets).all(1).mean()
    assert 0.5 < probe.accuracy <= exactly + 0.05


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("classes", [2, 4])
def test_class_weights_weigh_the_head_as_scikit_learn_does(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubel.features.probe._STRENGTHS", (3.0,))
    x, targets = clouds(240, classes, spread=3.0)
    keep = np.flatnonzero((targets > 0) | (np.arange(240) % 7 == 0))  # the first class is rare
    x, targets = x[keep], targets[keep]
    card = ModelCard("linear", tuple("abcd"[:classes]), Preprocess(2, 3, 1, mean=(0.5,), std=(0.25,)))
    recalls = []
    for weighted in (False, True):
        loss = LossSettings(name="cross_entropy", balance="inverse" if weighted else "none")
        head = Classification().fit_head(x, targets, card, loss, 0)
        found = x.astype(np.float64) @ head.weight.T + head.bias
        fit = LogisticRegression(C=3.0, tol=1e-9, max_iter=5000, class_weight="balanced" if weighted else None)
        wanted = fit.fit(scaled(x), targets).predict_proba(scaled(x))
        np.testing.assert_allclose(softmax(found), wanted, atol=1e-3)
        recalls.append((found.argmax(1) == targets)[targets == 0].mean())
    assert recalls[0] < recalls[1], "more of the rare class are recognised"


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("classes", [2, 4])
def test_the_adjusted_head_minimises_the_loss_of_adjusted_logits(classes: int) -> None:
    x, targets = clouds(160, classes, d=4, spread=3.0)
    keep = np.flatnonzero((targets > 0) | (np.arange(160) % 9 == 0))
    x, targets = x[keep], targets[keep]
    card = ModelCard("linear", tuple("abcd"[:classes]), Preprocess(2, 2, 1, mean=(0.5,), std=(0.25,)))
    head = Classification().fit_head(
        x, targets, card, LossSettings(name="cross_entropy", balance="logit_adjustment"), 0
    )
    prior = np.bincount(targets) / len(targets)
    z, n, d = scaled(x), len(x), x.shape[1]

    def loss(flat: NDArray[np.float64]) -> float:  # Menon et al. 2021, Eq. 10, with the penalty of scikit-learn
        w, b = flat[: classes * d].reshape(classes, d), flat[classes * d :]
        p = softmax(z @ w.T + b + np.log(prior))
        return float(-np.log(p[np.arange(n), targets]).sum() * 30 + (w**2).sum() / 2)

    best = minimize(loss, np.zeros(classes * (d + 1)), tol=1e-10, options={"maxiter": 2000}).x
    w, b = best[: classes * d].reshape(classes, d), best[classes * d :]
    np.testing.assert_allclose(softmax(x @ head.weight.T + head.bias), softmax(z @ w.T + b), atol=5e-3)
    plain = Classification().fit_head(x, targets, card, LossSettings(name="cross_entropy"), 0)
    recalls = [((x @ one.weight.T + one.bias).argmax(1) == targets)[targets == 0].mean() for one in (plain, head)]
    assert recalls[0] < recalls[1]


def test_sampling_of_a_head_is_the_weighing_that_it_amounts_to() -> None:
    x, targets = clouds(120, 3, spread=3.0)
    keep = np.flatnonzero((targets > 0) | (np.arange(120) % 5 == 0))
    card = ModelCard("linear", tuple("abc"), Preprocess(2, 3, 1, mean=(0.5,), std=(0.25,)))

    def head(balance: str) -> NDArray[np.float32]:
        return (
            Classification().fit_head(x[keep], targets[keep], card, LossSettings(name="mse", balance=balance), 0).bias
        )

    assert (head("sampling") == head("inverse")).all()
    assert not np.allclose(head("effective"), head("inverse"))
    assert not np.allclose(head("none"), head("inverse"))


@pytest.mark.usefixtures("exact")
def test_weighted_images_of_several_labels() -> None:
    x, codes = clouds(120, 4, spread=2.0)
    targets = np.stack([codes < 1, codes < 3], 1).astype(np.float32)
    weights = sample_weights(torch.from_numpy(targets), class_weights(targets, 2)).numpy()
    # Of the labels, 30 and 90, one weighs 120 / (2 * 30) and the other 120 / (2 * 90); an image with both their mean.
    np.testing.assert_allclose(np.unique(weights), [2 / 3, 1, 4 / 3], rtol=1e-6)
    probe = fit_probe(x, targets, 2, sample_weight=weights)
    for number in range(2):
        fit = LogisticRegression(C=probe.strength, tol=1e-9, max_iter=5000).fit(scaled(x), targets[:, number], weights)
        got = 1 / (1 + np.exp(-logits(probe, x)[:, number]))
        np.testing.assert_allclose(got, fit.predict_proba(scaled(x))[:, 1], atol=1e-3)


def test_the_accuracy_is_of_images_that_were_left_out() -> None:
    """Noise can be learnt by heart in so many dimensions, but not foretold."""
    rng = RNG(0)
    x, targets = rng.normal(size=(40, 400)).astype(np.float32), np.arange(40) % 2
    probe = fit_probe(x, targets, 2)
    assert (logits(probe, x).argmax(1) == targets).all()
    assert probe.accuracy < 0.8


def test_the_strength_that_suits_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = clouds(100, 4, spread=0.3)
    targets = (np.arange(100) % 4 == 0).astype(np.int64)  # a head with hardly any weight says 0 always
    monkeypatch.setattr("hubel.features.probe._STRENGTHS", (1e-6, 3.0))
    probe = fit_probe(x, targets, 2)
    assert (probe.strength, probe.accuracy) == (3.0, 1.0)
    monkeypatch.setattr("hubel.features.probe._STRENGTHS", (1e-6, 1e-7))
    probe = fit_probe(x, targets, 2)
    assert (probe.strength, probe.accuracy) == (1e-6, 0.75), "of equally good ones the first"


@pytest.mark.parametrize("missing", [0, 2, 4])
def test_a_class_without_images_is_never_predicted(missing: int) -> None:
    x, targets = clouds(80, 4, spread=1.5)
    shifted = targets + (targets >= missing)
    probe, plain = fit_probe(x, shifted, 5), fit_probe(x, targets, 4)
    assert probe.weight.shape == (5, 12)
    far = RNG(1).normal(scale=100, size=(500, 12)).astype(np.float32)
    for points in (x, far / 50):
        assert missing not in logits(probe, points).argmax(1)
    assert softmax(logits(probe, x))[:, missing].max() < 1e-6
    np.testing.assert_array_equal(np.delete(probe.weight, missing, 0), plain.weight)
    assert probe.accuracy == plain.accuracy


@pytest.mark.parametrize("only", [0, 2])
def test_one_class(only: int) -> None:
    x = RNG(0).normal(size=(20, 6)).astype(np.float32)
    probe = fit_probe(x, np.full(20, only), 3)
    assert probe.accuracy == 1
    assert (logits(probe, x).argmax(1) == only).all()
    assert neighbours_accuracy(x, np.full(20, only), 3) == 1


def test_a_label_that_is_always_or_never_there() -> None:
    x, codes = clouds(60, 2, spread=0.5)
    targets = np.stack([codes, np.ones(60), np.zeros(60)], 1).astype(np.float32)
    probe = fit_probe(x, targets, 3)
    z = logits(probe, x)
    assert ((z > 0) == targets).all()
    assert probe.accuracy == 1
    assert (probe.weight[1:] == 0).all()
    assert (np.abs(z[:, 1:]) > 10).all()
    assert neighbours_accuracy(x - 5, targets, 3) == 1


@pytest.mark.parametrize("targets", [[0, 1, 2], [0], [0, 1], [2, 0]])
def test_one_image_a_class(targets: list[int]) -> None:
    x = np.eye(4, dtype=np.float32)[: len(targets)]
    probe = fit_probe(x, np.array(targets), 3)
    assert (logits(probe, x).argmax(1) == targets).all()
    assert probe.accuracy is None, "none can be left out"


def test_one_image_of_several_labels() -> None:
    probe = fit_probe(np.ones((1, 4), np.float32), np.array([[1, 0]], np.float32), 2)
    assert (np.sign(logits(probe, np.ones((1, 4), np.float32))) == [[1, -1]]).all()


@pytest.mark.parametrize("counts", [(3, 1), (2, 1, 1), (9, 3, 1)])
def test_a_class_with_fewer_images_than_folds(counts: tuple[int, ...]) -> None:
    targets = np.repeat(np.arange(len(counts)), counts)
    x = (10 * np.eye(6)[targets] + RNG(0).normal(scale=0.1, size=(len(targets), 6))).astype(np.float32)
    probe = fit_probe(x, targets, len(counts))
    assert (logits(probe, x).argmax(1) == targets).all()
    assert 0 <= probe.accuracy < 1, "who is alone is left out of what teaches"


def test_features_that_do_not_differ() -> None:
    x = np.full((12, 4), 3, np.float32)
    probe = fit_probe(x, np.array([0] * 8 + [1] * 4), 2)
    assert np.isfinite(probe.weight).all()
    assert (logits(probe, x).argmax(1) == 0).all(), "the more frequent class"
    assert probe.accuracy == pytest.approx(2 / 3)


@settings(max_examples=4, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10), seed=st.integers(0, 5))
def test_neither_unit_nor_zero_of_the_features_matters(scale: float, shift: float, seed: int) -> None:
    x, targets = clouds(60, 3, d=6, spread=2.0, seed=seed)
    changed = (x.astype(np.float64) * scale + shift * scale).astype(np.float32)
    one, other = fit_probe(x, targets, 3), fit_probe(changed, targets, 3)
    assert one.strength == other.strength
    assert one.accuracy == pytest.approx(other.accuracy, abs=1 / 60 + 1e-9)
    np.testing.assert_allclose(softmax(logits(other, changed)), softmax(logits(one, x)), atol=0.02)


def test_one_seed_one_head() -> None:
    x, targets = clouds(100, 3, spread=3.0)
    one, again, other = (fit_probe(x, targets, 3, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.weight, again.weight)
    assert one.accuracy == again.accuracy
    assert abs(one.accuracy - other.accuracy) < 0.15


def test_the_choice_looks_at_some_images_and_the_fit_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubel.features.probe._CHOOSING", 30)
    x, targets = clouds(150, 3, spread=2.0)
    probe = fit_probe(x, targets, 3)
    assert (probe.accuracy * 30) % 1 == pytest.approx(0, abs=1e-6)
    wanted = LogisticRegression(C=probe.strength, tol=1e-9, max_iter=5000).fit(scaled(x), targets)
    np.testing.assert_allclose(softmax(logits(probe, x)), wanted.predict_proba(scaled(x)), atol=0.03)


def test_the_caller_s_arrays_and_random_numbers_stay() -> None:
    x, targets = clouds(40, 2)
    before, state = x.copy(), np.random.get_state()[1].tolist()
    fit_probe(x, targets, 2)
    neighbours_accuracy(x, targets, 2)
    assert np.array_equal(x, before)
    assert np.random.get_state()[1].tolist() == state


# Neighbours -----------------------------------------------------------------------------------------------


def test_neighbours_are_scikit_learn_s() -> None:
    """Leave-one-out, each vote with its cosine."""
    rng = RNG(3)
    targets = rng.integers(0, 4, 90)
    x = (rng.normal(size=(4, 10))[targets] + 2 * rng.normal(size=(90, 10))).astype(np.float32)
    model = KNeighborsClassifier(5, metric="cosine", algorithm="brute", weights=lambda d: np.maximum(1 - d, 0))
    right = 0
    for left in range(90):
        rest = np.arange(90) != left
        right += int(model.fit(x[rest], targets[rest]).predict(x[[left]])[0] == targets[left])
    assert neighbours_accuracy(x, targets, 4) == pytest.approx(right / 90)
    assert 0.3 < right / 90 < 0.95


def by_hand(x: Features, targets: NDArray[np.float32]) -> float:
    """Of several labels, by a loop over all pairs."""
    right = 0
    for i in range(len(x)):
        cosines = []
        for j in range(len(x)):
            if j != i:
                cosines.append((float(x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j])), j))
        near = sorted(cosines, reverse=True)[:5]
        total = sum(max(c, 0) for c, _ in near)
        votes = sum(max(c, 0) * targets[j] for c, j in near)
        right += int(((votes > total / 2) == (targets[i] > 0.5)).all())
    return right / len(x)


def test_neighbours_of_several_labels() -> None:
    rng = RNG(4)
    codes = rng.integers(0, 4, 60)
    x = (rng.normal(size=(4, 8))[codes] + 0.7 * rng.normal(size=(60, 8))).astype(np.float32)
    targets = np.stack([codes < 2, codes % 2 == 0, codes == 3], 1).astype(np.float32)
    assert neighbours_accuracy(x, targets, 3) == pytest.approx(by_hand(x, targets))
    assert 0.3 < by_hand(x, targets) < 1


def test_blocks_of_images_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    x, targets = clouds(50, 3, spread=3.0)
    whole = neighbours_accuracy(x, targets, 3)
    monkeypatch.setattr("hubel.features.probe._BLOCK", 7)
    assert neighbours_accuracy(x, targets, 3) == whole


@pytest.mark.parametrize(("n", "expected"), [(1, 0.0), (2, 1.0), (3, 1.0), (6, 1.0)])
def test_few_images_have_few_neighbours(n: int, expected: float) -> None:
    x = np.ones((n, 3), np.float32) + np.arange(n, dtype=np.float32)[:, None] * 0.01
    assert neighbours_accuracy(x, np.zeros(n, np.int64), 2) == expected


def test_an_image_is_not_its_own_neighbour() -> None:
    x = np.repeat(np.eye(3, dtype=np.float32), 2, 0)
    assert neighbours_accuracy(x, np.array([0, 1, 0, 1, 0, 1]), 2) == 0


def test_features_of_nothing_but_zeros() -> None:
    assert 0 <= neighbours_accuracy(np.zeros((8, 3), np.float32), np.arange(8) % 2, 2) <= 1
