"""A localiser: the class of the one object of an image, and its box by regression.

Sermanet et al. 2014, "OverFeat: Integrated recognition, localization and detection using convolutional networks",
arXiv:1312.6229, Section 4.1: the layers of a classifier feed a second output that has four numbers, the sides of the
box. Deviation: any classifier of the catalogue, one hidden layer, and a sigmoid that keeps the box in the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.models.backbone import build_backbone
from hubel.models.variant import InputShape, Variant, computed
from hubel.nn.dense import DenseHead, DenseNetwork, Size
from hubel.nn.layers import check_positive, small_initialise
from hubel.nn.taps import find_taps

_GRID = 6  # rows and columns of what the regression sees: it must know where things are
_CERTAIN = 20.0  # the logit of the centerness, which a detector has and a localiser does not


@dataclass(frozen=True)
class LocaliserLayout:
    """Backbone, and size of the head."""

    backbone: str = "efficientnet_lite0"
    backbone_options: tuple[str, ...] = ()  # each as name=value
    width: int = 64  # channels of the map that the box is computed from


class LocaliserHead(DenseHead):
    """The class from the mean of the last map, the box from all its places.

    Args:
        in_channels: of the last map of the backbone.
        width: channels of the map that the box is computed from.
        num_classes: number of classes.
    """

    def __init__(self, in_channels: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.classify = nn.Linear(in_channels, num_classes)
        self.reduce = nn.Conv2d(in_channels, width, 1)
        self.regress = nn.Linear(width * _GRID**2, 4)
        small_initialise(self.classify, self.regress)
        with torch.no_grad():
            self.regress.bias.add_(self.regress.bias.new_tensor([-1.0, -1.0, 1.0, 1.0]))  # a box in the middle

    def walk(self, maps: Sequence[Tensor], size: Size) -> Iterator[tuple[str, Tensor]]:
        """Yield the reduced map, and the output, which is that of a detector with one point, `(n, 1, 5 + classes)`."""
        yield "reduced", (x := F.relu(self.reduce(maps[-1])))
        grid = F.interpolate(x, (_GRID, _GRID), mode="bilinear", align_corners=False)
        box = torch.sigmoid(self.regress(grid.flatten(1)))
        logits = self.classify(maps[-1].mean((2, 3)))
        yield "output", torch.cat([box, torch.full_like(box[:, :1], _CERTAIN), logits], 1)[:, None]


def build(layout: LocaliserLayout, shape: InputShape, num_classes: int) -> DenseNetwork:
    """Build the network of a layout; its output is that of `hubel.models.fcos.build` with a single point."""
    check_positive(width=layout.width)
    backbone = build_backbone(layout.backbone, shape.channels, layout.backbone_options, input_size=shape[1:])
    taps = find_taps(backbone, (32,))
    head = LocaliserHead(taps[0].channels, layout.width, num_classes)
    return DenseNetwork(backbone, [tap.map for tap in taps], head)


VARIANTS = {
    "localiser": Variant(
        LocaliserLayout(),
        "Localiser: class and box of the one object of an image; for any backbone",
        InputShape(3, 224, 224),
        10,
        computed("2,958,848 of the backbone + 20,544 + 9,220 + 3,210 parameters", params=2_991_822, macs=364_853_088),
        augment="scene",
        output="boxes",
    )
}
