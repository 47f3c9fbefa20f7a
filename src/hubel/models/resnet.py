"""ResNet for small images. He, Zhang, Ren & Sun 2015, arXiv:1512.03385, Section 4.2.

6n + 2 layers: one 3x3 convolution, then three stages of n units with 16, 32 and 64 maps of 32x32, 16x16 and 8x8
pixels, global average pooling and a linear layer. Shortcuts are option A of Section 3.3: where the maps grow, every
second pixel, with zeros for the new maps, so that they have no parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.models.variant import InputShape, Published, Variant
from hubel.nn.layers import check_depth, he_initialise
from hubel.nn.network import Network


class Basic(nn.Module):
    """relu(F(x) + shortcut(x)), F = 3x3 -> 3x3 (Figure 2; Eq. 1)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.stride, self.new_channels = stride, out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, in, h, w)` to `(n, out, h / stride, w / stride)`."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x), inplace=True)

    def shortcut(self, x: Tensor) -> Tensor:
        """Option A: the identity, subsampled and padded with zero maps where the unit changes the shape."""
        if self.stride == 1 and self.new_channels == 0:
            return x
        before = self.new_channels // 2
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.new_channels - before))


@dataclass(frozen=True)
class Layout:
    """The table of Section 4.2."""

    depths: tuple[int, ...] = (3, 3, 3)  # units of each stage: n, n, n
    widths: tuple[int, ...] = (16, 32, 64)  # maps of each stage


def build(layout: Layout, shape: InputShape, num_classes: int) -> Network:
    """The network of a layout; He initialisation (Section 3.4)."""
    depths, widths = layout.depths, layout.widths
    if len(depths) != len(widths) or min((*depths, *widths), default=0) < 1:
        raise OptionError(f"depths {depths} and widths {widths} are one positive number for each stage")
    if list(widths) != sorted(widths):
        raise OptionError(f"shortcuts without parameters can add maps but not merge them, so widths grow; got {widths}")
    check_depth(depths)
    channels = widths[0]
    stem = nn.Sequential(
        nn.Conv2d(shape.channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )
    stages = []
    for number, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        strides = [2 if number > 0 else 1] + [1] * (depth - 1)
        ins = [channels] + [width] * (depth - 1)
        stages.append(nn.Sequential(*(Basic(i, width, s) for i, s in zip(ins, strides, strict=True))))
        channels = width
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
    network = Network(stem, stages, head)
    he_initialise(network)
    return network


VARIANTS = {
    "resnet20": Variant(
        Layout(),
        "ResNet-20 for small images, parameter-free shortcuts (option A)",
        InputShape(3, 32, 32),
        published=Published(
            "He 2015, Table 6: 0.27 M parameters; 40.6 M multiply-adds follow from Section 4.2",
            params=269_722,
            macs=40_551_040,
            maps={"stem": (16, 32, 32), "stage1": (16, 32, 32), "stage2": (32, 16, 16), "stage3": (64, 8, 8)},
        ),
    )
}
