"""MobileNet, three generations.

V1: Howard et al. 2017, arXiv:1704.04861, Table 1: depthwise separable convolutions.
V2: Sandler et al. 2018, arXiv:1801.04381, Table 2: inverted residuals with linear bottlenecks.
V3: Howard et al. 2019, arXiv:1905.02244, Tables 1 and 2: squeeze-and-excite, hard-swish, a cheaper head.

`width` is the width multiplier (alpha) of each paper; the resolution multiplier (rho) is the size of the input.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from hubel.models.variant import InputShape, Published, Rounded, Variant, computed, library, paper
from hubel.nn.blocks import ConvNorm, Inverted, InvertedResidual, Style, pooled_head
from hubel.nn.dilation import keep_stride
from hubel.nn.layers import activation, check_choice, check_positive, check_share, he_initialise, round_channels
from hubel.nn.network import Network


@dataclass(frozen=True)
class MobileNetLayout:
    """Generation, width multiplier, and other options."""

    generation: str = "v1"  # v1, v2, v3_large or v3_small
    width: float = 1.0  # multiplier of all maps
    activation: str = "relu"  # of V1: relu (the paper) or relu6 (the authors' TensorFlow model)
    dropout: float = 0.2  # probability, before the last linear layer
    norm_eps: float = 1e-5
    same_padding: bool = False  # pad as TensorFlow does
    output_stride: int = 32


class DepthwiseSeparable(nn.Sequential):
    """A depthwise 3x3 convolution, then a 1x1 one: between 8 and 9 times fewer multiply-adds (V1, Section 3.1)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, style: Style) -> None:
        super().__init__()
        self.depthwise = ConvNorm(in_channels, in_channels, 3, stride, groups=in_channels, style=style)
        self.pointwise = ConvNorm(in_channels, out_channels, 1, style=style)


class BottleneckRow(NamedTuple):
    """A row of Table 2 of V2: expansion t, maps c, repeats n, stride s."""

    t: int
    c: int
    n: int
    s: int


class BneckRow(NamedTuple):
    """A row of Tables 1 and 2 of V3."""

    kernel: int
    expanded: int
    out: int
    excite: bool
    act: str
    stride: int


# Each stage keeps one resolution; V1's rows are maps and stride.
_V1 = (
    ((64, 1),),
    ((128, 2), (128, 1)),
    ((256, 2), (256, 1)),
    ((512, 2), *[(512, 1)] * 5),
    ((1024, 2), (1024, 1)),
)
_V2 = (
    (BottleneckRow(1, 16, 1, 1),),
    (BottleneckRow(6, 24, 2, 2),),
    (BottleneckRow(6, 32, 3, 2),),
    (BottleneckRow(6, 64, 4, 2), BottleneckRow(6, 96, 3, 1)),
    (BottleneckRow(6, 160, 3, 2), BottleneckRow(6, 320, 1, 1)),
)
_RE, _HS = "relu", "hardswish"
_V3 = {
    "v3_large": (
        (BneckRow(3, 16, 16, False, _RE, 1),),
        (BneckRow(3, 64, 24, False, _RE, 2), BneckRow(3, 72, 24, False, _RE, 1)),
        (BneckRow(5, 72, 40, True, _RE, 2), *[BneckRow(5, 120, 40, True, _RE, 1)] * 2),
        (
            BneckRow(3, 240, 80, False, _HS, 2),
            BneckRow(3, 200, 80, False, _HS, 1),
            *[BneckRow(3, 184, 80, False, _HS, 1)] * 2,
            BneckRow(3, 480, 112, True, _HS, 1),
            BneckRow(3, 672, 112, True, _HS, 1),
        ),
        (BneckRow(5, 672, 160, True, _HS, 2), *[BneckRow(5, 960, 160, True, _HS, 1)] * 2),
    ),
    "v3_small": (
        (BneckRow(3, 16, 16, True, _RE, 2),),
        (BneckRow(3, 72, 24, False, _RE, 2), BneckRow(3, 88, 24, False, _RE, 1)),
        (
            BneckRow(5, 96, 40, True, _HS, 2),
            *[BneckRow(5, 240, 40, True, _HS, 1)] * 2,
            BneckRow(5, 120, 48, True, _HS, 1),
            BneckRow(5, 144, 48, True, _HS, 1),
        ),
        (BneckRow(5, 288, 96, True, _HS, 2), *[BneckRow(5, 576, 96, True, _HS, 1)] * 2),
    ),
}
_V3_HEAD = {"v3_large": (960, 1280), "v3_small": (576, 1024)}


