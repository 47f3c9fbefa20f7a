"""A folded network is the same function, and the network that it was made from is as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import hubel
from hubel.inference.fold import folded

# A network of each family that has batch norms: side of its input in pixels, and the batch norms that stay.
FAMILIES = {
    "convnet": (16, 0),
    "resnet20": (16, 0),
    "resnet18": (32, 0),
    "densenet_bc_100": (16, 99),  # two in each layer, whose order only its code knows, two transitions, the last
    "efficientnet_lite0": (32, 0),
    "efficientnet_b0": (32, 0),
    "mobilenet_v1_025": (32, 0),
    "mobilenet_v2": (32, 0),
    "mobilenet_v3_small": (32, 0),
    "googlenet_bn_tv": (32, 0),
    "vgg11_bn": (32, 0),
}
NORMS = nn.BatchNorm2d | nn.BatchNorm1d


def awake(network: nn.Module) -> nn.Module:
    """The network, with batch norms whose four numbers all matter."""
    for module in network.modules():
        if isinstance(module, NORMS):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return network


def outputs(network: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(x)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_folded_network_is_the_same_function(name: str) -> None:
    torch.manual_seed(0)
    side, left = FAMILIES[name]
    # VGG's hidden layers take seconds to draw, and have nothing to fold.
    options = {"dense": "16"} if name == "vgg11_bn" else {}
    channels = 1 if name == "convnet" else 3
    network = hubel.create_model(
        name, num_classes=5, in_channels=channels, input_size=(side, side), options=options or None
    )
    network = awake(network).train()
    x = torch.randn(2, channels, side, side)
    quick = folded(network)
    assert sum(isinstance(module, NORMS) for module in quick.modules()) == left
    expected, found = outputs(network.eval(), x), outputs(quick, x)
    assert expected.std() > 0
    # Parts of 1e-4 of what differs between the outputs.
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * max(1.0, float(expected.abs().max())))


def test_the_network_stays_as_it_was() -> None:
    torch.manual_seed(0)
    network = awake(hubel.create_model("resnet20", num_classes=5)).train()
    network.get_submodule("stem").eval()
    network.head.requires_grad_(requires_grad=False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    kinds = [type(module) for module in network.modules()]
    wanting = [parameter.requires_grad for parameter in network.parameters()]
    quick = folded(network)
    assert not any(module.training for module in quick.modules() if not isinstance(module, nn.Identity))
    with torch.no_grad():
        for parameter in quick.parameters():
            parameter.zero_()
    assert [module.training for module in network.modules()] == modes
    assert [type(module) for module in network.modules()] == kinds
    assert [parameter.requires_grad for parameter in network.parameters()] == wanting
    assert not any(module._forward_hooks for module in network.modules())
    assert list(before) == list(network.state_dict())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_norms_that_follow_nothing_foldable_stay() -> None:
    torch.manual_seed(0)
    first = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
    network = awake(nn.Sequential(first, nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)))
    quick, x = folded(network), torch.randn(2, 3, 6, 6)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in quick.modules()) == 4
    torch.testing.assert_close(outputs(quick, x), outputs(network.eval(), x), rtol=0, atol=1e-5)


def test_norms_of_features_and_of_grouped_convolutions() -> None:
    torch.manual_seed(0)
    network = awake(
        nn.Sequential(
            nn.Conv2d(4, 8, 3, 2, 1, groups=4, bias=False), nn.BatchNorm2d(8, eps=1e-3), nn.Flatten(),
            nn.Linear(72, 6, bias=False), nn.BatchNorm1d(6), nn.Linear(6, 5), nn.BatchNorm1d(5, eps=0.1),
        )
    )  # fmt: skip
    quick, x = folded(network), torch.randn(3, 4, 6, 6)
    assert not any(isinstance(module, NORMS) for module in quick.modules())
    torch.testing.assert_close(outputs(quick, x), outputs(network.eval(), x), rtol=0, atol=1e-5)


def test_containers_that_do_not_say_in_which_order_they_act() -> None:
    class Backwards(nn.Module):
        """Norm first, although it is named second."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.norm(x))

    torch.manual_seed(0)
    network, x = awake(Backwards()), torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(outputs(folded(network), x), outputs(network.eval(), x), rtol=0, atol=1e-6)
