from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hubel.core.errors import OptionError
from hubel.models.catalogue import create_model
from hubel.models.resnet import Basic


def test_weighted_layers() -> None:
    """6n + 2 = 20 layers for n = 3 (Section 4.2)."""
    network = create_model("resnet20")
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in network.modules()) == 20


@pytest.mark.parametrize(("out_channels", "stride"), [(16, 1), (32, 2), (17, 2)])
def test_shortcut_a(out_channels: int, stride: int) -> None:
    x = torch.randn(2, 16, 9, 8)
    expected = np.zeros((2, out_channels, -(-9 // stride), -(-8 // stride)), np.float32)
    before = (out_channels - 16) // 2
    expected[:, before : before + 16] = x.numpy()[:, :, ::stride, ::stride]
    block = Basic(16, out_channels, stride)
    assert np.array_equal(block.shortcut(x).numpy(), expected)
    assert block(x).shape == expected.shape
    assert sum(p.numel() for p in block.parameters()) == 9 * (16 + out_channels) * out_channels + 4 * out_channels


def test_depths() -> None:
    for n, params in ((5, 464_154), (18, 1_727_962)):  # ResNet-32 and ResNet-110; Table 6: 0.46 M and 1.7 M
        with torch.device("meta"):
            network = create_model("resnet20", options={"depths": f"{n},{n},{n}"})
        assert sum(p.numel() for p in network.parameters()) == params


@pytest.mark.parametrize(
    "options",
    [{"depths": ""}, {"depths": "3,3"}, {"widths": "16,0,64"}, {"widths": "64,32,16"}, {"depths": "9999,1,1"}],
)
def test_layouts_that_cannot_work(options: dict[str, str]) -> None:
    with pytest.raises(OptionError):
        create_model("resnet20", options=options)


def test_empty_layout() -> None:
    with pytest.raises(OptionError, match="one positive number"):
        create_model("resnet20", options={"depths": "", "widths": ""})
