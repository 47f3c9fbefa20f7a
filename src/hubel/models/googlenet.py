"""GoogLeNet. Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842. Table 1; the module: Figure 2(b).

`googlenet` is the paper's: no batch norm, response normalisation as AlexNet has it, real 5x5 convolutions, and two
auxiliary classifiers (Section 5) whose losses have a weight of 0.3 in training; a prediction never computes them.
Deviation: `googlenet_bn_tv` is torchvision's, a port of a TensorFlow model: batch norm, no response normalisation, 3x3
convolutions where the paper has 5x5, other poolings before module 5a and in the auxiliary classifiers.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.models.variant import InputShape, Rounded, Variant, computed, library, paper
from hubel.nn.blocks import ConvNorm, Style, pooled_head
from hubel.nn.layers import check_share, he_initialise, response_norm
from hubel.nn.network import Network


class InceptionRow(NamedTuple):
    """A module of Table 1: maps of its six convolutions."""

    conv1: int
    reduce3: int
    conv3: int
    reduce5: int
    conv5: int
    pool_proj: int

    @property
    def out_channels(self) -> int:
        """Output maps of the module."""
        return self.conv1 + self.conv3 + self.conv5 + self.pool_proj


_TABLE_1 = (
    (InceptionRow(64, 96, 128, 16, 32, 32), InceptionRow(128, 128, 192, 32, 96, 64)),
    (
        InceptionRow(192, 96, 208, 16, 48, 64),
        InceptionRow(160, 112, 224, 24, 64, 64),
        InceptionRow(128, 128, 256, 24, 64, 64),
        InceptionRow(112, 144, 288, 32, 64, 64),
        InceptionRow(256, 160, 320, 32, 128, 128),
    ),
    (InceptionRow(256, 160, 320, 32, 128, 128), InceptionRow(384, 192, 384, 48, 128, 128)),
)
# Input maps of the auxiliary classifiers: those of modules 4a and 4d (a pooling is the stage's first block).
_AUXILIARY_INPUTS = {"stage2.block2": 512, "stage2.block5": 528}


@dataclass(frozen=True)
class GoogLeNetLayout:
    """Differences between the paper and the port."""

    batch_norm: bool = False  # otherwise response normalisation around the second and third convolution
    large_kernel: int = 5  # of the branch that the paper calls 5x5
    last_pool: int = 3  # kernel of the max pooling before modules 5a and 5b
    auxiliary: bool = True
    auxiliary_dropout: float = 0.7  # probability, within the auxiliary classifiers
    dropout: float = 0.4  # probability, before the linear layer


class Inception(nn.Module):
    """Four parallel branches: 1x1, 3x3, 5x5, and pooling; their maps are concatenated (Figure 2(b))."""

    def __init__(self, in_channels: int, row: InceptionRow, large_kernel: int, style: Style) -> None:
        super().__init__()
        self.branch1 = ConvNorm(in_channels, row.conv1, 1, style=style)
        self.branch3 = nn.Sequential(
            ConvNorm(in_channels, row.reduce3, 1, style=style), ConvNorm(row.reduce3, row.conv3, 3, style=style)
        )
        self.branch5 = nn.Sequential(
            ConvNorm(in_channels, row.reduce5, 1, style=style),
            ConvNorm(row.reduce5, row.conv5, large_kernel, style=style),
        )
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), ConvNorm(in_channels, row.pool_proj, 1, style=style))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, in, h, w)` to `(n, out, h, w)`."""
        return torch.cat([self.branch1(x), self.branch3(x), self.branch5(x), self.pool(x)], 1)


