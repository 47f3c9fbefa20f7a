"""AlexNet. Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural networks".

`alexnet` is Figure 2: two towers, here as convolutions in two groups; the third convolution and the fully connected
layers are connected to both. Response normalisation (Section 3.3) and overlapping pooling (Section 3.4) as there. The
stated input is 224x224; only 227x227 gives the paper's 55x55 maps. `alexnet_one_tower` has no groups.
Deviation: `alexnet_tv` is torchvision's: the one tower of Krizhevsky 2014, arXiv:1404.5997, with other widths and no
response normalisation.
Deviation, in all: initial weights of He et al. 2015; the paper's N(0, 0.01) needs its weeks of training. Images of
another size have their last maps averaged to 6x6.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from hubel.core.errors import OptionError
from hubel.models.variant import InputShape, Rounded, Variant, computed, library, paper
from hubel.nn.blocks import ConvNorm, Style
from hubel.nn.layers import check_positive, check_share, he_initialise, response_norm
from hubel.nn.network import Network

_STYLE = Style("relu", norm=False)


@dataclass(frozen=True)
class AlexNetLayout:
    """Maps of the five convolutions, units of the two hidden layers (Section 3.5)."""

    widths: tuple[int, ...] = (96, 256, 384, 384, 256)
    dense: int = 4096
    groups: int = 2  # of the second, fourth and fifth convolution: the paper's two graphics processors
    response_norm: bool = True  # after the first and second convolution
    padding: int = 0  # of the first convolution, in pixels
    dropout: float = 0.5  # probability, before both hidden layers (Section 4.2)


def build(layout: AlexNetLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout."""
    _check(layout)
    c1, c2, c3, c4, c5 = layout.widths
    norm = [response_norm()] if layout.response_norm else []
    norm_again = [response_norm()] if layout.response_norm else []
    stem = [ConvNorm(shape.channels, c1, 11, 4, padding=layout.padding, style=_STYLE), *norm]
    stages = [
        nn.Sequential(nn.MaxPool2d(3, 2), ConvNorm(c1, c2, 5, groups=layout.groups, style=_STYLE), *norm_again),
        nn.Sequential(
            nn.MaxPool2d(3, 2),
            ConvNorm(c2, c3, 3, style=_STYLE),
            ConvNorm(c3, c4, 3, groups=layout.groups, style=_STYLE),
            ConvNorm(c4, c5, 3, groups=layout.groups, style=_STYLE),
        ),
    ]
    head = OrderedDict(
        pool=nn.MaxPool2d(3, 2),
        average=nn.AdaptiveAvgPool2d(6),
        flatten=nn.Flatten(),
        dropout6=nn.Dropout(layout.dropout),
        fc6=nn.Linear(c5 * 6 * 6, layout.dense),
        act6=nn.ReLU(inplace=True),
        dropout7=nn.Dropout(layout.dropout),
        fc7=nn.Linear(layout.dense, layout.dense),
        act7=nn.ReLU(inplace=True),
        linear=nn.Linear(layout.dense, num_classes),
    )
    network = Network(nn.Sequential(*stem), stages, nn.Sequential(head))
    he_initialise(network)
    return network


def _check(layout: AlexNetLayout) -> None:
    check_positive(widths=layout.widths, dense=layout.dense, groups=layout.groups)
    check_share(dropout=layout.dropout)
    if len(layout.widths) != 5:
        raise OptionError(f"AlexNet has five convolutions, so widths has five numbers, not {len(layout.widths)}")
    if not 0 <= layout.padding <= 5:
        raise OptionError(f"padding is from 0 to 5 pixels, half the first kernel, not {layout.padding}")
    if any(width % layout.groups for width in layout.widths):
        raise OptionError(f"{layout.groups} groups must divide each of the widths {layout.widths}")


_FIGURE_2 = paper(
    "Krizhevsky 2012, Figure 2, both towers",
    maps={
        "stem": (96, 55, 55),
        "stage1": (256, 27, 27),
        "stage2.block2": (384, 13, 13),
        "stage2.block3": (384, 13, 13),
        "stage2": (256, 13, 13),
    },
)

VARIANTS = {
    "alexnet": Variant(
        AlexNetLayout(),
        "AlexNet as in the paper: two towers, response normalisation",
        InputShape(3, 227, 227),
        1000,
        paper("Krizhevsky 2012, abstract", params=Rounded(60e6, 1))
        + _FIGURE_2
        + computed("Section 3.5", params=60_965_224, macs=724_406_816),
        smallest=67,
    ),
    "alexnet_one_tower": Variant(
        AlexNetLayout(groups=1),
        "AlexNet without groups",
        InputShape(3, 227, 227),
        1000,
        _FIGURE_2 + computed("Section 3.5 without groups", params=62_378_344, macs=1_135_256_096),
        smallest=67,
    ),
    "alexnet_tv": Variant(
        AlexNetLayout((64, 192, 384, 256, 256), groups=1, response_norm=False, padding=2),
        "AlexNet of 2014, as in torchvision",
        InputShape(3, 224, 224),
        1000,
        library(
            "torchvision",
            params=61_100_840,
            macs=714_188_480,
            maps={"stem": (64, 55, 55), "stage1": (192, 27, 27), "stage2": (256, 13, 13)},
        ),
        smallest=63,
    ),
}