def build(layout: MobileNetLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout; He initialisation."""
    check_choice("generation", layout.generation, _BUILDERS)
    check_choice("activation", layout.activation, ("relu", "relu6"))
    check_positive(width=layout.width, norm_eps=layout.norm_eps)
    check_share(dropout=layout.dropout)
    network = _BUILDERS[layout.generation](layout, shape, num_classes)
    he_initialise(network)
    keep_stride(network, layout.output_stride)
    return network


def _v1(layout: MobileNetLayout, shape: InputShape, num_classes: int) -> Network:
    style = Style(layout.activation, norm_eps=layout.norm_eps, same_padding=layout.same_padding)
    channels = round_channels(32 * layout.width)
    stem = nn.Sequential(ConvNorm(shape.channels, channels, 3, 2, style=style))
    stages = []
    for rows in _V1:
        blocks = []
        for maps, stride in rows:
            out = round_channels(maps * layout.width)
            blocks.append(DepthwiseSeparable(channels, out, stride, style))
            channels = out
        stages.append(nn.Sequential(*blocks))
    return Network(stem, stages, pooled_head(channels, num_classes, layout.dropout))


def _v2(layout: MobileNetLayout, shape: InputShape, num_classes: int) -> Network:
    style = Style("relu6", norm_eps=layout.norm_eps, same_padding=layout.same_padding)
    channels = round_channels(32 * layout.width)
    stem = nn.Sequential(ConvNorm(shape.channels, channels, 3, 2, style=style))
    stages = []
    for stage in _V2:
        blocks = []
        for row in stage:
            out = round_channels(row.c * layout.width)
            for unit in range(row.n):
                plan = Inverted(3, row.s if unit == 0 else 1, row.t * channels, out)
                blocks.append(InvertedResidual(channels, plan, style))
                channels = out
        stages.append(nn.Sequential(*blocks))
    # A multiplier below one does not apply to the last convolution (Section 4, last paragraph).
    last = round_channels(1280 * max(1.0, layout.width))
    conv = ConvNorm(channels, last, 1, style=style)
    return Network(stem, stages, pooled_head(last, num_classes, layout.dropout, [("conv", conv)]))


def _v3(layout: MobileNetLayout, shape: InputShape, num_classes: int) -> Network:
    def style(act: str) -> Style:
        return Style(act, norm_eps=layout.norm_eps, same_padding=layout.same_padding)

    channels = round_channels(16 * layout.width)
    stem = nn.Sequential(ConvNorm(shape.channels, channels, 3, 2, style=style(_HS)))
    stages = []
    for rows in _V3[layout.generation]:
        blocks = []
        for row in rows:
            expanded, out = round_channels(row.expanded * layout.width), round_channels(row.out * layout.width)
            squeezed = round_channels(expanded / 4) if row.excite else 0
            plan = Inverted(row.kernel, row.stride, expanded, out, squeezed, gate="hardsigmoid")
            blocks.append(InvertedResidual(channels, plan, style(row.act)))
            channels = out
        stages.append(nn.Sequential(*blocks))
    pooled, hidden = (round_channels(units * layout.width) for units in _V3_HEAD[layout.generation])
    # Pooling comes before the last hidden layer, which so is not computed per pixel (Section 5.1, Figure 5).
    head = OrderedDict(
        conv=ConvNorm(channels, pooled, 1, style=style(_HS)),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        hidden=nn.Linear(pooled, hidden),
        act=activation(_HS),
        dropout=nn.Dropout(layout.dropout),
        linear=nn.Linear(hidden, num_classes),
    )
    return Network(stem, stages, nn.Sequential(head))


_BUILDERS = {"v1": _v1, "v2": _v2, "v3_large": _v3, "v3_small": _v3}


def _maps(*channels: int) -> dict[str, tuple[int, ...]]:
    """Return the maps of a stem of 112x112 pixels and stages down to 7x7."""
    sides = [112, *(7 * 2**i for i in reversed(range(len(channels) - 1)))]
    names = ["stem", *(f"stage{number}" for number in range(1, len(channels)))]
    return {name: (c, side, side) for name, c, side in zip(names, channels, sides, strict=True)}


def _variant(layout: MobileNetLayout, summary: str, published: Published) -> Variant:
    return Variant(layout, summary, InputShape(3, 224, 224), 1000, published)


_V1_TABLE_6, _V2_TABLE_4, _V3_TABLE_3 = "Howard 2017, Table 6", "Sandler 2018, Table 4", "Howard 2019, Table 3"
_PEERS_TOO = "torchvision's and timm's networks have as many as ours"

VARIANTS = {
    "mobilenet_v1": _variant(
        MobileNetLayout(dropout=0.0),
        "MobileNet: depthwise separable convolutions",
        paper("Howard 2017, Table 1", maps=_maps(32, 64, 128, 256, 512, 1024))
        + paper(_V1_TABLE_6, params=Rounded(4.2e6, 2), macs=Rounded(569e6, 3))
        + library("timm", params=4_231_976, macs=568_740_352),
    ),
    "mobilenet_v1_075": _variant(
        MobileNetLayout(width=0.75, dropout=0.0),
        "MobileNet, width 0.75",
        paper(_V1_TABLE_6, params=Rounded(2.6e6, 2), macs=Rounded(325e6, 3))
        + computed("Table 1", params=2_585_560, macs=325_400_448, maps=_maps(24, 48, 96, 192, 384, 768)),
    ),
    "mobilenet_v1_050": _variant(
        MobileNetLayout(width=0.5, dropout=0.0),
        "MobileNet, width 0.5",
        paper(_V1_TABLE_6, params=Rounded(1.3e6, 2), macs=Rounded(149e6, 3))
        + computed("Table 1", params=1_331_592, macs=149_497_088, maps=_maps(16, 32, 64, 128, 256, 512)),
    ),
    "mobilenet_v1_025": _variant(
        MobileNetLayout(width=0.25, dropout=0.0),
        "MobileNet, width 0.25",
        paper(_V1_TABLE_6, params=Rounded(0.5e6, 1), macs=Rounded(41e6, 2))
        + computed("Table 1", params=470_072, macs=41_030_272, maps=_maps(8, 16, 32, 64, 128, 256)),
    ),
    "mobilenet_v2": _variant(
        MobileNetLayout("v2"),
        "MobileNetV2: inverted residuals, linear bottlenecks",
        paper("Sandler 2018, Table 2", maps=_maps(32, 16, 24, 32, 96, 320))
        + paper(_V2_TABLE_4, params=Rounded(3.4e6, 2, _PEERS_TOO), macs=Rounded(300e6, 2))
        + library("torchvision", params=3_504_872, macs=300_774_272),
    ),
    "mobilenet_v2_140": _variant(
        MobileNetLayout("v2", 1.4),
        "MobileNetV2, width 1.4",
        paper(
            _V2_TABLE_4,
            params=Rounded(6.9e6, 2, "timm's network has 6.1 million, as ours"),
            macs=Rounded(585e6, 3, "timm's network has 582 million, as ours"),
        )
        + library("timm", params=6_108_776, macs=582_195_824, maps=_maps(48, 24, 32, 48, 136, 448)),
    ),
    "mobilenet_v3_large": _variant(
        MobileNetLayout("v3_large", norm_eps=1e-3),
        "MobileNetV3: squeeze-and-excite, hard-swish",
        paper("Howard 2019, Table 1", maps=_maps(16, 16, 24, 40, 112, 160))
        + paper(_V3_TABLE_3, params=Rounded(5.4e6, 2, _PEERS_TOO), macs=Rounded(219e6, 3, _PEERS_TOO))
        + library("torchvision", params=5_483_032, macs=216_589_760),
    ),
    "mobilenet_v3_small": _variant(
        MobileNetLayout("v3_small", norm_eps=1e-3),
        "MobileNetV3, the small one",
        paper("Howard 2019, Table 2", maps=_maps(16, 16, 24, 48, 96))
        + paper(_V3_TABLE_3, params=Rounded(2.5e6, 2), macs=Rounded(56e6, 2, "56.5 million, which the paper cuts off"))
        + library("torchvision", params=2_542_856, macs=56_510_400),
    ),
}
