"""EfficientNet. Tan & Le 2019, "Rethinking model scaling for convolutional neural networks", arXiv:1905.11946.

Table 1 is the baseline, `efficientnet_b0`; the others are made from it by compound scaling (Section 3.3): depth
1.2^phi, width 1.1^phi, resolution 1.15^phi. `_SCALING` has the coefficients with which the authors made the published
networks: these powers, rounded by hand, for phi = 0, 0.5, 1 and 2 in b0 to b3; beyond, the depth is that of a smaller
phi than width and resolution have, so no single one gives them (`tests/models/test_families.py` has each).
Lite: the authors' variant for phones (TensorFlow, 2020): ReLU6, no squeeze-and-excite, stem and head not scaled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from hubel.models.variant import InputShape, Published, Rounded, Variant, library, paper
from hubel.nn.blocks import ConvNorm, Inverted, InvertedResidual, Style, pooled_head
from hubel.nn.dilation import keep_stride
from hubel.nn.layers import check_depth, check_positive, check_share, he_initialise, round_channels
from hubel.nn.network import Network


class MBConvRow(NamedTuple):
    """A row of Table 1: expansion, kernel, stride, output maps and layers of MBConv."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    layers: int


TABLE_1 = (
    MBConvRow(1, 3, 1, 16, 1),
    MBConvRow(6, 3, 2, 24, 2),
    MBConvRow(6, 5, 2, 40, 2),
    MBConvRow(6, 3, 2, 80, 3),
    MBConvRow(6, 5, 1, 112, 3),
    MBConvRow(6, 5, 2, 192, 4),
    MBConvRow(6, 3, 1, 320, 1),
)
STEM, HEAD = 32, 1280


@dataclass(frozen=True)
class EfficientNetLayout:
    """Scaling factors of Table 1, and other options."""

    width: float = 1.0  # factor of all maps
    depth: float = 1.0  # factor of the layers of each row
    lite: bool = False
    dropout: float = 0.2  # probability, before the linear layer
    drop_path: float = 0.2  # probability of dropping the last block; grows linearly from 0 over the blocks
    norm_eps: float = 1e-3
    same_padding: bool = False  # pad as TensorFlow does; needed by weights that were trained there
    output_stride: int = 32


