import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.audit.label_errors import confident_joint, label_errors, out_of_fold
from hubel.core.errors import DataError, OptionError


def blobs(n=300, classes=4, d=20, spread=0.5, seed=0):
    """Points around one direction for each class: a little overlap."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = rng.normal(size=(classes, d))
    return (centres[labels] + spread * rng.normal(size=(n, d))).astype(np.float32), labels


def random_case(seed, n, classes):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(classes, 0.3), n), rng.integers(0, classes, n)


def joint_as_written(p, labels):
    """Equations 1 to 3 of the paper, one image and one class after another."""
    n, m = p.shape
    t = [np.mean([p[x, j] for x in range(n) if labels[x] == j]) if j in labels else np.inf for j in range(m)]
    count = np.zeros((m, m))
    for x in range(n):
        above = [j for j in range(m) if p[x, j] >= t[j]]
        if above:
            count[labels[x], max(above, key=lambda j: p[x, j])] += 1
    joint = np.zeros((m, m))
    for i in range(m):
        given_i = sum(label == i for label in labels)
        if count[i].sum():
            joint[i] = count[i] / count[i].sum() * given_i
        else:
            joint[i, i] = given_i
    return joint


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 6))
def test_confident_joint_is_that_of_the_paper(seed, n, classes):
    p, labels = random_case(seed, n, classes)
    np.testing.assert_allclose(confident_joint(p, labels), joint_as_written(p, labels), atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 6))
def test_ranking_by_hand(seed, n, classes):
    p, labels = random_case(seed, n, classes)
    found = label_errors(p, labels)
    scores = [
        np.log(max(p[x, labels[x]], 1e-12)) - np.log(max(max(np.delete(p[x], labels[x])), 1e-12)) for x in range(n)
    ]
    np.testing.assert_allclose(found.scores, scores, atol=1e-12)
    assert found.order.tolist() == sorted(range(n), key=lambda x: (found.scores[x], x))
    joint = joint_as_written(p, labels)
    for i in range(classes):
        ranked = [x for x in found.order.tolist() if labels[x] == i]
        wrong = ranked[: int(np.rint(joint[i].sum() - joint[i, i]))]
        assert set(np.flatnonzero(found.suspect & (labels == i)).tolist()) == {x for x in wrong if scores[x] < 0}
    for x in range(n):
        assert found.guesses[x] != labels[x]
        assert p[x, found.guesses[x]] == max(np.delete(p[x], labels[x]))


def test_rounding_does_not_exclude_a_class_of_equal_probabilities():
    p = np.tile([0.1, 0.7, 0.2], (7, 1))
    assert confident_joint(p, np.full(7, 1))[1].tolist() == [0, 7, 0]
    assert not label_errors(p, np.full(7, 1)).suspect.any()


def test_flipped_labels_come_first():
    features, true = blobs()
    labels = true.copy()
    flipped = np.random.default_rng(1).choice(len(labels), 15, replace=False)
    labels[flipped] = (labels[flipped] + 1) % 4
    p = out_of_fold(features, labels)
    found = label_errors(p, labels)
    assert set(found.order[:15].tolist()) == set(flipped.tolist())
    assert set(np.flatnonzero(found.suspect).tolist()) == set(flipped.tolist())
    assert (found.guesses[flipped] == true[flipped]).all()
    # The joint is an estimate: at most a few labels away from the truth.
    assert abs(found.joint.sum() - found.joint.trace() - 15) <= 3


def test_probabilities_are_out_of_fold():
    """Noise in many dimensions can be learnt by heart and by nothing else."""
    rng = np.random.default_rng(0)
    noise, labels = rng.normal(size=(200, 400)).astype(np.float32), rng.integers(0, 2, 200)
    accuracy = (out_of_fold(noise, labels).argmax(1) == labels).mean()
    assert 0.35 < accuracy < 0.65


def test_duplicates_are_in_one_fold():
    rng = np.random.default_rng(0)
    half, label = rng.normal(size=(100, 400)).astype(np.float32), rng.integers(0, 2, 100)
    features, labels, groups = np.concatenate([half, half]), np.tile(label, 2), np.tile(np.arange(100), 2)
    assert (out_of_fold(features, labels).argmax(1) == labels).mean() > 0.75
    assert (out_of_fold(features, labels, groups=groups).argmax(1) == labels).mean() < 0.65


@pytest.mark.parametrize("folds", [2, 5, 40])
def test_small_classes(folds):
    features, labels = blobs(40)
    labels = np.concatenate([labels, [4, 5, 5, 7]])  # one image, two images, none, one
    extra = np.random.default_rng(2).normal(size=(4, 20)).astype(np.float32)
    p = out_of_fold(np.concatenate([features, extra]), labels, folds=folds)
    assert p.shape == (44, 8)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    assert (p[:, 6] == 0).all()
    found = label_errors(p, labels)
    assert np.isfinite(found.scores).all()
    assert p[40, 4] == p[43, 7] == 1
    assert not found.suspect[[40, 43]].any()


def test_two_images_of_two_classes():
    p = out_of_fold(np.eye(2, 3, dtype=np.float32), np.array([0, 1]))
    assert not label_errors(p, np.array([0, 1])).suspect.any()


def test_folds_depend_on_the_seed_and_not_on_the_scale():
    features, labels = blobs(spread=2.0)
    first = out_of_fold(features, labels, seed=3)
    assert np.array_equal(first, out_of_fold(features, labels, seed=3))
    assert not np.array_equal(first, out_of_fold(features, labels, seed=4))
    np.testing.assert_allclose(first, out_of_fold(1000 * features, labels, seed=3), atol=1e-3)


def test_features_without_any_difference():
    labels = np.arange(20) % 2
    p = out_of_fold(np.ones((20, 5), np.float32), labels)
    np.testing.assert_allclose(p, 0.5, atol=0.2)
    assert np.isfinite(out_of_fold(np.zeros((20, 5), np.float32), labels)).all()


def test_mistakes():
    features, labels = blobs(20)
    with pytest.raises(OptionError, match="at least 2 folds"):
        out_of_fold(features, labels, folds=1)
    with pytest.raises(DataError, match="at least two"):
        out_of_fold(features, np.zeros(20, int))
    with pytest.raises(DataError, match="20 labels"):
        out_of_fold(features[:19], labels)
    features[3, 3] = np.nan
    with pytest.raises(DataError, match="finite"):
        out_of_fold(features, labels)
    for wrong in (np.ones((19, 3)), np.ones((20, 1)), np.ones(20)):
        with pytest.raises(DataError, match="probabilities"):
            label_errors(wrong, labels)
