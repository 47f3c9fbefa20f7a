"""VGG. Simonyan & Zisserman 2014, "Very deep convolutional networks", arXiv:1409.1556.

Table 1: configurations A, B, D and E, which have 11, 13, 16 and 19 layers with weights; only 3x3 convolutions.
Deviation: the variants with `_bn` have batch norm after each convolution, which came a year later. Images of another
size than 224x224 have their last maps averaged to 7x7. Initial weights of He et al. 2015.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from hubel.core.errors import OptionError
from hubel.models.variant import InputShape, Rounded, Variant, library, paper
from hubel.nn.blocks import ConvNorm, Style
from hubel.nn.layers import check_depth, check_positive, check_share, he_initialise
from hubel.nn.network import Network


@dataclass(frozen=True)
class VGGLayout:
    """A column of Table 1."""

    depths: tuple[int, ...] = (2, 2, 3, 3, 3)  # convolutions before each max pooling
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)  # maps of each stage
    dense: int = 4096  # units of both hidden layers
    batch_norm: bool = False
    dropout: float = 0.5  # probability, after both hidden layers (Section 3.1)


def build(layout: VGGLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout."""
    check_positive(depths=layout.depths, widths=layout.widths, dense=layout.dense)
    check_depth(layout.depths)
    check_share(dropout=layout.dropout)
    if len(layout.depths) != len(layout.widths):
        raise OptionError(f"depths {layout.depths} and widths {layout.widths} are one number for each stage")
    # Biases before batch norm have no effect, but the published weights have them.
    style = Style("relu", norm=layout.batch_norm, bias=True)
    stages, channels = [], shape.channels
    for number, (depth, width) in enumerate(zip(layout.depths, layout.widths, strict=True)):
        ins = [channels] + [width] * (depth - 1)
        pool = [nn.MaxPool2d(2)] if number else []
        stages.append(nn.Sequential(*pool, *(ConvNorm(i, width, 3, style=style) for i in ins)))
        channels = width
    head = OrderedDict(
        pool=nn.MaxPool2d(2),
        average=nn.AdaptiveAvgPool2d(7),
        flatten=nn.Flatten(),
        fc1=nn.Linear(channels * 7 * 7, layout.dense),
        act1=nn.ReLU(inplace=True),
        dropout1=nn.Dropout(layout.dropout),
        fc2=nn.Linear(layout.dense, layout.dense),
        act2=nn.ReLU(inplace=True),
        dropout2=nn.Dropout(layout.dropout),
        linear=nn.Linear(layout.dense, num_classes),
    )
    network = Network(nn.Identity(), stages, nn.Sequential(head))
    he_initialise(network)
    return network


_TABLE_1 = paper(
    "Simonyan 2014, Table 1",
    maps={
        "stage1": (64, 224, 224),
        "stage2": (128, 112, 112),
        "stage3": (256, 56, 56),
        "stage4": (512, 28, 28),
        "stage5": (512, 14, 14),
    },
)
_TABLE_2 = {"11": 133e6, "13": 133e6, "16": 138e6, "19": 144e6}  # parameters


def _variant(name: str, depths: tuple[int, ...], params: int, macs: int, *, batch_norm: bool = False) -> Variant:
    published = _TABLE_1 + library("torchvision", params=params, macs=macs)
    if not batch_norm:
        published += paper("Simonyan 2014, Table 2", params=Rounded(_TABLE_2[name], 3))
    return Variant(
        VGGLayout(depths, batch_norm=batch_norm),
        f"VGG-{name}, only 3x3 convolutions" + (", with batch norm" if batch_norm else ""),
        InputShape(3, 224, 224),
        1000,
        published,
        smallest=2 ** len(depths),
    )


_A, _B, _D, _E = (1, 1, 2, 2, 2), (2, 2, 2, 2, 2), (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)

VARIANTS = {
    "vgg11": _variant("11", _A, 132_863_336, 7_609_090_048),
    "vgg13": _variant("13", _B, 133_047_848, 11_308_466_176),
    "vgg16": _variant("16", _D, 138_357_544, 15_470_264_320),
    "vgg19": _variant("19", _E, 143_667_240, 19_632_062_464),
    "vgg11_bn": _variant("11", _A, 132_868_840, 7_609_090_048, batch_norm=True),
    "vgg13_bn": _variant("13", _B, 133_053_736, 11_308_466_176, batch_norm=True),
    "vgg16_bn": _variant("16", _D, 138_365_992, 15_470_264_320, batch_norm=True),
    "vgg19_bn": _variant("19", _E, 143_678_248, 19_632_062_464, batch_norm=True),
}
