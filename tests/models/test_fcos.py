"""FCOS: its points and boxes, against the paper's equations, and any backbone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.core.errors import OptionError
from hubel.models.catalogue import build_model
from hubel.nn.points import pyramid_points
from hubel.nn.pyramid import FeaturePyramid


def test_there_is_a_row_for_each_point() -> None:
    sizes = {"efficientnet_lite0": (96, 160), "resnet18": (100, 70), "mobilenet_v2": (64, 64)}
    for name, (height, width) in sizes.items():
        options = {"backbone": name, "width": 16, "depth": 1}
        network = build_model("fcos", num_classes=3, options=options).eval()
        points, _ = pyramid_points(height, width)
        with torch.no_grad():
            assert network(torch.zeros(2, 3, height, width)).shape == (2, len(points), 8)


def test_each_point_starts_with_a_box_of_two_strides_around_it() -> None:
    """l = t = r = b = exp(0) strides (Section 3.2), and each class has the probability of the prior."""
    network = build_model("fcos", num_classes=2, options={"width": 16, "depth": 1}).eval()
    for layer in (network.head.regress, network.head.classify):
        torch.nn.init.zeros_(layer.weight)
    with torch.no_grad():
        output = network(torch.randn(1, 3, 64, 128))[0].numpy()
    points, strides = pyramid_points(64, 128)
    boxes = output[:, :4] * (128, 64, 128, 64)
    expected = np.concatenate([points - strides[:, None], points + strides[:, None]], axis=1)
    np.testing.assert_allclose(boxes, expected, atol=1e-3)
    np.testing.assert_allclose(1 / (1 + np.exp(-output[:, 5:])), 0.01, rtol=1e-4)


def test_the_pyramid_adds_the_enlarged_coarser_level() -> None:
    pyramid = FeaturePyramid([3, 5], 4, extra=2)
    fine, coarse = torch.randn(1, 3, 6, 9), torch.randn(1, 5, 3, 5)
    with torch.no_grad():
        levels = pyramid([fine, coarse])
        rows, columns = np.arange(6) // 2, np.arange(9) * 5 // 9
        lateral = [layer(x) for layer, x in zip(pyramid.lateral, (fine, coarse), strict=True)]
        expected = pyramid.smooth[0](lateral[0] + lateral[1][:, :, rows][..., columns])
    torch.testing.assert_close(levels[0], expected)
    assert [tuple(level.shape[2:]) for level in levels] == [(6, 9), (3, 5), (2, 3), (1, 2)]


def test_maps_have_names() -> None:
    network = build_model("fcos", num_classes=1, options={"width": 16, "depth": 1})
    names = network.maps(torch.zeros(1, 3, 64, 64))
    assert names["head.p3"].shape == (1, 16, 8, 8)
    assert names["head.p6.boxes"].shape == (1, 16, 1, 1)


def test_backbones_without_maps_are_refused() -> None:
    with pytest.raises(OptionError, match="efficientnet_lite0"):
        build_model("fcos", options={"backbone": "autoencoder_28"})


def test_widths_that_are_no_groups_are_refused() -> None:
    with pytest.raises(OptionError, match="width is a multiple of 8"):
        build_model("fcos", options={"width": 20})
