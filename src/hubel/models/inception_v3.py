"""Inception v3. Szegedy et al. 2015, "Rethinking the Inception architecture for computer vision", arXiv:1512.00567.

Table 1 with the modules of Figures 5, 6 and 7, in the form of the authors' TensorFlow model, which all published
weights have: large kernels become stacks of small and asymmetric ones (Section 3); the auxiliary classifier on the last
maps of 17x17 pixels has batch norm (Section 4), and its loss has a weight of 0.4 in training.
Deviation of that form from the text: the stem ends in a 1x1 convolution to 80 maps, a 3x3 one to 192 and max pooling,
where Table 1 has three 3x3 convolutions; widths of the 17x17 modules grow from 128 to 192. Every module averages in its
pooling branch, and only the two reductions pool by maximum.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hubel.models.variant import InputShape, Variant, library, paper
from hubel.nn.blocks import ConvNorm, Style, pooled_head
from hubel.nn.layers import check_share, he_initialise
from hubel.nn.network import Network

_STYLE = Style("relu", norm_eps=1e-3)


@dataclass(frozen=True)
class InceptionV3Layout:
    """Options of the classifiers."""

    auxiliary: bool = True
    dropout: float = 0.5  # probability, before the linear layer


def _conv(
    in_channels: int, out_channels: int, kernel: int | tuple[int, int], stride: int = 1, *, valid: bool = False
) -> ConvNorm:
    """Build a convolution that keeps the size, or, if `valid`, one without padding."""
    return ConvNorm(in_channels, out_channels, kernel, stride, padding=0 if valid else None, style=_STYLE)


def average_pool(in_channels: int, out_channels: int) -> nn.Sequential:
    """Build the pooling branch: average over 3x3 pixels, then 1x1 convolution."""
    return nn.Sequential(nn.AvgPool2d(3, 1, padding=1), _conv(in_channels, out_channels, 1))


class Branches(nn.Module):
    """Parallel branches, whose maps are concatenated in the order of the arguments."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, in, h, w)` to `(n, sum of out, h', w')`."""
        return torch.cat([branch(x) for branch in self.children()], 1)


def module_a(in_channels: int, pooled: int) -> Branches:
    """Build the module of Figure 5: branches of 1x1, 5x5 and double 3x3; 35x35."""
    return Branches(
        branch1=_conv(in_channels, 64, 1),
        branch5=nn.Sequential(_conv(in_channels, 48, 1), _conv(48, 64, 5)),
        branch3=nn.Sequential(_conv(in_channels, 64, 1), _conv(64, 96, 3), _conv(96, 96, 3)),
        pool=average_pool(in_channels, pooled),
    )


def reduction_a(in_channels: int) -> Branches:
    """Build the reduction of Figure 10, from 35x35 to 17x17."""
    return Branches(
        branch3=_conv(in_channels, 384, 3, 2, valid=True),
        branch5=nn.Sequential(_conv(in_channels, 64, 1), _conv(64, 96, 3), _conv(96, 96, 3, 2, valid=True)),
        pool=nn.MaxPool2d(3, 2),
    )


def module_b(in_channels: int, inner: int) -> Branches:
    """Build the module of Figure 6 with n = 7: 7x7 as 1x7 and 7x1; 17x17."""
    return Branches(
        branch1=_conv(in_channels, 192, 1),
        branch7=nn.Sequential(_conv(in_channels, inner, 1), _conv(inner, inner, (1, 7)), _conv(inner, 192, (7, 1))),
        branch13=nn.Sequential(
            _conv(in_channels, inner, 1),
            _conv(inner, inner, (7, 1)),
            _conv(inner, inner, (1, 7)),
            _conv(inner, inner, (7, 1)),
            _conv(inner, 192, (1, 7)),
        ),
        pool=average_pool(in_channels, 192),
    )


def reduction_b(in_channels: int) -> Branches:
    """Build the reduction from 17x17 to 8x8."""
    return Branches(
        branch3=nn.Sequential(_conv(in_channels, 192, 1), _conv(192, 320, 3, 2, valid=True)),
        branch7=nn.Sequential(
            _conv(in_channels, 192, 1),
            _conv(192, 192, (1, 7)),
            _conv(192, 192, (7, 1)),
            _conv(192, 192, 3, 2, valid=True),
        ),
        pool=nn.MaxPool2d(3, 2),
    )


def module_c(in_channels: int) -> Branches:
    """Build the module of Figure 7: 1x3 and 3x1 in parallel; 8x8."""

    def spread(channels: int) -> Branches:
        return Branches(wide=_conv(channels, 384, (1, 3)), tall=_conv(channels, 384, (3, 1)))

    return Branches(
        branch1=_conv(in_channels, 320, 1),
        branch3=nn.Sequential(_conv(in_channels, 384, 1), spread(384)),
        branch5=nn.Sequential(_conv(in_channels, 448, 1), _conv(448, 384, 3), spread(384)),
        pool=average_pool(in_channels, 192),
    )


def _auxiliary_head(in_channels: int, num_classes: int) -> nn.Sequential:
    """Build average pooling, 1x1, 5x5 without padding, classes (Figure 8)."""
    # On maps of 17x17 the pooling gives 5x5; for other sizes adaptive pooling follows.
    return nn.Sequential(
        OrderedDict(
            pool=nn.Sequential(nn.AvgPool2d(5, 3), nn.AdaptiveAvgPool2d(5)),
            conv1=_conv(in_channels, 128, 1),
            conv2=_conv(128, 768, 5, valid=True),
            flatten=nn.Flatten(),
            linear=nn.Linear(768, num_classes),
        )
    )


def build(layout: InceptionV3Layout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout; He initialisation."""
    check_share(dropout=layout.dropout)
    stem = nn.Sequential(
        _conv(shape.channels, 32, 3, 2, valid=True),
        _conv(32, 32, 3, valid=True),
        _conv(32, 64, 3),
        nn.MaxPool2d(3, 2),
        _conv(64, 80, 1),
        _conv(80, 192, 3, valid=True),
        nn.MaxPool2d(3, 2),
    )
    stages = [
        nn.Sequential(module_a(192, 32), module_a(256, 64), module_a(288, 64)),
        nn.Sequential(reduction_a(288), *(module_b(768, inner) for inner in (128, 160, 160, 192))),
        nn.Sequential(reduction_b(768), module_c(1280), module_c(2048)),
    ]
    auxiliary = {"stage2": _auxiliary_head(768, num_classes)} if layout.auxiliary else {}
    network = Network(stem, stages, pooled_head(2048, num_classes, layout.dropout), auxiliary, auxiliary_weight=0.4)
    he_initialise(network)
    return network


VARIANTS = {
    "inception_v3": Variant(
        InceptionV3Layout(),
        "Inception v3: factorised convolutions",
        InputShape(3, 299, 299),
        1000,
        paper(
            "Szegedy 2015, Table 1",
            maps={
                "stem.block1": (32, 149, 149),
                "stem.block2": (32, 147, 147),
                "stem.block3": (64, 147, 147),
                "stem.block4": (64, 73, 73),
                "stem": (192, 35, 35),
                "stage2.block1": (768, 17, 17),
                "stage3.block1": (1280, 8, 8),
                "stage3": (2048, 8, 8),
            },
        )
        + library(
            "torchvision",
            params=27_161_264,
            params_without_auxiliary=23_834_568,
            macs=5_713_216_096,
            maps={
                "stem.block5": (80, 73, 73),
                "stem.block6": (192, 71, 71),
                "stage1": (288, 35, 35),
                "stage2": (768, 17, 17),
            },
        ),
        smallest=107,
    )
}
