from __future__ import annotations

import pytest
import torch
from torch import nn

from hubel.models.catalogue import build_model
from hubel.nn.narrow_maps import steps_over_map
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from squares import Squares


@pytest.mark.parametrize(("size", "expected"), [((16, 16), True), ((16, 48), False), ((32, 32), False)])
def test_the_last_stage_of_a_small_image(size: tuple[int, int], expected: bool) -> None:
    """ResNet-18 halves five times: 16 pixels are one before its last stage, which halves again."""
    with torch.device("meta"):
        network = build_model("resnet18").train()
    assert steps_over_map(network, 3, *size) == expected
    assert network.training
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_a_network_without_strides() -> None:
    assert not steps_over_map(nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2)), 1, 8, 8)


def test_such_networks_learn_in_float32() -> None:
    """The coarsest level of the pyramid halves the one pixel of 32; without this the weights became NaN."""
    chosen = (
        plan_training(Squares(40), Recipe(task="detect", precision="bfloat16", device="cpu", threads=1, size=size))
        for size in (None, "64")
    )
    assert [plan.precision for plan in chosen] == [torch.float32, torch.bfloat16]
