"""Weights, priors and counts of unequal classes against scikit-learn, the papers' formulas and simulated data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils.class_weight import compute_class_weight

from hubel.core.errors import OptionError
from hubel.metrics.calibration import fit_temperature
from hubel.metrics.imbalance import (
    METHODS,
    assumed_prior,
    balance_record,
    class_counts,
    inequality,
    log_shares,
    method_weights,
    prior_shift,
    recall_weights,
)
from hubel.training.recipe import OptimizationSettings

COUNTS = st.lists(st.integers(1, 2000), min_size=1, max_size=8).map(np.array)


@given(COUNTS)
def test_inverse_weights_are_those_of_scikit_learn(counts: NDArray[np.int64]) -> None:
    targets = np.repeat(np.arange(len(counts)), counts)
    wanted = compute_class_weight("balanced", classes=np.arange(len(counts)), y=targets)
    np.testing.assert_allclose(method_weights(counts, "inverse"), wanted)
    assert (class_counts(targets, len(counts)) == counts).all()


def test_effective_number_is_that_of_the_paper() -> None:
    counts = np.array([90, 9, 1])
    b = 99 / 100
    number = np.array([sum(b**j for j in range(n)) for n in counts])  # Eq. 2: (1 - b^n) / (1 - b) is this sum
    wanted = 1 / number
    np.testing.assert_allclose(method_weights(counts, "effective"), wanted * 100 / (wanted * counts).sum())


def test_the_root_lies_half_way_between_equal_images_and_equal_classes() -> None:
    prior = assumed_prior(np.array([900, 90, 10]), "inverse_sqrt")
    np.testing.assert_allclose(prior, np.sqrt([900, 90, 10]) / np.sqrt([900, 90, 10]).sum())


@given(COUNTS, st.sampled_from(METHODS))
def test_weights_are_one_in_the_mean_and_priors_sum_to_one(counts: NDArray[np.int64], method: str) -> None:
    counts = np.append(counts, 0)
    weights, prior = method_weights(counts, method), assumed_prior(counts, method)
    assert weights @ counts == pytest.approx(counts.sum())
    assert weights[-1] == prior[-1] == 0
    assert prior.sum() == pytest.approx(1)
    if method == "none":
        np.testing.assert_allclose(prior, counts / counts.sum())
    if method in ("inverse", "sampling", "logit_adjustment"):
        np.testing.assert_allclose(prior[:-1], 1 / (len(counts) - 1))


def test_wrong_method() -> None:
    with pytest.raises(OptionError, match=r"none, inverse, effective, inverse_sqrt, .*, not 'often'"):
        method_weights(np.array([1, 2]), "often")


def test_the_recipe_knows_the_methods() -> None:
    entry = next(f for f in dataclasses.fields(OptimizationSettings) if f.name == "balance")
    assert entry.metadata["names"] == METHODS


def test_inequality_leaves_out_classes_without_images() -> None:
    assert inequality(np.array([90, 9, 0])) == 10
    assert inequality(np.array([0, 0])) == 1
    assert np.exp(log_shares(np.array([9, 1, 0]))).tolist() == pytest.approx([0.9, 0.1, 0.1])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_recall_weights_make_accuracy_the_balanced_one(pairs: list[tuple[int, int]]) -> None:
    truth, guess = np.array(pairs).T
    weighted = np.average(truth == guess, weights=recall_weights(truth))
    assert weighted == pytest.approx(np.mean([(guess == truth)[truth == c].mean() for c in np.unique(truth)]))
    if np.isin(guess, truth).all() and len(np.unique(truth)) > 1:  # scikit-learn warns of all else
        assert weighted == pytest.approx(balanced_accuracy_score(truth, guess))


def test_the_temperature_of_adjusted_scores_is_the_one_that_their_prior_needs() -> None:
    rng = np.random.default_rng(0)
    prior, n = np.array([0.9, 0.09, 0.01]), 40_000
    truth = rng.choice(3, n, p=prior)
    x = rng.normal(size=(n, 2)) + np.array([[0, 0], [2, 0], [0, 2]])[truth]
    # Log-likelihoods of the classes: the scores under equal classes, here twice as sharp as they should be.
    right = -0.5 * ((x[:, None] - np.array([[0, 0], [2, 0], [0, 2]])) ** 2).sum(-1)
    counts = np.bincount(truth)
    shift = prior_shift(balance_record(counts, "logit_adjustment"))
    assert shift is not None
    found = fit_temperature(2 * right, truth, log_shift=shift)
    assert found == pytest.approx(2, rel=0.05)

    def loss(t: float) -> float:
        return float(
            -log_softmax(2 * right / t + np.log(counts / n) - np.log(1 / 3), axis=1)[np.arange(n), truth].mean()
        )

    assert found == pytest.approx(minimize_scalar(loss, bounds=(0.1, 10), method="bounded").x, rel=1e-3)
    assert prior_shift({}) is None
    assert balance_record(counts, "none") == {}
