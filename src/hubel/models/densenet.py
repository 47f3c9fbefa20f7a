"""DenseNet. Huang, Liu, van der Maaten & Weinberger 2016, "Densely connected convolutional networks", arXiv:1608.06993.

Table 1 for ImageNet; Section 3 for small images. Each layer takes the maps of all layers before it in its stage
(Section 3, Eq. 2) and adds `growth` new ones. DenseNet-BC: a 1x1 bottleneck in each layer, and transitions that halve
the number of maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hubel.core.errors import OptionError
from hubel.models.variant import InputShape, Published, Rounded, Variant, computed, library, paper
from hubel.nn.blocks import ConvNorm, Style, pooled_head
from hubel.nn.layers import check_choice, check_depth, check_positive, check_share, he_initialise
from hubel.nn.network import Network


@dataclass(frozen=True)
class DenseNetLayout:
    """Columns of Table 1, and the settings of Section 3 for small images."""

    depths: tuple[int, ...] = (6, 12, 24, 16)  # layers of each dense block
    growth: int = 32  # k: maps that each layer adds
    stem_channels: int = 64  # 2k
    stem: str = "7x7"  # 7x7: stride 2, then 3x3 max pooling of stride 2; 3x3: stride 1, for small images
    bottleneck: int = 4  # maps of the 1x1 convolution in each layer, in units of k
    compression: float = 0.5  # theta: output maps of a transition as a share of its input maps
    dropout: float = 0.0  # probability, after each dense layer (Section 4.2)
    checkpointing: bool = False  # recompute the first half of each layer in the backward pass: a third less memory


class DenseLayer(nn.Module):
    """[x, F(x)], F = norm, ReLU, 1x1 -> norm, ReLU, 3x3 (Section 3, "bottleneck layers")."""

    def __init__(self, in_channels: int, layout: DenseNetLayout) -> None:
        super().__init__()
        inner = layout.bottleneck * layout.growth
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, layout.growth, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(layout.dropout)
        self.checkpointing = layout.checkpointing

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, in, h, w)` to `(n, in + k, h, w)`."""
        if self.checkpointing and x.requires_grad:
            inner = checkpoint(self._squeeze, x, use_reentrant=False, context_fn=self._contexts)
        else:
            inner = self._squeeze(x)
        new = self.conv2(self.relu(self.norm2(inner)))
        return torch.cat([x, self.dropout(new)], 1)

    def _squeeze(self, x: Tensor) -> Tensor:
        """Compute the bottleneck, whose inputs grow with each layer and so take most of the memory."""
        squeezed: Tensor = self.conv1(self.relu(self.norm1(x)))
        return squeezed

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), self._frozen_statistics()

    @contextmanager
    def _frozen_statistics(self) -> Iterator[None]:
        """Leave the running statistics unchanged when a batch is recomputed."""
        momentum, batches = self.norm1.momentum, self.norm1.num_batches_tracked
        assert batches is not None
        counted = batches.clone()
        self.norm1.momentum = 0.0
        try:
            yield
        finally:
            self.norm1.momentum = momentum
            batches.copy_(counted)


def transition(in_channels: int, out_channels: int) -> nn.Sequential:
    """Build norm, ReLU, 1x1 convolution and 2x2 average pooling (Section 3, "pooling layers")."""
    return nn.Sequential(
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.AvgPool2d(2),
    )


def build(layout: DenseNetLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout; He initialisation (Section 4.2)."""
    _check(layout)
    channels, style = layout.stem_channels, Style("relu")
    if layout.stem == "7x7":
        stem = [ConvNorm(shape.channels, channels, 7, 2, style=style), nn.MaxPool2d(3, 2, padding=1)]
    else:
        stem = [nn.Conv2d(shape.channels, channels, 3, padding=1, bias=False)]
    stages = []
    for number, depth in enumerate(layout.depths):
        blocks: list[nn.Module] = []
        if number:
            compressed = int(channels * layout.compression)
            blocks.append(transition(channels, compressed))
            channels = compressed
        for _ in range(depth):
            blocks.append(DenseLayer(channels, layout))
            channels += layout.growth
        stages.append(nn.Sequential(*blocks))
    stages[-1].append(nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True)))
    network = Network(nn.Sequential(*stem), stages, pooled_head(channels, num_classes, 0.0))
    he_initialise(network)
    return network


def _check(layout: DenseNetLayout) -> None:
    check_choice("stem", layout.stem, ("7x7", "3x3"))
    check_positive(
        depths=layout.depths,
        growth=layout.growth,
        stem_channels=layout.stem_channels,
        bottleneck=layout.bottleneck,
        compression=layout.compression,
    )
    check_share(dropout=layout.dropout)
    check_depth(layout.depths)
    if layout.compression > 1:
        raise OptionError(f"compression is a share of the maps, at most 1, not {layout.compression}")


def _torchvision(params: int, macs: int, channels: tuple[int, int, int, int, int]) -> Published:
    """Return the facts of torchvision's network; `channels` are those of the stem and of each dense block."""
    stem, *blocks = channels
    maps = {"stem.block1": (stem, 112, 112), "stem": (stem, 56, 56)}
    maps |= {f"stage{i + 1}": (block, 56 // 2**i, 56 // 2**i) for i, block in enumerate(blocks)}
    return library("torchvision", params=params, macs=macs, maps=maps)


def _imagenet(depth: int, layout: DenseNetLayout, published: Published) -> Variant:
    """Return a variant of Table 1."""
    return Variant(
        layout,
        f"DenseNet-{depth}, each layer takes the maps of all before it",
        InputShape(3, 224, 224),
        1000,
        published,
        smallest=29,
    )


VARIANTS = {
    "densenet121": _imagenet(121, DenseNetLayout(), _torchvision(7_978_856, 2_834_161_664, (64, 256, 512, 1024, 1024))),
    "densenet169": _imagenet(
        169, DenseNetLayout((6, 12, 32, 32)), _torchvision(14_149_480, 3_359_843_328, (64, 256, 512, 1280, 1664))
    ),
    "densenet201": _imagenet(
        201, DenseNetLayout((6, 12, 48, 32)), _torchvision(20_013_928, 4_291_365_888, (64, 256, 512, 1792, 1920))
    ),
    "densenet161": _imagenet(
        161,
        DenseNetLayout((6, 12, 36, 24), 48, 96),
        _torchvision(28_681_000, 7_727_907_072, (96, 384, 768, 2112, 2208)),
    ),
    "densenet_bc_100": Variant(
        DenseNetLayout((16, 16, 16), 12, 24, "3x3"),
        "DenseNet-BC of 100 layers, k = 12, for small images",
        InputShape(3, 32, 32),
        published=paper("Huang 2016, Table 2", params=Rounded(0.8e6, 1))
        + computed(
            "Section 3: 24 + 16 x 12 maps, halved, + 16 x 12, halved, + 16 x 12",
            params=769_162,
            macs=287_929_692,
            maps={"stem": (24, 32, 32), "stage1": (216, 32, 32), "stage2": (300, 16, 16), "stage3": (342, 8, 8)},
        ),
        smallest=4,
    ),
}
