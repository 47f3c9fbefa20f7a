"""A frozen backbone: its stored maps give the outputs of the whole network, and it stays as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hubel.core.errors import UnknownNameError
from hubel.models.catalogue import build_model
from hubel.nn.dense import DenseNetwork
from hubel.nn.frozen_backbone import FrozenMaps, TunedDense, backbone_boundaries

HEADS = {
    "unet": {"backbone": "resnet20", "widths": "16"},
    "fcos": {"backbone": "resnet18"},
    "lraspp": {"backbone": "resnet18"},
    "pose": {"backbone": "resnet18", "widths": "8,8"},
    "localiser": {"backbone": "resnet18"},
}


def made(name: str) -> tuple[DenseNetwork, Tensor]:
    torch.manual_seed(0)
    network = build_model(name, num_classes=3, input_size=(64, 96), options=HEADS[name])
    assert isinstance(network, DenseNetwork)
    return network, torch.randn(2, 3, 64, 96)


@pytest.mark.parametrize("name", HEADS)
def test_maps_of_the_backbone_are_all_that_the_head_needs(name: str) -> None:
    network, images = made(name)
    tuned = TunedDense(network, "all", images[:1]).eval()
    with torch.no_grad():
        torch.testing.assert_close(tuned(FrozenMaps(network)(images)), network(images))


@pytest.mark.parametrize("boundary", ["none", "stage1", "stage2", "all"])
def test_what_is_frozen_stays_as_it_was(boundary: str) -> None:
    network, images = made("unet")
    tuned = TunedDense(network, boundary, images[:1]).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for level in tuned.levels() for p in level], 0.1)
    tuned(images).square().mean().backward()
    optimizer.step()
    changed = {name.split(".")[1] for name, value in network.state_dict().items() if not value.equal(before[name])}
    stages = [f"stages.{number}" for number in range(len(network.backbone.stages))]
    moved = {
        part
        for part in ("stem", *stages)
        if any(
            name.startswith(f"backbone.{part}.") and not value.equal(before[name])
            for name, value in network.state_dict().items()
        )
    }
    free = {"none": {"stem", *stages}, "stage1": {*stages[1:]}, "stage2": {*stages[2:]}, "all": set()}
    assert moved == free[boundary]
    assert changed, "the head learns"


def test_the_boundaries_are_the_stages_of_the_backbone() -> None:
    network, images = made("unet")
    assert backbone_boundaries(network) == ["none", "stage1", "stage2", "stage3", "all"]
    with pytest.raises(UnknownNameError, match=r"stage9.*stage3"):
        TunedDense(network, "stage9", images[:1])
