"""Distillation losses against their papers' formulas in numpy, and their gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hubel.training.distillation.losses import DISTILLATION_LOSSES

Array = NDArray[np.float64]


def softmax(z: Array) -> Array:
    powers = np.exp(z - z.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def divergence(p: Array, q: Array) -> Array:
    return np.asarray((p * np.log(p / q)).sum(-1))


def hinton(student: Array, teacher: Array, classes: NDArray[np.int64], t: float) -> Array:
    """Soft targets: cross-entropy less the targets' entropy, times T²."""
    p, q = softmax(teacher / t), softmax(student / t)
    return np.asarray(t**2 * (-(p * np.log(q)).sum(1) + (p * np.log(p)).sum(1)))


def decoupled(student: Array, teacher: Array, classes: NDArray[np.int64], t: float) -> Array:
    """Equation 7 of Zhao et al., an image at a time."""
    found = []
    for s, z, c in zip(student, teacher, classes, strict=True):
        p, q = softmax(z / t), softmax(s / t)
        binary = divergence(np.array([p[c], 1 - p[c]]), np.array([q[c], 1 - q[c]]))
        rest = divergence(np.delete(p, c) / (1 - p[c]), np.delete(q, c) / (1 - q[c]))
        found.append(t**2 * (binary + 2 * rest))
    return np.array(found)


def correlated(student: Array, teacher: Array, classes: NDArray[np.int64], t: float) -> Array:
    """Equations 8 to 11 of Huang et al., by NumPy's own correlation."""
    q, p = softmax(student / t), softmax(teacher / t)
    inter = np.array([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(q, p, strict=True)])
    intra = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(q.T, p.T, strict=True)])
    return np.asarray(t**2 * (inter + intra))


def regressed(student: Array, teacher: Array, classes: NDArray[np.int64], t: float) -> Array:
    """Half the variance over the classes of the difference of the logits."""
    return np.asarray((student - teacher).var(1) / 2)


def hinted(student: Array, teacher: Array, classes: NDArray[np.int64], t: float) -> Array:
    return np.asarray(0.5 * np.linalg.norm(student - teacher, axis=1) ** 2 / student.shape[1])


FORMULAS: dict[str, Callable[[Array, Array, NDArray[np.int64], float], Array]] = {
    "kd": hinton,
    "dkd": decoupled,
    "dist": correlated,
    "mse": regressed,
    "hint": hinted,
}


def draw(seed: int, n: int, c: int) -> tuple[Array, Array, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    teacher = rng.normal(size=(n, c)) * 3
    return rng.normal(size=(n, c)) * 2, np.log(softmax(teacher)), rng.integers(0, c, n)


def test_there_is_a_formula_for_each() -> None:
    assert FORMULAS.keys() == DISTILLATION_LOSSES.keys()


@pytest.mark.parametrize("name", FORMULAS)
@given(seed=st.integers(0, 999), n=st.integers(2, 6), c=st.integers(3, 12), t=st.sampled_from([1.0, 4.0, 20.0]))
@settings(max_examples=12, deadline=None)
def test_values_are_those_of_the_paper(name: str, seed: int, n: int, c: int, t: float) -> None:
    student, teacher, classes = draw(seed, n, c)
    found = DISTILLATION_LOSSES[name].compute(*map(torch.from_numpy, (student, teacher, classes)), t)
    np.testing.assert_allclose(found.numpy(), FORMULAS[name](student, teacher, classes, t), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", FORMULAS)
def test_gradients_are_finite_differences(name: str) -> None:
    student, teacher, classes = map(torch.from_numpy, draw(3, 4, 5))
    compute = DISTILLATION_LOSSES[name].compute
    torch.autograd.gradcheck(lambda z: compute(z, teacher, classes, 4.0).sum(), student.requires_grad_())


@pytest.mark.parametrize("name", FORMULAS)
def test_equal_outputs_cost_nothing(name: str) -> None:
    _, teacher, classes = map(torch.from_numpy, draw(5, 4, 7))
    same = teacher if name == "hint" else teacher + 3  # logits have a constant that nobody sees
    found = DISTILLATION_LOSSES[name].compute(same, teacher, classes, 4.0)
    np.testing.assert_allclose(found.numpy(), 0, atol=1e-9)


def test_temperature_scales_no_gradient() -> None:
    """At high temperatures the gradient is (z_s - z_t) / c of centred logits (Hinton's Equation 4), whatever T is."""
    student, teacher, classes = map(torch.from_numpy, draw(7, 3, 6))
    student.requires_grad_()
    DISTILLATION_LOSSES["kd"].compute(student, teacher, classes, 1000.0).sum().backward()
    centred = [z - z.mean(1, keepdim=True) for z in (student.detach(), teacher)]
    torch.testing.assert_close(student.grad, (centred[0] - centred[1]) / 6, rtol=0.02, atol=1e-3)


def test_a_class_that_nothing_varies_in_is_finite() -> None:
    """One image has no correlation among images; constant outputs have none at all."""
    flat = torch.zeros(1, 5, dtype=torch.float64, requires_grad=True)
    loss = DISTILLATION_LOSSES["dist"].compute(flat, flat.detach(), torch.zeros(1, dtype=torch.int64), 1.0)
    loss.sum().backward()
    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()
    assert loss.item() == pytest.approx(2)
