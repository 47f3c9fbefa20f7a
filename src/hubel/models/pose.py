"""Simple baseline of pose estimation. Xiao, Wu & Wei 2018, arXiv:1804.06208, Section 2.

A backbone, three transposed convolutions, each followed by batch norm and ReLU, and a 1x1 convolution to one heat map
for each point. `pose_resnet50` is the paper's; `pose` has fewer maps, on a backbone that is fast on processors.
Deviation of `pose`: beside each enlarged map lies the backbone's own of that size, as in a U-Net (Ronneberger et al.
2015, arXiv:1505.04597), and a 3x3 convolution joins them. With few images this learns more: of 240 photos of
athletes, PCK@0.2 of the others after 20 epochs is 35.5 instead of 17.9 %.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.models.backbone import build_backbone
from hubel.models.variant import InputShape, Rounded, Variant, computed, paper
from hubel.nn.blocks import ConvNorm, Style
from hubel.nn.dense import DenseHead, DenseNetwork, Size, initialise_scores
from hubel.nn.layers import check_positive, he_initialise
from hubel.nn.taps import find_taps


@dataclass(frozen=True)
class PoseLayout:
    """Transposed convolutions on a backbone."""

    backbone: str = "efficientnet_lite0"
    backbone_options: tuple[str, ...] = ()  # each as name=value
    widths: tuple[int, ...] = (128, 64, 64)  # maps of each transposed convolution
    kernel: int = 4  # 4, 3 or 2 pixels, as in the authors' code
    skips: bool = False  # whether the maps of the backbone are put beside the enlarged ones


class PoseHead(DenseHead):
    """Transposed convolutions of stride 2, and a heat map for each point.

    Args:
        channels: channels of the maps of the backbone, the finest first: the last one, and those beside enlarged ones.
        widths: maps of each transposed convolution.
        kernel: their kernel size in pixels: 4, 3 or 2.
        points: number of points.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int], kernel: int, points: int) -> None:
        super().__init__()
        padding, output_padding = _PADDINGS[kernel]
        *skips, below = channels
        ups = []
        for width in widths:
            up = nn.ConvTranspose2d(below, width, kernel, 2, padding, output_padding, bias=False)
            ups.append(nn.Sequential(OrderedDict(conv=up, norm=nn.BatchNorm2d(width), act=nn.ReLU(inplace=True))))
            below = width
        self.ups = nn.Sequential(*ups)
        self.joins = nn.ModuleList(
            ConvNorm(skip + width, width, 3, padding=1, style=Style())
            for skip, width in zip(reversed(skips), widths, strict=False)
        )
        self.points = nn.Conv2d(below, points, 1)
        he_initialise(self)
        initialise_scores(self.points)

    def walk(self, maps: Sequence[Tensor], size: Size) -> Iterator[tuple[str, Tensor]]:
        """Yield the map of each transposed convolution, and the heat maps `(n, points, h, w)`, of a finer stride."""
        *skips, x = maps
        for number, up in enumerate(self.ups, start=1):
            x = up(x)
            if skips:
                skip = skips.pop()
                x = x[:, :, : int(skip.shape[2]), : int(skip.shape[3])]  # of odd sides, half is rounded up
                x = self.joins[number - 1](torch.cat([skip, x], 1))
            yield f"up{number}", x
        yield "heat_maps", self.points(x)


_PADDINGS = {4: (1, 0), 3: (1, 1), 2: (0, 0)}  # padding, and output padding, that double the size


def build(layout: PoseLayout, shape: InputShape, num_classes: int) -> DenseNetwork:
    """Build the network of a layout; He initialisation."""
    check_positive(widths=layout.widths)
    if layout.kernel not in _PADDINGS:
        raise OptionError(f"kernel is one of {', '.join(map(str, _PADDINGS))}, not {layout.kernel}")
    backbone = build_backbone(layout.backbone, shape.channels, layout.backbone_options, input_size=shape[1:])
    taps = find_taps(backbone)
    beside = len(layout.widths) if layout.skips else 0
    if beside >= len(taps):
        raise OptionError(f"{layout.backbone} has {len(taps)} maps, so widths are at most {len(taps) - 1} numbers")
    taps = taps[-1 - beside :]
    head = PoseHead([tap.channels for tap in taps], layout.widths, layout.kernel, num_classes)
    return DenseNetwork(backbone, [tap.map for tap in taps], head)


_COUNT = (
    "ours are the products that are computed; of a transposed convolution, a quarter of its weights for each output"
)

VARIANTS = {
    "pose": Variant(
        PoseLayout(skips=True),
        "heat maps of key points, on a backbone",
        InputShape(3, 256, 192),
        17,
        computed(
            "efficientnet_lite0 without its head, and the head",
            params=4_200_017,
            macs=721_512_960,
            maps={
                "stage7": (320, 8, 6),
                "head.up1": (128, 16, 12),
                "head.up2": (64, 32, 24),
                "head.up3": (64, 64, 48),
                "logits": (17, 64, 48),
            },
        ),
        output="points",
    ),
    "pose_resnet50": Variant(
        PoseLayout("resnet50", widths=(256, 256, 256)),
        "simple baseline: heat maps of key points",
        InputShape(3, 256, 192),
        17,
        paper(
            "Xiao 2018, Section 2",
            maps={
                "stage4": (2048, 8, 6),
                "head.up1": (256, 16, 12),
                "head.up2": (256, 32, 24),
                "head.up3": (256, 64, 48),
                "logits": (17, 64, 48),
            },
        )
        + paper("Sun 2019, arXiv:1902.09212, Table 1", params=Rounded(34.0e6, 3), macs=Rounded(8.90e9, 3, _COUNT))
        + computed("ResNet-50 without its head, and the head", params=33_999_697, macs=5_426_380_800),
        output="points",
    ),
}
