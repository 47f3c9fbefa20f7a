"""ConvNeXt. Liu et al. 2022, "A ConvNet for the 2020s", arXiv:2201.03545.

Section 2 and Figure 4: a ResNet in the shape of a Swin transformer: patches as stem, 7x7 depthwise convolutions, an
inverted bottleneck, fewer activations and norms, layer norm in place of batch norm, and layers of their own between the
stages. Table 9: the specification; Section 3.1: the variants.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.models.variant import InputShape, Published, Rounded, Variant, library, paper
from hubel.nn.blocks import DropPath
from hubel.nn.layers import check_depth, check_positive, check_share
from hubel.nn.network import Network

_EPSILON = 1e-6


@dataclass(frozen=True)
class ConvNeXtLayout:
    """Columns of Section 3.1, and the regularisation of Table 5."""

    depths: tuple[int, ...] = (3, 3, 9, 3)  # B: blocks of each stage
    widths: tuple[int, ...] = (96, 192, 384, 768)  # C: maps of each stage
    scale: float = 1e-6  # of each block's output at the start (layer scale, Touvron et al. 2021, arXiv:2103.17239)
    drop_path: float = 0.0  # probability that the last block is dropped; it grows from 0 in proportion to the depth
    head_bias: bool = True  # of the last linear layer


class MapNorm(nn.LayerNorm):
    """Layer norm over the channels of each place of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to the same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """x + scale * F(x), F = 7x7 depthwise -> norm -> 1x1 with four times the width -> GELU -> 1x1 (Figure 4, right)."""

    def __init__(self, width: int, scale: float, drop_path: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = MapNorm(width)
        self.expand, self.act, self.reduce = nn.Conv2d(width, 4 * width, 1), nn.GELU(), nn.Conv2d(4 * width, width, 1)
        self.scale = nn.Parameter(torch.full((width, 1, 1), scale))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to the same shape."""
        y = self.reduce(self.act(self.expand(self.norm(self.depthwise(x)))))
        dropped: Tensor = self.drop_path(y * self.scale)
        return x + dropped


def build(layout: ConvNeXtLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout; weights from N(0, 0.02²), cut off, and zero biases, as in the authors' code."""
    check_positive(depths=layout.depths, widths=layout.widths, scale=layout.scale)
    check_share(drop_path=layout.drop_path)
    check_depth(layout.depths)
    if len(layout.depths) != len(layout.widths):
        raise OptionError(f"depths {layout.depths} and widths {layout.widths} are one number for each stage")
    channels = layout.widths[0]
    stem = nn.Sequential(OrderedDict(conv=nn.Conv2d(shape.channels, channels, 4, 4), norm=MapNorm(channels)))
    rates = torch.linspace(0, layout.drop_path, sum(layout.depths), device="cpu").tolist()
    stages = []
    for number, (depth, width) in enumerate(zip(layout.depths, layout.widths, strict=True)):
        blocks: list[nn.Module] = []
        if number > 0:
            down = OrderedDict(norm=MapNorm(channels), conv=nn.Conv2d(channels, width, 2, 2))
            blocks.append(nn.Sequential(down))
        done = sum(layout.depths[:number])
        blocks += [Block(width, layout.scale, rate) for rate in rates[done : done + depth]]
        stages.append(nn.Sequential(*blocks))
        channels = width
    head = OrderedDict(
        pool=nn.AdaptiveAvgPool2d(1),
        norm=MapNorm(channels),
        flatten=nn.Flatten(),
        linear=nn.Linear(channels, num_classes, bias=layout.head_bias),
    )
    network = Network(stem, stages, nn.Sequential(head))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and not layer.weight.is_meta:
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def _variant(name: str, widths: tuple[int, ...], depths: tuple[int, ...], published: Published) -> Variant:
    return Variant(
        ConvNeXtLayout(depths, widths), f"ConvNeXt-{name}", InputShape(3, 224, 224), 1000, published, smallest=32
    )


VARIANTS = {
    "convnext_tiny": _variant(
        "T",
        (96, 192, 384, 768),
        (3, 3, 9, 3),
        paper(
            "Liu 2022, Table 9",
            maps={
                "stem": (96, 56, 56),
                "stage1": (96, 56, 56),
                "stage2": (192, 28, 28),
                "stage3": (384, 14, 14),
                "stage4": (768, 7, 7),
            },
        )
        + paper("Liu 2022, Table 1", params=Rounded(29e6, 2), macs=Rounded(4.5e9, 2))
        + library("torchvision", params=28_589_128, macs=4_455_531_264),
    ),
    "convnext_small": _variant(
        "S",
        (96, 192, 384, 768),
        (3, 3, 27, 3),
        paper("Liu 2022, Table 1", params=Rounded(50e6, 2), macs=Rounded(8.7e9, 2))
        + library("torchvision", params=50_223_688, macs=8_683_712_256),
    ),
    "convnext_base": _variant(
        "B",
        (128, 256, 512, 1024),
        (3, 3, 27, 3),
        paper("Liu 2022, Table 1", params=Rounded(89e6, 2), macs=Rounded(15.4e9, 3))
        + library("torchvision", params=88_591_464, macs=15_354_729_472),
    ),
    "convnext_large": _variant(
        "L",
        (192, 384, 768, 1536),
        (3, 3, 27, 3),
        paper("Liu 2022, Table 1", params=Rounded(198e6, 3), macs=Rounded(34.4e9, 3))
        + library("torchvision", params=197_767_336, macs=34_361_433_600),
    ),
}
