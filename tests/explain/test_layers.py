"""Default layers of our networks and of any other module; maps equal the outputs of their layers."""

from __future__ import annotations

import pytest
import torch
from small_networks import noise, predictor, stranger
from torch import nn
from torch.nn import functional as F

from hubel.core.errors import OptionError, UnknownNameError
from hubel.explain.layers import (
    before_activation,
    default_layer,
    layer_names,
    map_and_logits,
    maps_at,
    section_names,
    target_logits,
)
from hubel.explain.untouched import untouched
from hubel.models.catalogue import build_model, find
from hubel.nn.network import Network
from peers import torchvision

# The layer, and its map's shape: what the head's pooling or first fully connected layer looks at.
FOUND = {
    "convnet": ("stage3", (128, 4, 4)),
    "lenet5": ("stage2", (16, 5, 5)),
    "lenet5_modern": ("stage2", (16, 5, 5)),
    "alexnet": ("stage2", (256, 13, 13)),
    "vgg11": ("stage5", (512, 14, 14)),
    "nin": ("stage4", (1000, 6, 6)),
    "googlenet": ("stage3", (1024, 7, 7)),
    "inception_v3": ("stage3", (2048, 8, 8)),
    "resnet20": ("stage3", (64, 8, 8)),
    "resnet18": ("stage4", (512, 7, 7)),
    "densenet121": ("stage4", (1024, 7, 7)),
    "mobilenet_v1": ("stage5", (1024, 7, 7)),
    "mobilenet_v2": ("head.conv", (1280, 7, 7)),
    "mobilenet_v3_small": ("head.conv", (576, 7, 7)),
    "efficientnet_b0": ("head.conv", (1280, 7, 7)),
    "efficientnet_lite0": ("head.conv", (1280, 7, 7)),
}


@pytest.mark.parametrize(("name", "expected"), FOUND.items(), ids=FOUND)
def test_ours(name: str, expected: tuple[str, tuple[int, ...]]) -> None:
    with torch.device("meta"):
        network = build_model(name)
    network.to_empty(device="cpu")  # whatever its weights are
    x = torch.zeros(1, *find(name)[1].shape)
    layer = default_layer(network, x)
    with untouched(network) as frozen, torch.no_grad():
        assert (layer, tuple(maps_at(frozen, x, [layer])[layer].shape[1:])) == expected


@pytest.mark.parametrize("name", ["linear", "mlp", "lstm"])
def test_networks_without_maps(name: str) -> None:
    with pytest.raises(OptionError, match="no map of more than one pixel"):
        default_layer(build_model(name), torch.randn(1, 1, 28, 28))


def test_a_stranger() -> None:
    assert default_layer(stranger(), noise()) == "8"


class Functional(nn.Module):
    """Pools by a function; its modules are not called in the order of their definition."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.second = nn.Conv2d(4, 4, 3)
        self.first = nn.Conv2d(3, 4, 3)
        self.unused = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(F.adaptive_avg_pool2d(F.relu(self.second(self.first(x))), 1).flatten(1))


def test_order_is_that_of_the_calls() -> None:
    network = Functional()
    assert default_layer(network, noise()) == "second"
    with untouched(network) as frozen, pytest.raises(OptionError, match="does not use its layer unused"):
        map_and_logits(frozen, noise(), "unused")


@pytest.mark.peer
@pytest.mark.parametrize(
    ("name", "layer"), [("resnet18", "layer4"), ("densenet121", "features"), ("mobilenet_v2", "features")]
)
def test_torchvision(name: str, layer: str) -> None:
    network = torchvision().models.get_model(name)
    assert default_layer(network, torch.randn(1, 3, 64, 64)) == layer


@pytest.mark.parametrize("name", ["resnet20", "densenet121", "nin", "mobilenet_v2", "convnet"])
def test_maps_are_those_of_the_network(name: str) -> None:
    network = build_model(name).eval()
    assert isinstance(network, Network)
    x = torch.randn(2, 3, 64, 64)
    with untouched(network) as frozen, torch.no_grad():
        names = [key for key, value in frozen.maps(x).items() if value.ndim == 4 and key != "stem"]
        ours = maps_at(frozen, x, names)
        for key, value in {k: v.clone() for k, v in frozen.walk(x)}.items():
            if key in names:
                torch.testing.assert_close(ours[key], value)


def test_sections() -> None:
    assert section_names(predictor().network, noise()) == ["stage1", "stage2"]  # its stem does nothing
    lite = build_model("efficientnet_lite0")
    assert section_names(lite, torch.randn(1, 3, 64, 64)) == ["stem", *(f"stage{s}" for s in range(1, 8)), "head.conv"]
    assert section_names(stranger(), noise())[:3] == ["1", "2", "3"]  # the first one writes into the image


def test_names() -> None:
    network = build_model("resnet18")
    names = layer_names(network)
    assert names["stage2.block1"] is network.stages[1][0]
    assert names["stages.1.0"] is network.stages[1][0]
    assert names["stem.block1"] is network.stem[0]
    with untouched(network) as frozen, pytest.raises(UnknownNameError, match=r"did you mean .*stage4"):
        maps_at(frozen, torch.randn(1, 3, 32, 32), ["stage44"])
    with (
        untouched(network) as frozen,
        pytest.raises(OptionError, match=r"head.linear outputs no map .* but \(1, 1000\)"),
    ):
        maps_at(frozen, torch.randn(1, 3, 32, 32), ["head.linear"])


def test_map_survives_what_is_written_into_it() -> None:
    """The activation after the layer works in place, on a copy."""
    network = stranger()
    with untouched(network) as frozen:
        x = noise()
        maps, logits = map_and_logits(frozen, x, "6")  # the norm before ReLU6(inplace=True)
        assert maps.min() < 0
        expected = frozen[6](frozen[5](frozen[:5](x.clone())))
        torch.testing.assert_close(maps.detach(), expected)
        torch.testing.assert_close(logits, frozen(x.clone()))
        assert maps.requires_grad
        assert not x.requires_grad


def test_before_activation() -> None:
    network, x = stranger(), noise()
    with untouched(network) as frozen, torch.no_grad():
        torch.testing.assert_close(before_activation(frozen, x.clone(), "8"), maps_at(frozen, x.clone(), ["7"])["7"])
        torch.testing.assert_close(before_activation(frozen, x.clone(), "6"), maps_at(frozen, x.clone(), ["6"])["6"])
    mobile, x = build_model("mobilenet_v2"), noise(1, 32)
    for layer, name in (("stem", "stem.0.norm"), ("stage2", "stage2"), ("head.conv", "head.conv.norm")):
        with untouched(mobile) as frozen, torch.no_grad():
            torch.testing.assert_close(before_activation(frozen, x, layer), maps_at(frozen, x, [name])[name])


def test_targets() -> None:
    logits = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert target_logits(logits, torch.tensor([1, 0])).tolist() == [2, 3]
    for wrong in ([0, 2], [-1, 0], [0], [[0, 1]]):
        with pytest.raises(OptionError, match="targets are 2 class numbers from 0 to 1"):
            target_logits(logits, torch.tensor(wrong))
    with pytest.raises(OptionError, match=r"logits \(n, classes\), not \(2, 3, 4, 4\)"):
        target_logits(torch.zeros(2, 3, 4, 4), torch.tensor([0, 0]))
    with pytest.raises(OptionError, match="not tuple"):
        target_logits((logits,), torch.tensor([0, 0]))
