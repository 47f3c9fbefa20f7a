"""FCOS. Tian et al. 2019, "FCOS: Fully convolutional one-stage object detection", arXiv:1904.01355.

Each pixel of the maps of a feature pyramid says of the point that it looks at: is it on an object, of which class, how
central, and how far away are the four sides of the object's box (Figure 2). There are no anchors.

Deviation: a pyramid and heads of few channels on any classifier of the catalogue, for processors: 96 instead of 256
channels, two convolutions a head instead of four, strides 8 to 64 without 128. The authors' code has group norms in
the heads, too, and the centerness beside the box rather than the class.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.models.backbone import build_backbone
from hubel.models.variant import InputShape, Variant, computed
from hubel.nn.dense import DenseHead, DenseNetwork, Size
from hubel.nn.layers import check_depth, check_positive, small_initialise
from hubel.nn.points import STRIDES, pyramid_points
from hubel.nn.pyramid import FeaturePyramid
from hubel.nn.taps import find_taps

_TAPPED = STRIDES[:3]  # strides of the maps of the backbone; the others are the pyramid's own
_PRIOR = 0.01  # probability of each class at the start, so that the many empty points do not swamp it (Lin 2017, 4.1)
_LONGEST = 6.0  # the greatest logarithm of a distance in strides, which keeps the first steps finite
_GROUP = 8  # channels of a group of the norms


@dataclass(frozen=True)
class FCOSLayout:
    """Backbone, and size of the head."""

    backbone: str = "efficientnet_lite0"
    backbone_options: tuple[str, ...] = ()  # each as name=value
    width: int = 96  # channels of the pyramid and of the heads; multiples of 8
    depth: int = 2  # convolutions of a head before the last one


class FCOSHead(DenseHead):
    """The pyramid, and two heads that all its levels share.

    Args:
        in_channels: of the maps of the backbone.
        layout: width and depth.
        num_classes: number of classes.
    """

    def __init__(self, in_channels: Sequence[int], layout: FCOSLayout, num_classes: int) -> None:
        super().__init__()
        width = layout.width
        self.pyramid = FeaturePyramid(in_channels, width, len(STRIDES) - len(_TAPPED))
        self.class_tower = _tower(width, layout.depth)
        self.box_tower = _tower(width, layout.depth)
        self.classify = nn.Conv2d(width, num_classes, 3, padding=1)
        self.regress = nn.Conv2d(width, 4, 3, padding=1)
        self.centre = nn.Conv2d(width, 1, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(STRIDES)))
        small_initialise(self.class_tower, self.box_tower, self.classify, self.regress, self.centre)
        nn.init.constant_(self.classify.bias, -math.log((1 - _PRIOR) / _PRIOR))  # type: ignore[arg-type]

    def walk(self, maps: Sequence[Tensor], size: Size) -> Iterator[tuple[str, Tensor]]:
        """Yield the maps of the pyramid and of the heads by level, "p3" to "p6", and the output; see `FCOS`."""
        distances, rest = [], []
        for level, x in enumerate(self.pyramid(maps)):
            name = f"p{level + 3}"
            yield name, x
            yield f"{name}.classes", (seen := self.class_tower(x))
            yield f"{name}.boxes", (placed := self.box_tower(x))
            strides_away = torch.exp((self.scales[level] * self.regress(placed)).clamp(max=_LONGEST))
            distances.append((strides_away * STRIDES[level]).flatten(2))
            rest.append(torch.cat([self.centre(placed), self.classify(seen)], 1).flatten(2))
        left_top, right_bottom = torch.cat(distances, 2).transpose(1, 2).chunk(2, dim=2)
        height, width = map(int, size)  # which an exporter counts as values of its graph
        centres, _ = pyramid_points(height, width)
        points = torch.from_numpy(centres).to(left_top)
        sides = left_top.new_tensor([width, height])
        corners = [(points - left_top) / sides, (points + right_bottom) / sides]
        yield "output", torch.cat([*corners, torch.cat(rest, 2).transpose(1, 2)], 2)


def _tower(width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(width // _GROUP, width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def build(layout: FCOSLayout, shape: InputShape, num_classes: int) -> DenseNetwork:
    """Build the network of a layout.

    Its output is, for each point of `pyramid_points` of the input's size: left, top, right and bottom of a box in
    shares of the input's width and height, the logit of the centerness, and the logit of each class,
    `(n, points, 4 + 1 + classes)`.
    """
    check_positive(width=layout.width, depth=layout.depth)
    check_depth((layout.depth, layout.depth))
    if layout.width % _GROUP:
        raise OptionError(f"width is a multiple of {_GROUP}, the channels of a group of the norms, not {layout.width}")
    backbone = build_backbone(layout.backbone, shape.channels, layout.backbone_options, input_size=shape[1:])
    taps = find_taps(backbone, _TAPPED)
    head = FCOSHead([tap.channels for tap in taps], layout, num_classes)
    return DenseNetwork(backbone, [tap.map for tap in taps], head)


VARIANTS = {
    "fcos": Variant(
        FCOSLayout(),
        "FCOS: boxes of objects, anchor-free, one stage; for any backbone",
        InputShape(3, 320, 320),
        80,
        computed(
            "2,958,848 of the backbone + 377,760 of the pyramid + 332,928 of the towers + 73,529 parameters",
            params=3_743_065,
            macs=1_793_381_600,
        ),
        augment="scene",
        output="boxes",
    )
}
