"""Integrated gradients add up; SmoothGrad of a linear network is its weights."""

from __future__ import annotations

import pytest
import torch
from small_networks import noise, predictor
from torch import nn

from hubel.core.errors import OptionError
from hubel.explain.gradients import integrated_gradients, smooth_grad
from hubel.explain.images import prepare_images, to_input
from hubel.inference.predictor import Predictor
from hubel.models.catalogue import build_model

X, TARGETS = noise(), torch.tensor([0, 2, 1])


def missing(network: nn.Module, x: torch.Tensor, targets: torch.Tensor, **settings: int) -> torch.Tensor:
    """Return the relative error of the sum of a map against the difference of the logits."""
    maps = integrated_gradients(network, x, targets, **settings)
    with torch.no_grad():
        at_image, at_zero = (network(image).gather(1, targets[:, None])[:, 0] for image in (x, torch.zeros_like(x)))
    return ((maps.sum((1, 2)) - (at_image - at_zero)) / (at_image - at_zero)).abs()


SMALL = {
    "convnet": {"filters": "8,16", "repeat": "1"},
    "resnet20": {"depths": "1,1,1"},
    "linear": {},
    "mlp": {"hidden": "32"},
    "lstm": {"hidden": 16},
}


@pytest.mark.parametrize("name", SMALL)
def test_completeness(name: str) -> None:
    torch.manual_seed(0)
    network = build_model(name, num_classes=3, in_channels=3, input_size=(16, 16), options=SMALL[name]).eval()
    assert missing(network, X, TARGETS, steps=128).max() < 0.01


@pytest.mark.slow
def test_completeness_on_photos(lite0: Predictor, imagenet: list) -> None:
    x = to_input(lite0, list(prepare_images(lite0, imagenet[:2])))
    with torch.no_grad():
        targets = lite0.network(x).argmax(1)
    shares = missing(lite0.network, x, targets, steps=256)
    print("256 steps miss", shares.tolist())
    assert shares.max() < 0.01


def test_of_a_linear_network() -> None:
    """The path does not matter for a linear network."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    weights = network[1].weight.detach()[TARGETS].reshape(3, 3, 16, 16)
    torch.testing.assert_close(integrated_gradients(network, X, TARGETS, steps=3), (weights * X).sum(1))
    torch.testing.assert_close(smooth_grad(network, X, TARGETS), weights.abs().amax(1))


def test_smooth_grad_is_a_mean_over_noise() -> None:
    network = predictor().network
    with torch.enable_grad():
        x = X.clone().requires_grad_()
        plain = torch.autograd.grad(network(x).gather(1, TARGETS[:, None]).sum(), x)[0].abs().amax(1)
    torch.testing.assert_close(smooth_grad(network, X, TARGETS, samples=1, noise=0.0), plain)
    some = smooth_grad(network, X, TARGETS)
    assert torch.equal(some, smooth_grad(network, X, TARGETS))
    assert not torch.allclose(some, plain)


def test_no_gradient() -> None:
    class Steps(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x > 0).float().mean((2, 3))

    for method in (integrated_gradients, smooth_grad):
        with pytest.raises(OptionError, match="no gradient; occlusion needs none"):
            method(Steps(), X, TARGETS)