def _auxiliary_head(in_channels: int, num_classes: int, layout: GoogLeNetLayout, style: Style) -> nn.Sequential:
    """Build average pooling to 4x4, 1x1 convolution with 128 maps, 1,024 units, dropout, classes (Section 5)."""
    # On maps of 14x14 the paper's pooling, 5x5 of stride 3, gives 4x4; for other sizes adaptive pooling follows.
    pool = [] if layout.batch_norm else [nn.AvgPool2d(5, 3, ceil_mode=True)]
    return nn.Sequential(
        OrderedDict(
            pool=nn.Sequential(*pool, nn.AdaptiveAvgPool2d(4)),
            conv=ConvNorm(in_channels, 128, 1, style=style),
            flatten=nn.Flatten(),
            fc=nn.Linear(128 * 4 * 4, 1024),
            act=nn.ReLU(inplace=True),
            dropout=nn.Dropout(layout.auxiliary_dropout),
            linear=nn.Linear(1024, num_classes),
        )
    )


def build(layout: GoogLeNetLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout."""
    check_share(dropout=layout.dropout, auxiliary_dropout=layout.auxiliary_dropout)
    if layout.large_kernel not in (3, 5, 7) or layout.last_pool not in (2, 3):
        raise OptionError(
            f"large_kernel is 3, 5 or 7, and last_pool 2 or 3, not {layout.large_kernel} and {layout.last_pool}"
        )
    style = Style("relu", norm=layout.batch_norm, norm_eps=1e-3)

    def pool(window: int = 3) -> nn.Module:
        return nn.MaxPool2d(window, 2, ceil_mode=True)

    def norm() -> list[nn.Module]:
        return [] if layout.batch_norm else [response_norm()]

    stem = nn.Sequential(
        ConvNorm(shape.channels, 64, 7, 2, style=style),
        nn.Sequential(pool(), *norm()),
        ConvNorm(64, 64, 1, style=style),
        nn.Sequential(ConvNorm(64, 192, 3, style=style), *norm()),
    )
    stages, channels = [], 192
    for rows in _TABLE_1:
        blocks = [pool(layout.last_pool if rows is _TABLE_1[-1] else 3)]
        for row in rows:
            blocks.append(Inception(channels, row, layout.large_kernel, style))
            channels = row.out_channels
        stages.append(nn.Sequential(*blocks))
    auxiliary = {name: _auxiliary_head(c, num_classes, layout, style) for name, c in _AUXILIARY_INPUTS.items()}
    head = pooled_head(channels, num_classes, layout.dropout)
    network = Network(stem, stages, head, auxiliary if layout.auxiliary else {}, auxiliary_weight=0.3)
    he_initialise(network)
    return network


_FIRST_CONVOLUTION = "Table 1 gives the first convolution 34 million, but 112 x 112 x 64 x 3 x 7 x 7 is 118 million"
_MAPS = {
    "stem.block1": (64, 112, 112),
    "stem.block2": (64, 56, 56),
    "stem": (192, 56, 56),
    "stage1.block2": (256, 28, 28),
    "stage1": (480, 28, 28),
    "stage2.block2": (512, 14, 14),
    "stage2.block5": (528, 14, 14),
    "stage2": (832, 14, 14),
    "stage3.block2": (832, 7, 7),
    "stage3": (1024, 7, 7),
}

VARIANTS = {
    "googlenet": Variant(
        GoogLeNetLayout(),
        "GoogLeNet as in the paper: Inception modules, two auxiliary classifiers",
        InputShape(3, 224, 224),
        1000,
        paper("Szegedy 2014, Table 1", maps=_MAPS)
        + paper("Szegedy 2014, Section 1", macs=Rounded(1.5e9, 2, _FIRST_CONVOLUTION))
        + computed("Table 1", params=13_378_280, params_without_auxiliary=6_998_552, macs=1_582_671_872),
        smallest=47,
    ),
    "googlenet_bn_tv": Variant(
        GoogLeNetLayout(batch_norm=True, large_kernel=3, last_pool=2, dropout=0.2),
        "GoogLeNet as in torchvision: batch norm, 3x3 instead of 5x5",
        InputShape(3, 224, 224),
        1000,
        library(
            "torchvision",
            params=13_004_888,
            params_without_auxiliary=6_624_904,
            macs=1_498_376_192,
            maps=_MAPS,
        ),
        smallest=15,
    ),
}
