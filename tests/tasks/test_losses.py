"""Losses against their formulae in numpy, and their gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from hubel.tasks.losses import LOSSES, Loss, class_weights

N, C = 7, 4
Array = NDArray[np.float64]


@pytest.fixture
def logits() -> Array:
    return np.random.default_rng(0).normal(0, 3, (N, C))


@pytest.fixture
def targets() -> NDArray[np.int64]:
    return np.random.default_rng(1).integers(0, C, N)


def smooth(hot: Array, smoothing: float) -> Array:
    return hot * (1 - smoothing) + smoothing / C


def reference(kind: str, z: Array, t: Array) -> Array:
    if kind == "cross_entropy":
        return -(t * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum(1)
    if kind == "bce":
        p = 1 / (1 + np.exp(-z))
        return -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(1)
    return ((z - t) ** 2).sum(1)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_class_an_image(kind: str, smoothing: float, logits: Array, targets: NDArray[np.int64]) -> None:
    got = Loss(kind, smoothing)(torch.from_numpy(logits), torch.from_numpy(targets))
    assert got.shape == (N,)
    expected = reference(kind, logits, smooth(np.eye(C)[targets], smoothing))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_several_classes_an_image(smoothing: float, logits: Array) -> None:
    hot = (np.random.default_rng(2).random((N, C)) < 0.5).astype(np.float32)
    got = Loss("bce", smoothing)(torch.from_numpy(logits), torch.from_numpy(hot))
    np.testing.assert_allclose(got, reference("bce", logits, smooth(hot, smoothing)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", LOSSES)
def test_gradients(kind: str, logits: Array, targets: NDArray[np.int64]) -> None:
    z = torch.from_numpy(logits).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: LOSSES[kind](z, torch.from_numpy(targets), 0.1), z)


@pytest.mark.parametrize("kind", LOSSES)
def test_half_precision_is_summed_in_single(kind: str, logits: Array, targets: NDArray[np.int64]) -> None:
    half = torch.from_numpy(logits).bfloat16()
    got = Loss(kind)(half, torch.from_numpy(targets))
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, Loss(kind)(half.float(), torch.from_numpy(targets)))


@pytest.mark.parametrize("kind", LOSSES)
def test_extreme_outputs_stay_finite(kind: str) -> None:
    z = torch.tensor([[1e4, -1e4], [-1e4, 1e4]])
    assert torch.isfinite(Loss(kind)(z, torch.tensor([0, 0]))).all()


def test_class_weights_are_those_of_scikit_learn() -> None:
    targets = np.repeat([0, 1, 2, 3], [50, 5, 20, 1])
    weights = class_weights(targets, 4)
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(4), y=targets), rtol=1e-6)
    assert float(weights[targets].mean()) == pytest.approx(1)


def test_a_class_without_samples_changes_nothing_for_the_others() -> None:
    targets = np.repeat([0, 2], [3, 1])
    weights = class_weights(targets, 4)
    assert weights[[1, 3]].tolist() == [0, 0]
    assert float(weights[targets].mean()) == pytest.approx(1)


def test_class_weights_multiply(logits: Array, targets: NDArray[np.int64]) -> None:
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    z, t = torch.from_numpy(logits), torch.from_numpy(targets)
    torch.testing.assert_close(Loss("cross_entropy", weights=weights)(z, t), Loss("cross_entropy")(z, t) * weights[t])


def test_an_image_of_several_classes_has_their_mean_weight(logits: Array) -> None:
    hot = torch.tensor([[1, 0, 1, 0]] * N, dtype=torch.float32)
    weights = torch.tensor([1.0, 2.0, 4.0, 3.0])
    z = torch.from_numpy(logits)
    torch.testing.assert_close(Loss("bce", weights=weights)(z, hot), Loss("bce")(z, hot) * 2.5)


def test_weights_of_several_classes_count_labels() -> None:
    hot = np.array([[1, 0], [1, 1], [1, 0]], np.float32)
    np.testing.assert_allclose(class_weights(hot, 2), [4 / (2 * 3), 4 / (2 * 1)], rtol=1e-6)


def test_an_image_without_any_class_weighs_as_much_as_the_mean(logits: Array) -> None:
    z, hot, weights = torch.from_numpy(logits), torch.zeros(N, C), torch.tensor([1.0, 2.0, 4.0, 3.0])
    torch.testing.assert_close(Loss("bce", weights=weights)(z, hot), Loss("bce")(z, hot))
