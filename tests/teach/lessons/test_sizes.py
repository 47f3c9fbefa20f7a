"""Numbers of the lesson on sizes against loops and torch."""

from __future__ import annotations

import numpy as np
import torch

from hubel.teach.course.lesson import lesson_data, lesson_facts
from hubel.teach.course.lessons.sizes.lesson import LESSON


def test_channels() -> None:
    data = lesson_data(LESSON)
    maps, kernels = torch.tensor(data["maps"]), torch.tensor(data["kernels"])
    expected = torch.nn.functional.conv2d(maps[None], kernels, torch.tensor(data["biases"], dtype=torch.float32))[0]
    np.testing.assert_array_equal(data["outputs"], expected.numpy())
    layer = torch.nn.Conv2d(3, 3, 3)
    assert data["small"]["parameters"] == sum(p.numel() for p in layer.parameters())
    assert data["small"]["multiplications"] == 3 * 3 * 3 * expected.numel()
    assert len(np.unique(data["outputs"])) > 5  # an example in which results can be told apart


def test_costs() -> None:
    data = lesson_data(LESSON)
    side, channels, filters, kernel = (data["layer"][name] for name in ("side", "channels", "filters", "kernel"))
    assert data["cost"]["multiplications"] == side * side * filters * kernel * kernel * channels == 10_035_200
    assert data["cost"]["parameters"] == kernel * kernel * channels * filters + filters
    assert data["cost"]["dense_parameters"] == (side * side * channels + 1) * side * side * filters


def test_alexnet() -> None:
    """Sides that torch computes for the three readings of the paper."""
    data, facts = lesson_data(LESSON)["alexnet"], lesson_facts("sizes")
    kernel, stride = (int(facts[f"alexnet_{name}"]["value"]) for name in ("kernel", "stride"))
    image = int(facts["alexnet_image"]["value"])
    for name, side, padding in (("printed", image, 0), ("larger", 227, 0), ("padded", image, 2)):
        row = torch.zeros(1, 1, side)
        assert data[f"{name}_side"] == torch.nn.Conv1d(1, 1, kernel, stride, padding)(row).shape[-1]
    assert (data["printed_exact"], data["larger_side"], data["padded_side"]) == (54.25, 55, 55)
    assert facts["alexnet_map"]["value"] == 55
