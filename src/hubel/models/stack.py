"""A network that is a table of layers, in TOML or JSON; see `hubel.models.stack_table` and `stack_cost`.

The table is an option of the network, so that a model file holds all of it. The size of the image changes where a
stage ends; what follows the last map is the head. Weights are drawn as He et al. 2015 do (arXiv:1502.01852, Eq. 10);
the last layer of a residual branch without batch norm starts at zero, so that the block is the identity at first
(Zhang, Dauphin & Ma 2019, "Fixup initialization", arXiv:1901.09321, Section 3).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hubel.models.stack_cost import LayerCost, measure_stack, padding_of
from hubel.models.stack_table import StackTable, read_stack
from hubel.models.variant import InputShape, Variant, computed
from hubel.nn.layers import activation, he_initialise
from hubel.nn.network import Network

_CLASSIFIER = (
    '[{"kind": "conv", "filters": 16}, {"kind": "batch_norm"}, {"kind": "relu"}, {"kind": "pool"}, '
    '{"kind": "conv", "filters": 32}, {"kind": "batch_norm"}, {"kind": "relu"}, {"kind": "global_average_pool"}, '
    '{"kind": "dense"}]'
)
_AUTOENCODER = (
    '[{"kind": "conv", "filters": 16}, {"kind": "relu"}, {"kind": "pool"}, {"kind": "conv", "filters": 8}, '
    '{"kind": "relu"}, {"kind": "pool"}, {"kind": "conv", "filters": 4}, {"kind": "relu"}, '
    '{"kind": "transposed_conv", "filters": 8}, {"kind": "relu"}, {"kind": "transposed_conv", "filters": 16}, '
    '{"kind": "relu"}, {"kind": "conv"}]'
)


@dataclass(frozen=True)
class StackLayout:
    """The text of the table."""

    layers: str = _CLASSIFIER  # table of layers, TOML or JSON; --model net.toml reads it from a file


@dataclass(frozen=True)
class StackAutoencoderLayout:
    """The text of the table of a network that gives an image."""

    layers: str = _AUTOENCODER  # table of layers, TOML or JSON


class Added(nn.Module):
    """residual(x) + shortcut(x)."""

    def __init__(self, residual: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.residual, self.shortcut = residual, shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Add both."""
        # Of the same input: a rectifier that works in place would change it for the other.
        added: Tensor = self.residual(x) + self.shortcut(x)
        return added


class Concat(nn.Module):
    """The channels of all branches, one behind the other."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Join the branches' maps `(n, c, h, w)`, or vectors `(n, c)`."""
        return torch.cat([branch(x) for branch in self.branches], 1)


