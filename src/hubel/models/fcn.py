"""Fully convolutional networks. Long, Shelhamer & Darrell 2015, arXiv:1411.4038.

`fcn8s` is FCN-8s on VGG-16 (Figure 3): the fully connected layers are convolutions (Section 3.1), and the scores of
three depths are added from the coarsest on. As in the authors' Caffe network, poolings round up. Deviations: the 7x7
convolution pads by 3, which keeps the maps aligned, where theirs pads the image by 100 pixels and crops; the last,
fixed interpolation is that of torch; scores start with small random weights rather than zeros.

`fcn_resnet50` is torchvision's: a head of two convolutions on a dilated ResNet, and another one on the map of the stage
before for training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.models.backbone import build_backbone
from hubel.models.catalogue import family_of
from hubel.models.variant import InputShape, Rounded, Variant, computed, library, paper
from hubel.nn.blocks import ConvNorm, Style
from hubel.nn.dense import DenseHead, DenseNetwork, Size, enlarged, initialise_scores
from hubel.nn.layers import check_positive, check_share, he_initialise
from hubel.nn.taps import find_maps, find_taps

_STYLE = Style("relu")


@dataclass(frozen=True)
class FCN8sLayout:
    """Figure 3, on a VGG."""

    backbone: str = "vgg16"
    backbone_options: tuple[str, ...] = ()  # each as name=value
    dense: int = 4096  # maps of both convolutions that were fully connected layers
    dropout: float = 0.5  # probability, after both


@dataclass(frozen=True)
class FCNLayout:
    """The settings of torchvision."""

    backbone: str = "resnet50"
    backbone_options: tuple[str, ...] = ("output_stride=8",)  # each as name=value
    dropout: float = 0.1  # probability, before the scores
    auxiliary: bool = True  # a second head for training
    auxiliary_weight: float = 0.5  # of its loss


class FCN8sHead(DenseHead):
    """Two wide convolutions, and scores of three maps that are added from the coarsest on (Section 4.2).

    Args:
        channels: channels of the maps of stride 8, 16 and 16, where the last one is pooled first.
        dense: maps of both wide convolutions.
        num_classes: number of classes.
        dropout: probability, after both.
    """

    def __init__(self, channels: Sequence[int], dense: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        pool3, pool4, conv5 = channels
        self.pool5 = nn.MaxPool2d(2, ceil_mode=True)
        self.fc6 = nn.Sequential(nn.Conv2d(conv5, dense, 7, padding=3), nn.ReLU(inplace=True), nn.Dropout2d(dropout))
        self.fc7 = nn.Sequential(nn.Conv2d(dense, dense, 1), nn.ReLU(inplace=True), nn.Dropout2d(dropout))
        self.scores32, self.scores16, self.scores8 = (nn.Conv2d(c, num_classes, 1) for c in (dense, pool4, pool3))
        self.up16, self.up8 = (
            nn.ConvTranspose2d(num_classes, num_classes, 4, 2, padding=1, bias=False) for _ in range(2)
        )
        he_initialise(self)
        for scores in (self.scores32, self.scores16, self.scores8):
            initialise_scores(scores)
        for up in (self.up16, self.up8):
            bilinear_weights(up)

    def walk(self, maps: Sequence[Tensor], size: Size) -> Iterator[tuple[str, Tensor]]:
        """Yield the maps, the sums of scores, and the scores of each pixel `(n, classes, height, width)`."""
        pool3, pool4, x = maps
        for name in ("pool5", "fc6", "fc7", "scores32"):
            x = getattr(self, name)(x)
            yield name, x
        for name, up, scores, pool in (
            ("scores16", self.up16, self.scores16, pool4),
            ("scores8", self.up8, self.scores8, pool3),
        ):
            x = up(x)[:, :, : int(pool.shape[2]), : int(pool.shape[3])] + scores(pool)
            yield name, x
        height, width = size
        # Of a map of 8 pixels each, the last of which reach beyond the image.
        whole = enlarged(x, (8 * int(x.shape[2]), 8 * int(x.shape[3])))
        yield "logits", whole[:, :, :height, :width]


class FCNHead(DenseHead):
    """A 3x3 convolution to a quarter of the maps, dropout, and scores."""

    def __init__(self, channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, channels // 4, 3, style=_STYLE)
        self.dropout = nn.Dropout(dropout)
        self.scores = nn.Conv2d(channels // 4, num_classes, 1)
        he_initialise(self)
        initialise_scores(self.scores)

    def walk(self, maps: Sequence[Tensor], size: Size) -> Iterator[tuple[str, Tensor]]:
        """Yield the map, the scores, and the scores of each pixel `(n, classes, height, width)`."""
        (x,) = maps
        x = self.conv(x)
        yield "conv", x
        x = self.scores(self.dropout(x))
        yield "scores", x
        yield "logits", enlarged(x, size)


@torch.no_grad()
def bilinear_weights(layer: nn.ConvTranspose2d) -> None:
    """Set the weights of a transposed convolution to bilinear interpolation of each map (Section 3.3)."""
    if layer.weight.is_meta:
        return
    side, stride = layer.kernel_size[0], layer.stride[0]
    weights = 1 - (torch.arange(side) - (side - 1) / 2).abs() / stride
    layer.weight.zero_()
    for channel in range(min(layer.weight.shape[:2])):
        layer.weight[channel, channel] = torch.outer(weights, weights)


def build(layout: FCN8sLayout | FCNLayout, shape: InputShape, num_classes: int) -> DenseNetwork:
    """Build the network of a layout; He initialisation."""
    check_share(dropout=layout.dropout)
    if isinstance(layout, FCN8sLayout):
        check_positive(dense=layout.dense)
        return _fcn8s(layout, shape, num_classes)
    check_positive(auxiliary_weight=layout.auxiliary_weight)
    backbone = build_backbone(layout.backbone, shape.channels, layout.backbone_options, input_size=shape[1:])
    last, before = find_taps(backbone)[-1], f"stage{len(backbone.stages) - 1}"
    auxiliary = {}
    if layout.auxiliary:
        auxiliary[before] = FCNHead(find_maps(backbone)[before].channels, num_classes, layout.dropout)
    head = FCNHead(last.channels, num_classes, layout.dropout)
    return DenseNetwork(backbone, [last.map], head, auxiliary, layout.auxiliary_weight)


def _fcn8s(layout: FCN8sLayout, shape: InputShape, num_classes: int) -> DenseNetwork:
    if family_of(layout.backbone) != "vgg":
        raise OptionError(f"FCN-8s is made from a VGG, not {layout.backbone}; unet takes any backbone")
    backbone = build_backbone(layout.backbone, shape.channels, layout.backbone_options)
    for pool in (layer for layer in backbone.modules() if isinstance(layer, nn.MaxPool2d)):
        pool.ceil_mode = True
    # A stage begins with the pooling of the one before.
    taps = [*find_taps(backbone, (8, 16), first=True), find_taps(backbone)[-1]]
    head = FCN8sHead([tap.channels for tap in taps], layout.dense, num_classes, layout.dropout)
    return DenseNetwork(backbone, [tap.map for tap in taps], head)


VARIANTS = {
    "fcn8s": Variant(
        FCN8sLayout(),
        "FCN-8s on VGG-16: semantic segmentation",
        InputShape(3, 512, 512),
        21,
        paper(
            "Long 2015, Table 1 and Figure 3",
            params=Rounded(134e6, 3),
            maps={
                "stage4.block1": (256, 64, 64),
                "stage5.block1": (512, 32, 32),
                "head.pool5": (512, 16, 16),
                "head.fc7": (4096, 16, 16),
                "head.scores16": (21, 32, 32),
                "head.scores8": (21, 64, 64),
                "logits": (21, 512, 512),
            },
        )
        + computed(
            "VGG-16 without its last layer, three layers of scores and two of 4x4 weights",
            params=134_376_863,
            macs=110_844_039_168,
        ),
        output="maps",
    ),
    "fcn_resnet50": Variant(
        FCNLayout(),
        "FCN on a dilated ResNet-50: semantic segmentation",
        InputShape(3, 520, 520),
        21,
        library(
            "torchvision",
            params=35_322_218,
            params_without_auxiliary=32_957_013,
            macs=142_725_772_800,
            maps={"stage3": (1024, 65, 65), "stage4": (2048, 65, 65), "logits": (21, 520, 520)},
        ),
        output="maps",
    ),
}
