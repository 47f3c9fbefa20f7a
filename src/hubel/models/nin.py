"""Network in Network. Lin, Chen & Yan 2013, arXiv:1312.4400.

An mlpconv layer (Section 3.1) is a convolution and two 1x1 convolutions: a small multilayer perceptron that slides over
the image. The last one has a map for each class, and its average is the class's score (Section 3.2): there is no fully
connected layer. The paper does not state its widths; they are those that the authors published with their Caffe models.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from hubel.core.errors import OptionError
from hubel.models.variant import InputShape, Variant, computed
from hubel.nn.blocks import ConvNorm, Style
from hubel.nn.layers import check_choice, check_positive, check_share, he_initialise
from hubel.nn.network import Network

_STYLE = Style("relu", norm=False)


@dataclass(frozen=True)
class NINLayout:
    """Three widths and a kernel size for each mlpconv layer; the last width is the number of classes."""

    widths: tuple[int, ...] = (192, 160, 96, 192, 192, 192, 192, 192)
    kernels: tuple[int, ...] = (5, 5, 3)
    stride: int = 1  # of the first convolution
    padding: int = 2  # of the first convolution
    pools: str = "max,average"  # between the layers, 3x3 of stride 2: max or average each
    dropout: float = 0.5  # probability


def build(layout: NINLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout."""
    _check(layout)
    widths, pools = [*layout.widths, num_classes], layout.pools.split(",")
    stages, channels = [], shape.channels
    for number, kernel in enumerate(layout.kernels):
        width, *cascade = widths[3 * number : 3 * number + 3]
        first = number == 0
        blocks: list[nn.Module] = []
        if not first:
            kind = nn.MaxPool2d if pools[number - 1] == "max" else nn.AvgPool2d
            blocks.append(kind(3, 2, ceil_mode=True))
        # Dropout between the layers: the first one where all are small (CIFAR-10), before the last one in both.
        if number == len(layout.kernels) - 1 or (number == 1 and len(layout.kernels) == 3):
            blocks.append(nn.Dropout(layout.dropout))
        stride, padding = (layout.stride, layout.padding) if first else (1, None)
        blocks.append(ConvNorm(channels, width, kernel, stride, padding=padding, style=_STYLE))
        for out in cascade:
            blocks.append(ConvNorm(width, out, 1, style=_STYLE))
            width = out
        stages.append(nn.Sequential(*blocks))
        channels = width
    head = nn.Sequential(OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()))
    network = Network(nn.Identity(), stages, head)
    he_initialise(network)
    return network


def _check(layout: NINLayout) -> None:
    check_positive(widths=layout.widths, kernels=layout.kernels, stride=layout.stride)
    check_share(dropout=layout.dropout)
    for pool in layout.pools.split(","):
        check_choice("pools", pool, ("max", "average"))
    layers = len(layout.kernels)
    if len(layout.widths) != 3 * layers - 1 or len(layout.pools.split(",")) != layers - 1:
        raise OptionError(
            f"{layers} mlpconv layers need {3 * layers - 1} widths and {layers - 1} pools, "
            f"not {len(layout.widths)} and {len(layout.pools.split(','))}"
        )
    if any(kernel % 2 == 0 for kernel in layout.kernels):
        raise OptionError(f"kernels are odd, so that each output has a centre; got {layout.kernels}")
    if not 0 <= layout.padding <= layout.kernels[0]:
        raise OptionError(
            f"padding is from 0 to the first kernel size, {layout.kernels[0]} pixels, not {layout.padding}"
        )


VARIANTS = {
    "nin": Variant(
        NINLayout((96, 96, 96, 256, 256, 256, 384, 384, 384, 1024, 1024), (11, 5, 3, 3), 4, 0, "max,max,max"),
        "Network in Network for ImageNet",
        InputShape(3, 224, 224),
        1000,
        computed(
            "the layers of the authors' Caffe model for ImageNet",
            params=7_595_176,
            macs=1_100_188_800,
            maps={"stage1": (96, 54, 54), "stage2": (256, 27, 27), "stage3": (384, 13, 13), "stage4": (1000, 6, 6)},
        ),
        smallest=39,
    ),
    "nin_cifar10": Variant(
        NINLayout(),
        "Network in Network for small images",
        InputShape(3, 32, 32),
        published=computed(
            "the layers of the authors' Caffe model for CIFAR-10",
            params=966_986,
            macs=222_486_528,
            maps={"stage1": (96, 32, 32), "stage2": (192, 16, 16), "stage3": (10, 8, 8)},
        ),
        smallest=4,
    ),
}