def build(layout: StackLayout | StackAutoencoderLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout."""
    output = "vector" if isinstance(layout, StackLayout) else "image"
    table = read_stack(layout.layers)
    costs = measure_stack(table, shape, classes=num_classes, output=output)
    stages, head = _sections(costs)
    network = Network(nn.Identity(), stages, head)
    kinds = {layer.kind for layer in _all_layers(table)}
    he_initialise(network, "sigmoid" if "sigmoid" in kinds and "relu" not in kinds else "relu")
    for block in network.modules():
        if isinstance(block, Added):
            _start_as_identity(block)
    return network


def _all_layers(table: StackTable) -> list[Any]:
    found = list(table.layers)
    for layer in found:
        found += [inner for branch in layer.branches for inner in branch]
    return found


def _sections(costs: Sequence[LayerCost]) -> tuple[list[nn.Sequential], nn.Sequential]:
    """Return the stages, each of which ends where the size changes, and the head, behind the last map.

    Where the output is a map itself, the last layer is the head.
    """
    behind = next((i for i, cost in enumerate(costs) if len(cost.after) == 1), len(costs) - 1)
    stages: list[nn.Sequential] = []
    part: OrderedDict[str, nn.Module] = OrderedDict()
    for cost in costs[:behind]:
        part[cost.layer.key] = _module(cost)
        if cost.after[1:] != cost.before[1:]:
            stages.append(nn.Sequential(part))
            part = OrderedDict()
    if part:
        stages.append(nn.Sequential(part))
    return stages, nn.Sequential(OrderedDict((cost.layer.key, _module(cost)) for cost in costs[behind:]))


def _module(cost: LayerCost) -> nn.Module:
    return _MODULES[cost.layer.kind](cost)


def _branch(costs: Sequence[LayerCost]) -> nn.Module:
    return nn.Sequential(OrderedDict((cost.layer.key, _module(cost)) for cost in costs)) if costs else nn.Identity()


def _conv(cost: LayerCost) -> nn.Module:
    s = cost.layer.settings
    return nn.Conv2d(
        cost.before[0],
        cost.after[0],
        s["kernel"],
        s["stride"],
        padding_of(cost.layer),
        s["dilation"],
        s["groups"],
        bias=s["bias"],
    )


def _pool(cost: LayerCost) -> nn.Module:
    s = cost.layer.settings
    kind = nn.MaxPool2d if s["mode"] == "max" else _average_pool
    return kind(s["kernel"], s["stride"], padding_of(cost.layer), ceil_mode=s["round_up"])


def _average_pool(kernel: Any, stride: Any, padding: Any, *, ceil_mode: bool) -> nn.Module:
    return nn.AvgPool2d(kernel, stride, padding, ceil_mode, count_include_pad=False)


def _transposed_conv(cost: LayerCost) -> nn.Module:
    s = cost.layer.settings
    return nn.ConvTranspose2d(
        cost.before[0], cost.after[0], s["kernel"], s["stride"], s["padding"], s["extra"], bias=s["bias"]
    )


def _batch_norm(cost: LayerCost) -> nn.Module:
    return (nn.BatchNorm2d if len(cost.before) == 3 else nn.BatchNorm1d)(cost.before[0])


def _residual(cost: LayerCost) -> nn.Module:
    return Added(_branch(cost.within[0]), _branch(cost.within[1]) if len(cost.within) > 1 else nn.Identity())


def _upsample(cost: LayerCost) -> nn.Module:
    return nn.Upsample(scale_factor=cost.layer.settings["factor"], mode=cost.layer.settings["mode"])


_MODULES: dict[str, Callable[[LayerCost], nn.Module]] = {
    "conv": _conv,
    "pool": _pool,
    "relu": lambda _: nn.ReLU(),
    "tanh": lambda _: activation("tanh"),
    "sigmoid": lambda _: activation("sigmoid"),
    "flatten": lambda _: nn.Flatten(),
    "dense": lambda cost: nn.Linear(cost.before[0], cost.after[0], bias=cost.layer.settings["bias"]),
    "dropout": lambda cost: nn.Dropout(cost.layer.settings["share"]),
    "batch_norm": _batch_norm,
    "global_average_pool": lambda _: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "residual": _residual,
    "concat": lambda cost: Concat([_branch(within) for within in cost.within]),
    "upsample": _upsample,
    "transposed_conv": _transposed_conv,
}


@torch.no_grad()
def _start_as_identity(block: Added) -> None:
    """Set the last layer of a residual branch to zero, unless a batch norm keeps its scale."""
    if any(isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d) for layer in block.residual.modules()):
        return
    weighted = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    layers = [layer for layer in block.residual.modules() if isinstance(layer, weighted)]
    if len(layers) > 1 and not layers[-1].weight.is_meta:
        nn.init.zeros_(layers[-1].weight)


VARIANTS = {
    "stack": Variant(
        StackLayout(),
        "a table of layers, TOML or JSON; --model net.toml reads one from a file",
        InputShape(1, 28, 28),
        published=computed("160 + 32 + 4,640 + 64 + 330 parameters", params=5_226, macs=1_016_384),
        smallest=2,
    ),
    "stack_autoencoder": Variant(
        StackAutoencoderLayout(),
        "a table of layers that gives an image, TOML or JSON",
        InputShape(1, 28, 28),
        1,
        published=computed("160 + 1,160 + 292 + 136 + 528 + 145 parameters", params=2_421, macs=572_320),
        smallest=4,
        augment="none",
        output="image",
    ),
}
