"""Losses of pixels against their formulae in numpy, and their gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hubel.core.errors import UnknownNameError
from hubel.tasks.segmentation_losses import PIXEL_LOSSES, VOID, PixelLoss, dice, pixel_cross_entropy

Array = NDArray[np.float64]
SHAPES = {"n": st.integers(1, 3), "classes": st.integers(1, 5), "side": st.integers(1, 6)}


def drawn(n: int, classes: int, side: int, seed: int, void: float = 0.2) -> tuple[Array, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, (n, side, side + 1))
    return rng.normal(0, 3, (n, classes, side, side + 1)), np.where(rng.random(targets.shape) < void, VOID, targets)


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(0))
    return np.asarray(e / e.sum(0))


def expected_cross_entropy(logits: Array, targets: NDArray[np.int64], weights: Array) -> Array:
    losses = []
    for z, t in zip(logits, targets, strict=True):
        p = softmax(z)
        pixels = [-weights[t[i, j]] * np.log(p[t[i, j], i, j]) for i, j in np.ndindex(*t.shape) if t[i, j] != VOID]
        losses.append(np.mean(pixels) if pixels else 0.0)
    return np.array(losses)


def expected_dice(logits: Array, targets: NDArray[np.int64]) -> Array:
    losses = []
    for z, t in zip(logits, targets, strict=True):
        p, labelled = softmax(z), t != VOID
        of_classes = []
        for c in set(t[labelled]):
            pc, g = p[c][labelled], (t[labelled] == c).astype(float)
            of_classes.append(2 * (pc * g).sum() / ((pc**2).sum() + (g**2).sum()))
        losses.append(1 - np.mean(of_classes) if of_classes else 0.0)
    return np.array(losses)


@settings(max_examples=40, deadline=None)
@given(**SHAPES, seed=st.integers(0, 99), void=st.sampled_from([0.0, 0.3, 1.0]))
def test_formulae(n: int, classes: int, side: int, seed: int, void: float) -> None:
    logits, targets = drawn(n, classes, side, seed, void)
    weights = np.random.default_rng(seed).uniform(0.1, 3, classes)
    z, t = torch.from_numpy(logits), torch.from_numpy(targets)
    crossed = pixel_cross_entropy(z, t, torch.from_numpy(weights))
    np.testing.assert_allclose(crossed, expected_cross_entropy(logits, targets, weights), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(dice(z, t), expected_dice(logits, targets), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", PIXEL_LOSSES)
def test_gradients(kind: str) -> None:
    logits, targets = drawn(2, 3, 3, 0)
    z, t, weights = torch.from_numpy(logits).requires_grad_(), torch.from_numpy(targets), torch.tensor([1.0, 2.0, 0.5])
    loss = PIXEL_LOSSES[kind]
    assert torch.autograd.gradcheck(lambda z: loss(z, t, weights.double(), VOID), z)
    loss(z, t, weights.double(), VOID).sum().backward()
    assert z.grad is not None
    assert (z.grad.permute(0, 2, 3, 1)[t == VOID] == 0).all(), "void pixels teach nothing"


@pytest.mark.parametrize("kind", PIXEL_LOSSES)
def test_half_precision_is_summed_in_single(kind: str) -> None:
    logits, targets = drawn(2, 4, 5, 1)
    half, t = torch.from_numpy(logits).bfloat16(), torch.from_numpy(targets)
    got = PixelLoss(kind)(half, t)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, PixelLoss(kind)(half.float(), t))


@pytest.mark.parametrize("kind", PIXEL_LOSSES)
def test_extremes(kind: str) -> None:
    """Sure and right costs nothing, sure and wrong something finite, and an image without labels nothing."""
    t = torch.tensor([[[0, 1]], [[0, 1]], [[VOID, VOID]]])
    z = 1e4 * torch.tensor([[[[1.0, -1]], [[-1.0, 1]]], [[[-1.0, 1]], [[1.0, -1]]], [[[1.0, 1]], [[0.0, 0]]]])
    right, wrong, none = PixelLoss(kind)(z, t)
    assert right == none == 0
    assert 1 <= wrong < 1e5
    z.requires_grad_()
    PixelLoss(kind)(z, t).sum().backward()
    assert torch.isfinite(z.grad).all()  # type: ignore[arg-type]


def test_other_void() -> None:
    z, t = torch.randn(1, 2, 1, 3), torch.tensor([[[0, 1, 1]]])
    assert pixel_cross_entropy(z, t, void=1) == pixel_cross_entropy(z[..., :1], t[..., :1])
    torch.testing.assert_close(dice(z, t, void=1), dice(z[..., :1], t[..., :1]))


def test_unknown_loss() -> None:
    with pytest.raises(UnknownNameError, match=r"no loss of pixels is called 'dize'; did you mean .*dice"):
        PixelLoss("dize")