def build(layout: EfficientNetLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout; He initialisation."""
    check_positive(width=layout.width, depth=layout.depth, norm_eps=layout.norm_eps)
    check_share(dropout=layout.dropout, drop_path=layout.drop_path)
    style = Style("relu6" if layout.lite else "silu", norm_eps=layout.norm_eps, same_padding=layout.same_padding)
    repeats = _repeats(layout)
    stem_channels, head_channels = (c if layout.lite else round_channels(c * layout.width) for c in (STEM, HEAD))
    stem = nn.Sequential(ConvNorm(shape.channels, stem_channels, 3, 2, style=style))
    stages, channels, number = [], stem_channels, 0
    for row, layers in zip(TABLE_1, repeats, strict=True):
        blocks = []
        for layer in range(layers):
            out = round_channels(row.channels * layout.width)
            plan = Inverted(
                row.kernel,
                row.stride if layer == 0 else 1,
                row.expansion * channels,
                out,
                squeezed=0 if layout.lite else max(1, channels // 4),
                excite_act="silu",
            )
            blocks.append(InvertedResidual(channels, plan, style, layout.drop_path * number / sum(repeats)))
            channels, number = out, number + 1
        stages.append(nn.Sequential(*blocks))
    conv = ConvNorm(channels, head_channels, 1, style=style)
    network = Network(stem, stages, pooled_head(head_channels, num_classes, layout.dropout, [("conv", conv)]))
    he_initialise(network)
    keep_stride(network, layout.output_stride)
    return network


def _repeats(layout: EfficientNetLayout) -> list[int]:
    """Return the layers of each row, scaled and rounded up; Lite does not scale the first and the last row."""
    repeats = [math.ceil(row.layers * layout.depth) for row in TABLE_1]
    if layout.lite:
        repeats[0], repeats[-1] = TABLE_1[0].layers, TABLE_1[-1].layers
    check_depth(repeats)
    return repeats


class Scaling(NamedTuple):
    """Coefficients of a variant."""

    width: float
    depth: float
    resolution: int
    dropout: float


_SCALING = {
    "b0": Scaling(1.0, 1.0, 224, 0.2),
    "b1": Scaling(1.0, 1.1, 240, 0.2),
    "b2": Scaling(1.1, 1.2, 260, 0.3),
    "b3": Scaling(1.2, 1.4, 300, 0.3),
    "b4": Scaling(1.4, 1.8, 380, 0.4),
    "b5": Scaling(1.6, 2.2, 456, 0.4),
    "b6": Scaling(1.8, 2.6, 528, 0.5),
    "b7": Scaling(2.0, 3.1, 600, 0.5),
    "lite0": Scaling(1.0, 1.0, 224, 0.2),
    "lite1": Scaling(1.0, 1.1, 240, 0.2),
    "lite2": Scaling(1.1, 1.2, 260, 0.3),
    "lite3": Scaling(1.2, 1.4, 280, 0.3),
    "lite4": Scaling(1.4, 1.8, 300, 0.3),
}


class Facts(NamedTuple):
    """Facts of a variant; channels and sides are those of the stem and of each stage."""

    params: int
    macs: int
    channels: tuple[int, ...]
    sides: tuple[int, ...]


_FACTS = {
    "b0": Facts(5_288_548, 385_814_752, (32, 16, 24, 40, 80, 112, 192, 320), (112, 112, 56, 28, 14, 14, 7, 7)),
    "b1": Facts(7_794_184, 686_802_832, (32, 16, 24, 40, 80, 112, 192, 320), (120, 120, 60, 30, 15, 15, 8, 8)),
    "b2": Facts(9_109_994, 993_561_872, (32, 16, 24, 48, 88, 120, 208, 352), (130, 130, 65, 33, 17, 17, 9, 9)),
    "b3": Facts(12_233_232, 1_827_141_392, (40, 24, 32, 48, 96, 136, 232, 384), (150, 150, 75, 38, 19, 19, 10, 10)),
    "b4": Facts(19_341_616, 4_393_771_024, (48, 24, 32, 56, 112, 160, 272, 448), (190, 190, 95, 48, 24, 24, 12, 12)),
    "b5": Facts(30_389_784, 10_266_384_752, (48, 24, 40, 64, 128, 176, 304, 512), (228, 228, 114, 57, 29, 29, 15, 15)),
    "b6": Facts(43_040_704, 19_067_593_536, (56, 32, 40, 72, 144, 200, 344, 576), (264, 264, 132, 66, 33, 33, 17, 17)),
    "b7": Facts(66_347_960, 37_745_884_192, (64, 32, 48, 80, 160, 224, 384, 640), (300, 300, 150, 75, 38, 38, 19, 19)),
    "lite0": Facts(4_652_008, 385_187_552, (32, 16, 24, 40, 80, 112, 192, 320), (112, 112, 56, 28, 14, 14, 7, 7)),
    "lite1": Facts(5_416_680, 600_185_232, (32, 16, 24, 40, 80, 112, 192, 320), (120, 120, 60, 30, 15, 15, 8, 8)),
    "lite2": Facts(6_092_072, 859_736_272, (32, 16, 24, 48, 88, 120, 208, 352), (130, 130, 65, 33, 17, 17, 9, 9)),
    "lite3": Facts(8_197_096, 1_383_321_872, (32, 24, 32, 48, 96, 136, 232, 384), (140, 140, 70, 35, 18, 18, 9, 9)),
    "lite4": Facts(13_006_568, 2_553_034_336, (32, 24, 32, 56, 112, 160, 272, 448), (150, 150, 75, 38, 19, 19, 10, 10)),
}
_OTHERS_TOO = "torchvision's network has as many as ours"
_TABLE_2 = {  # parameters and multiply-adds, rounded to two digits
    "b0": (Rounded(5.3e6, 2), Rounded(0.39e9, 2)),
    "b1": (Rounded(7.8e6, 2), Rounded(0.70e9, 2, _OTHERS_TOO)),
    "b2": (Rounded(9.2e6, 2, _OTHERS_TOO), Rounded(1.0e9, 2)),
    "b3": (Rounded(12e6, 2), Rounded(1.8e9, 2)),
    "b4": (Rounded(19e6, 2), Rounded(4.2e9, 2, _OTHERS_TOO)),
    "b5": (Rounded(30e6, 2), Rounded(9.9e9, 2, _OTHERS_TOO)),
    "b6": (Rounded(43e6, 2), Rounded(19e9, 2)),
    "b7": (Rounded(66e6, 2), Rounded(37e9, 2, _OTHERS_TOO)),
}


def _published(name: str) -> Published:
    facts = _FACTS[name]
    maps = {
        f"stage{number}" if number else "stem": (channels, side, side)
        for number, (channels, side) in enumerate(zip(facts.channels, facts.sides, strict=True))
    }
    if name not in _TABLE_2:
        return library("timm", params=facts.params, macs=facts.macs, maps=maps)
    params, macs = _TABLE_2[name]
    shapes = paper("Tan 2019, Table 1", maps=maps) if name == "b0" else library("torchvision", maps=maps)
    exact = library("torchvision", params=facts.params, macs=facts.macs)
    return shapes + paper("Tan 2019, Table 2", params=params, macs=macs) + exact


def _variant(name: str, scaling: Scaling) -> Variant:
    lite = name.startswith("lite")
    return Variant(
        EfficientNetLayout(scaling.width, scaling.depth, lite, scaling.dropout),
        f"EfficientNet-{name.capitalize()}" + (": ReLU6, no squeeze-and-excite" if lite else ": compound scaling"),
        InputShape(3, scaling.resolution, scaling.resolution),
        1000,
        _published(name),
    )


VARIANTS = {f"efficientnet_{name}": _variant(name, scaling) for name, scaling in _SCALING.items()}
