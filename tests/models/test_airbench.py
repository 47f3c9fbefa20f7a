"""Airbench: whitening, filters that start as the identity, and the mean over views."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch.nn import functional as F

from hubel.core.errors import OptionError, UnknownNameError
from hubel.data.samples import network_input
from hubel.models.catalogue import build_model
from hubel.nn.whitening import PatchWhitening, whitening_filters
from hubel.training.execute import execute
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.weights.model_file import load_model

NARROW = {"widths": "4,8,8"}


def smooth(n: int, side: int = 12) -> torch.Tensor:
    """Images whose neighbouring pixels and channels are alike, as those of photos are."""
    draw = np.random.default_rng(0)
    grey = np.cumsum(np.cumsum(draw.normal(size=(n, 1, side, side)), 2), 3) / side
    return torch.from_numpy((grey + 0.3 * draw.normal(size=(n, 3, side, side))).astype(np.float32))


@pytest.mark.parametrize("kernel", [2, 3])
def test_whitened_patches_have_the_identity_as_their_covariance(kernel: int) -> None:
    images = smooth(40)
    maps = F.conv2d(images.double(), whitening_filters(images, kernel, eps=0.0).double())
    answers = maps.permute(0, 2, 3, 1).flatten(0, 2).numpy()
    np.testing.assert_allclose(answers.T @ answers / len(answers), np.eye(3 * kernel**2), atol=2e-3)


def test_filters_are_principal_components_by_their_variance() -> None:
    """Against NumPy, patch by patch, with the term that keeps small components small."""
    images = smooth(20)
    patches = sliding_window_view(images.double().numpy(), (2, 2), (2, 3)).transpose(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    _, sizes, components = np.linalg.svd(patches, full_matrices=False)
    expected = components / np.sqrt(sizes**2 / len(patches) + 5e-4)[:, None]
    got = whitening_filters(images, 2).flatten(1).double().numpy()
    signs = np.sign((got * expected).sum(1, keepdims=True))
    np.testing.assert_allclose(got, signs * expected, rtol=2e-3, atol=2e-3)


def test_the_layer_has_both_signs_and_only_its_bias_learns() -> None:
    layer = PatchWhitening(3, 2)
    layer.fit(smooth(10))
    torch.testing.assert_close(layer.weight[12:], -layer.weight[:12])
    assert [name for name, p in layer.named_parameters() if p.requires_grad] == ["bias"]
    learns = PatchWhitening(3, 2, fitted=False)
    before = learns.weight.clone()
    learns.fit(smooth(10))
    assert torch.equal(learns.weight, before)


def test_first_filters_hand_their_maps_on() -> None:
    network = build_model("airbench94", options=NARROW)
    first, second = network.stages[1][0], network.stages[1][4]
    for layer in (first, second):
        x = torch.randn(2, layer.in_channels, 6, 6)
        torch.testing.assert_close(layer(x)[:, : layer.in_channels], x)
    plain = build_model("airbench94", options={**NARROW, "identity": "false"})
    assert not torch.allclose(plain.stages[1][4](x), x)


@pytest.mark.parametrize("views", ["mirror", "mirror_shift"])
def test_views_are_averaged_in_evaluation_only(views: str) -> None:
    torch.manual_seed(0)
    network = build_model("airbench94", options={**NARROW, "views": views}).eval()
    x = torch.randn(3, 3, 32, 32)
    wide = np.pad(x.numpy(), [(0, 0), (0, 0), (1, 1), (1, 1)], "reflect")
    seen = {(1, 1): 0.5, (0, 0): 0.25, (2, 2): 0.25} if views == "mirror_shift" else {(1, 1): 1.0}
    expected = 0.0
    with torch.no_grad():
        for (y, left), share in seen.items():
            view = wide[:, :, y : y + 32, left : left + 32]
            for one in (view, view[..., ::-1]):
                expected = expected + share / 2 * network.maps(torch.from_numpy(one.copy()))["logits"]
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)
        network.train()
        once, again = network(x), network.maps(x)["logits"]
    torch.testing.assert_close(once, again)  # batch norms use the statistics of the batch


def test_a_run_whitens_with_its_own_images(tmp_path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8).repeat(2, 1).repeat(2, 2)
    data = pixels, [f"class {i % 2}" for i in range(40)]
    plan = plan_training(data, Recipe.named("cifar-94", options=NARROW | {"views": "none"}, epochs=1, threads=1))
    trained = execute(plan, tmp_path)
    network, _ = load_model(trained.path)
    images = network_input(plan.train.images.pixels(np.arange(len(plan.train.images))), plan.preprocess)
    filters = network.stem[0].weight[:12]
    torch.testing.assert_close(filters.abs(), whitening_filters(images, 2).abs(), rtol=1e-3, atol=1e-3)


def test_wrong_options() -> None:
    with pytest.raises(UnknownNameError, match="did you mean mirror"):
        build_model("airbench94", options={"views": "mirrored"})
    with pytest.raises(OptionError, match="norm_momentum is a share below 1"):
        build_model("airbench94", options={"norm_momentum": "1"})
    with pytest.raises(OptionError, match="halve"):
        build_model("airbench94", options={"widths": "4,4,4,4,4,4"})
