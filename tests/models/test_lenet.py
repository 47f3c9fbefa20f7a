from __future__ import annotations

import torch

from hubel.models.catalogue import create_model


def test_layer_table() -> None:
    """LeCun 1998, Section II.B, with the full C3 of the modern form."""
    network = create_model("lenet5_modern")
    layers: dict[str, int] = {}
    for name, parameter in network.named_parameters():
        layer = name.rsplit(".", 1)[0]
        layers[layer] = layers.get(layer, 0) + parameter.numel()
    assert list(layers.values()) == [156, 2416, 48120, 10164, 850]


def test_pooling_averages_and_activation_is_tanh() -> None:
    network = create_model("lenet5_modern").eval()
    maps = network.maps(torch.randn(2, 1, 32, 32))  # type: ignore[operator]
    pooled = maps["stage1.block1"].reshape(2, 6, 14, 2, 14, 2).mean((3, 5))
    torch.testing.assert_close(maps["stage1"], pooled)
    assert maps["stage1.block1"].abs().max() <= 1
