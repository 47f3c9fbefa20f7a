from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hubel.core.errors import OptionError, UnknownNameError
from hubel.models.catalogue import build_model
from hubel.models.resnet import Residual, basic, shortcut


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("resnet18", 18), ("resnet34", 34), ("resnet50", 50), ("resnet50_v1", 50), ("resnet101", 101),
        ("resnet152", 152), ("plain18", 18), ("plain34", 34), ("resnet20", 20), ("resnet56", 56), ("plain56", 56),
    ],
)  # fmt: skip
def test_weighted_layers(name: str, layers: int) -> None:
    """The number in the name counts convolutions and linear layers, but not shortcuts (Table 1; 6n + 2 in 4.2)."""
    with torch.device("meta"):
        network = build_model(name)
    found = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and "shortcut" not in n]
    assert len(found) == layers


@pytest.mark.parametrize(("out_channels", "stride"), [(16, 1), (32, 2), (17, 2)])
def test_shortcut_a(out_channels: int, stride: int) -> None:
    x = torch.randn(2, 16, 9, 8)
    expected = np.zeros((2, out_channels, -(-9 // stride), -(-8 // stride)), np.float32)
    before = (out_channels - 16) // 2
    expected[:, before : before + 16] = x.numpy()[:, :, ::stride, ::stride]
    beside = shortcut("A", 16, out_channels, stride)
    assert beside is not None
    assert np.array_equal(beside(x).numpy(), expected)
    unit = Residual(basic(16, out_channels, stride), beside)
    assert unit(x).shape == expected.shape
    assert sum(p.numel() for p in unit.parameters()) == 9 * (16 + out_channels) * out_channels + 4 * out_channels


def test_options_of_shortcuts() -> None:
    """Parameters of ResNet-20: A none; B two 1x1 convolutions with their norms; C one in every unit."""
    sizes = {}
    for option in ("none", "A", "B", "C"):
        with torch.device("meta"):
            sizes[option] = sum(p.numel() for p in build_model("resnet20", options={"shortcut": option}).parameters())
    projections = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    same = 3 * (16 * 16 + 2 * 16) + 2 * (32 * 32 + 2 * 32) + 2 * (64 * 64 + 2 * 64)
    assert sizes["A"] == sizes["none"]
    assert sizes["B"] == sizes["A"] + projections
    assert sizes["C"] == sizes["B"] + same


def test_plain_unit_adds_nothing() -> None:
    x = torch.randn(2, 16, 8, 8)
    residual = basic(16, 16, 1).eval()
    assert torch.equal(Residual(residual, None)(x), residual(x).relu())
    torch.testing.assert_close(Residual(residual, nn.Identity())(x), (residual(x) + x).relu())


def test_position_of_the_stride() -> None:
    def strides(name: str) -> list[int]:
        with torch.device("meta"):
            first = build_model(name).stages[1][0].residual  # type: ignore[union-attr, index]
        return [part.conv.stride[0] for part in first]  # type: ignore[union-attr]

    assert strides("resnet50") == [1, 2, 1]
    assert strides("resnet50_v1") == [2, 1, 1]


@pytest.mark.parametrize(
    "options",
    [{"depths": ""}, {"depths": "3,3"}, {"widths": "16,0,64"}, {"widths": "64,32,16"}, {"depths": "9999,1,1"}],
)
def test_invalid_layouts_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(OptionError):
        build_model("resnet20", options=options)


def test_messages() -> None:
    with pytest.raises(OptionError, match="depths is above 0, not nothing"):
        build_model("resnet20", options={"depths": "", "widths": ""})
    with pytest.raises(UnknownNameError, match="no shortcut is called 'D'; the known ones are: A, B, C, none"):
        build_model("resnet20", options={"shortcut": "D"})
    with pytest.raises(OptionError, match="output_stride is one of 4, 8, 16, 32, not 7"):
        build_model("resnet50", options={"output_stride": 7})
