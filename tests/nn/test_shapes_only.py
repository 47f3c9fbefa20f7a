"""Networks built for their shapes."""

from __future__ import annotations

import torch
from torch import nn

from hubel.models.catalogue import build_model
from hubel.nn.shapes_only import shapes_only


def test_shapes_are_those_of_the_network() -> None:
    with shapes_only():
        network = build_model("resnet18")
    tensors = build_model("resnet18").state_dict()
    assert {name: (t.shape, t.dtype) for name, t in network.state_dict().items()} == {
        name: (t.shape, t.dtype) for name, t in tensors.items()
    }
    assert all(tensor.is_meta for tensor in network.state_dict().values())


def test_tensors_with_values_are_written() -> None:
    values = torch.ones(3)
    with shapes_only():
        values.fill_(2.0)
        nn.init.constant_(values[:1], 5.0)
        assert nn.init.kaiming_uniform_(torch.empty(2, 3)).is_meta
        assert torch.zeros(2).fill_(1.0).is_meta
    assert values.tolist() == [5.0, 2.0, 2.0]
    assert torch.zeros(2).fill_(1.0).tolist() == [1.0, 1.0]


def test_nothing_is_drawn() -> None:
    torch.manual_seed(0)
    expected = torch.get_rng_state()
    with shapes_only():
        build_model("lenet5_modern")
    assert torch.equal(torch.get_rng_state(), expected)
