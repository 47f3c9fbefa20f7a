"""The score of novelty is the paper's formula, computed otherwise; its threshold rejects the stated share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split
from sklearn.preprocessing import normalize

from hubel.features.novelty import FittedNovelty, fit_novelty
from hubel.metrics.novelty import area_under_roc, measure_novelty

Array = NDArray[np.float32]


def novelty_of(fitted: FittedNovelty, features: Array, logits: Array) -> Array:
    with torch.inference_mode():
        found: Array = fitted.module()(torch.from_numpy(features), torch.from_numpy(logits)).numpy()
    return found


def noise(n: int, d: int, classes: int = 3, seed: int = 0) -> tuple[Array, Array]:
    """Features on a few directions, with noise, and logits."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(n, 6)) @ generator.normal(size=(6, d)) + generator.normal(size=(n, d)) + 2
    return features.astype(np.float32), generator.normal(0, 3, (n, classes)).astype(np.float32)


@pytest.mark.parametrize(("n", "d"), [(300, 40), (60, 200)])  # more images than features, and fewer
def test_it_is_virtual_logit_matching_on_principal_components(n: int, d: int) -> None:
    """Wang et al. 2022, Equation 5, with scikit-learn's principal components of features of length 1."""
    features, logits = noise(n, d)
    fitted = fit_novelty(features, logits, reject=0.05)
    assert fitted is not None
    rank = min(64, n // 4, d // 4)
    assert fitted.directions.shape == (d, rank)
    components = PCA(rank, svd_solver="full").fit(normalize(features.astype(np.float64)))
    new, new_logits = noise(50, d, seed=1)
    unit = normalize(new.astype(np.float64))
    left_over = np.linalg.norm(unit - components.inverse_transform(components.transform(unit)), axis=1)
    scores = fitted.weight * left_over - logsumexp(new_logits.astype(np.float64), axis=1)
    expected = (scores - fitted.centre) / fitted.scale
    np.testing.assert_allclose(novelty_of(fitted, new, new_logits), expected, rtol=1e-4, atol=1e-4)


def test_real_digits_of_unknown_classes_are_found_and_few_known_ones_are_rejected() -> None:
    """Known: the digits 0 to 6, as pixels with a linear head. Unknown: 7 to 9."""
    x, y = load_digits(return_X_y=True)
    x = x.astype(np.float32)
    known = y < 7
    train, test, targets, _ = train_test_split(x[known], y[known], test_size=0.5, random_state=0, stratify=y[known])
    head = LogisticRegression(C=0.01, max_iter=500)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    held_out = cross_val_predict(head, train, targets, cv=folds, method="decision_function").astype(np.float32)
    fitted = fit_novelty(train, held_out, reject=0.05)
    assert fitted is not None
    assert fitted.threshold == pytest.approx(1)
    head.fit(train, targets)
    near, far = (
        novelty_of(fitted, images, head.decision_function(images).astype(np.float32)) for images in (test, x[~known])
    )
    found = measure_novelty(near, fitted.threshold, far)
    assert found.rejected == pytest.approx(0.05, abs=0.03)
    softmax = area_under_roc(*(-head.predict_proba(images).max(1) for images in (test, x[~known])))
    assert found.auroc is not None
    assert found.auroc > max(0.95, softmax + 0.01)


@given(
    n=st.integers(1, 70),
    d=st.integers(1, 30),
    reject=st.floats(0.001, 0.5),
    spread=st.sampled_from([0.0, 1.0]),
    copies=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_any_images_give_a_finite_score_or_none(n: int, d: int, reject: float, spread: float, copies: bool) -> None:
    features, logits = noise(n, d)
    features, logits = features * np.float32(spread), logits * np.float32(spread)
    if copies:
        features, logits = np.repeat(features[:1], n, 0), np.repeat(logits[:1], n, 0)
    fitted = fit_novelty(features, logits, reject=reject)
    assert (fitted is None) == (n < 2 or np.ceil((n + 1) * (1 - reject)) > n)
    if fitted is not None:
        assert fitted.scale > 0
        found = novelty_of(fitted, features, logits)
        assert np.isfinite(found).all()
        assert found.shape == (n,)


def test_no_more_than_the_stated_share_is_rejected_on_average() -> None:
    """Split conformal prediction: 100 draws of 60 images that choose the threshold, and of 100 others."""
    rejected = []
    for seed in range(100):
        features, logits = noise(160, 12, seed=seed)
        fitted = fit_novelty(features[:60], logits[:60], reject=0.1, seed=seed)
        assert fitted is not None
        rejected.append((novelty_of(fitted, features[60:], logits[60:]) > fitted.threshold).mean())
    assert 0.06 < np.mean(rejected) < 0.115
