"""LR-ASPP. Howard et al. 2019, "Searching for MobileNetV3", arXiv:1905.02244, Section 6.4 and Figure 10.

"Lite reduced atrous spatial pyramid pooling": the last map, made larger by dilation (Section 6.4), is gated by what the
mean of its maps says, and its scores are added to those of a map of half its stride.

`lraspp_mobilenet_v3_large` is torchvision's network. Deviation: the gates come from the mean of the whole map (the
paper's from windows of 49x49 pixels), the finer map is the first of its stride, and the depthwise convolution that
loses its stride to dilation is dilated itself. `lraspp` is the same head on other backbones, without the last two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.models.backbone import build_backbone
from hubel.models.catalogue import options_of
from hubel.models.variant import InputShape, Variant, computed, library
from hubel.nn.blocks import ConvNorm, InvertedResidual, Style
from hubel.nn.dense import DenseHead, DenseNetwork, Size, enlarged, initialise_scores
from hubel.nn.layers import check_choice, check_positive, check_share, he_initialise
from hubel.nn.network import Network
from hubel.nn.taps import HEAD, find_taps

_STYLE = Style("relu")


@dataclass(frozen=True)
class LRASPPLayout:
    """Section 6.4, and the settings of torchvision."""

    backbone: str = "efficientnet_lite0"
    backbone_options: tuple[str, ...] = ()  # each as name=value
    output_stride: int = 16  # of the last map; 8 or 16 by dilation, or the backbone's own 32
    width: int = 128  # maps of both branches
    fine: str = "last"  # last or first: which map of half the stride is the finer one
    last_conv: bool = False  # the last map is that after the backbone's last 1x1 convolution, before its pooling
    dilate_first: bool = False  # dilate also the depthwise convolution that loses its stride
    dropout: float = 0.0  # probability that a map is left out before the scores


class LRASPPHead(DenseHead):
    """Figure 10, right of the backbone.

    Args:
        fine_channels: channels of the finer map.
        coarse_channels: channels of the last map.
        width: maps of both branches.
        num_classes: number of classes.
        dropout: probability that a map is left out before the scores.
    """

    def __init__(
        self, fine_channels: int, coarse_channels: int, width: int, num_classes: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.project = ConvNorm(coarse_channels, width, 1, style=_STYLE)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(coarse_channels, width, 1, bias=False), nn.Sigmoid()
        )
        self.dropout = nn.Dropout2d(dropout)
        self.coarse_scores = nn.Conv2d(width, num_classes, 1)
        self.fine_scores = nn.Conv2d(fine_channels, num_classes, 1)
        he_initialise(self)
        for layer in (self.coarse_scores, self.fine_scores):
            initialise_scores(layer)

    def walk(self, maps: Sequence[Tensor], size: Size) -> Iterator[tuple[str, Tensor]]:
        """Yield the gated map, the scores, and the scores of each pixel `(n, classes, height, width)`."""
        fine, coarse = maps
        gated = self.project(coarse) * self.gate(coarse)
        yield "gated", gated
        x = enlarged(self.dropout(gated), (int(fine.shape[2]), int(fine.shape[3])))
        x = self.coarse_scores(x) + self.fine_scores(fine)
        yield "scores", x
        yield "logits", enlarged(x, size)


def build(layout: LRASPPLayout, shape: InputShape, num_classes: int) -> DenseNetwork:
    """Build the network of a layout; He initialisation."""
    check_choice("fine", layout.fine, ("last", "first"))
    check_positive(width=layout.width)
    check_share(dropout=layout.dropout)
    dilated = [f"output_stride={layout.output_stride}"] if layout.output_stride != 32 else []
    if dilated and "output_stride" not in options_of(layout.backbone):
        raise OptionError(f"{layout.backbone} has no dilation; set output_stride to 32")
    backbone = build_backbone(
        layout.backbone,
        shape.channels,
        (*layout.backbone_options, *dilated),
        input_size=shape[1:],
        keep_head=layout.last_conv,
    )
    if layout.dilate_first:
        _dilate_first(backbone)
    coarse = find_taps(backbone)[-1]
    fine = find_taps(backbone, (coarse.stride // 2,), first=layout.fine == "first")[0]
    channels = coarse.channels
    if layout.last_conv:
        channels = next(m.out_channels for m in reversed(list(backbone.head.modules())) if isinstance(m, nn.Conv2d))
    return DenseNetwork(
        backbone,
        (fine.map, HEAD if layout.last_conv else coarse.map),
        LRASPPHead(fine.channels, channels, layout.width, num_classes, layout.dropout),
    )


def _dilate_first(backbone: Network) -> None:
    """Dilate the depthwise convolution before the first dilated one, as torchvision does."""
    blocks = [block for block in backbone.modules() if isinstance(block, InvertedResidual)]
    layers = [block.depthwise.conv for block in blocks]
    for layer, after in pairwise(layers):
        assert isinstance(layer, nn.Conv2d)
        assert isinstance(after, nn.Conv2d)
        if layer.dilation < after.dilation:
            factor = after.dilation[0] // layer.dilation[0]
            assert isinstance(layer.padding, tuple)
            layer.padding = (factor * layer.padding[0], factor * layer.padding[1])
            layer.dilation = after.dilation


VARIANTS = {
    "lraspp": Variant(
        LRASPPLayout(),
        "LR-ASPP on a backbone: semantic segmentation at little cost",
        InputShape(3, 352, 480),
        21,
        computed(
            "efficientnet_lite0 without its head, and the head",
            params=3_044_594,
            macs=2_330_516_800,
            maps={
                "stage3": (40, 44, 60),
                "stage7": (320, 22, 30),
                "head.gated": (128, 22, 30),
                "head.scores": (21, 44, 60),
                "logits": (21, 352, 480),
            },
        ),
        output="maps",
    ),
    "lraspp_mobilenet_v3_large": Variant(
        LRASPPLayout("mobilenet_v3_large", last_conv=True, fine="first", dilate_first=True),
        "LR-ASPP on MobileNetV3: semantic segmentation",
        InputShape(3, 520, 520),
        21,
        library(
            "torchvision",
            params=3_221_538,
            macs=2_086_219_688,
            maps={"stage3.block1": (40, 65, 65), "head": (960, 33, 33), "logits": (21, 520, 520)},
        ),
        output="maps",
    ),
}
