"""CLIP's ResNet. Radford et al. 2021, "Learning transferable visual models from natural language supervision".

arXiv:2103.00020, Section 2.4 and Table 19: the image towers RN50, RN101 and RN50x4. They are ResNet-D (He et al. 2019,
arXiv:1812.01187, Section 4.2) with anti-aliased strides (Zhang 2019, arXiv:1904.11486) and attention pooling in place
of the average: "a single layer of transformer-style multi-head QKV attention where the query is conditioned on the
global average-pooled representation of the image". The outputs are the embedding, not classes.
The paper leaves open which filter the strides get; all published weights average over 2x2, and so does this file.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.models.variant import InputShape, Published, Variant, computed, library, paper
from hubel.nn.blocks import ConvNorm, Style
from hubel.nn.layers import check_depth, check_positive, he_initialise
from hubel.nn.network import Network

_STYLE = Style("relu")
_HEAD_WIDTH = 64  # channels of a head of the attention


@dataclass(frozen=True)
class CLIPResNetLayout:
    """Columns of Table 19."""

    depths: tuple[int, ...] = (3, 4, 6, 3)  # blocks of each stage
    width: int = 64  # maps within the blocks of the first stage; those of the last stage come out 32 times as many


class Bottleneck(nn.Module):
    """relu(F(x) + shortcut(x)), F = 1x1 -> 3x3 -> average over `stride` -> 1x1 with four times the width."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            OrderedDict(
                reduce=ConvNorm(in_channels, width, 1, style=_STYLE),
                conv=ConvNorm(width, width, 3, style=_STYLE),
                pool=nn.AvgPool2d(stride) if stride > 1 else nn.Identity(),
                expand=ConvNorm(width, 4 * width, 1, style=_STYLE.linear),
            )
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != 4 * width:
            self.shortcut = nn.Sequential(
                OrderedDict(
                    pool=nn.AvgPool2d(stride) if stride > 1 else nn.Identity(),
                    conv=ConvNorm(in_channels, 4 * width, 1, style=_STYLE.linear),
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, in, h, w)` to `(n, 4 * width, h / stride, w / stride)`."""
        return F.relu(self.residual(x) + self.shortcut(x), inplace=True)


class AttentionPool(nn.Module):
    """Attend from the mean of a map to its places: one step of multi-head attention (Section 2.4).

    Args:
        channels: of the map, a multiple of the 64 that a head has.
        places: positions of the map, height times width.
    """

    def __init__(self, channels: int, places: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(places + 1, channels) / channels**0.5)
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        for layer in (self.query, self.key, self.value):
            nn.init.normal_(layer.weight, std=channels**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to `(n, c)`."""
        places = x.flatten(2).transpose(1, 2)
        places = torch.cat([places.mean(1, keepdim=True), places], 1) + self.positions

        def heads(vectors: Tensor) -> Tensor:
            """Divide vectors `(n, t, c)` into `(n, heads, t, 64)`."""
            n, t, channels = vectors.shape
            return vectors.view(n, t, channels // _HEAD_WIDTH, _HEAD_WIDTH).transpose(1, 2)

        query = heads(self.query(places[:, :1])) * _HEAD_WIDTH**-0.5
        weights = (query @ heads(self.key(places)).transpose(2, 3)).softmax(-1)
        attended: Tensor = (weights @ heads(self.value(places))).flatten(1)
        return attended


def build(layout: CLIPResNetLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout; `num_classes` is the length of the embedding."""
    check_positive(depths=layout.depths, width=layout.width)
    check_depth(layout.depths)
    half = -(-layout.width // 2)
    stem = [
        ConvNorm(shape.channels, half, 3, 2, style=_STYLE),
        ConvNorm(half, half, 3, style=_STYLE),
        ConvNorm(half, layout.width, 3, style=_STYLE),
        nn.AvgPool2d(2),
    ]
    channels, stages = layout.width, []
    for number, depth in enumerate(layout.depths):
        blocks = []
        for block in range(depth):
            width = layout.width * 2**number
            blocks.append(Bottleneck(channels, width, 2 if number > 0 and block == 0 else 1))
            channels = 4 * width
        stages.append(nn.Sequential(*blocks))
    height, width = (-(-side // 2) // 2 ** len(layout.depths) for side in shape[1:])
    pool, linear = AttentionPool(channels, height * width), nn.Linear(channels, num_classes)
    network = Network(nn.Sequential(*stem), stages, nn.Sequential(OrderedDict(pool=pool, linear=linear)))
    he_initialise(network.stem)
    he_initialise(network.stages)
    nn.init.normal_(linear.weight, std=channels**-0.5)
    return network


def _variant(name: str, layout: CLIPResNetLayout, side: int, embedding: int, published: Published) -> Variant:
    """Return a variant; `side` and `embedding` are the input resolution and the embedding dimension of Table 19."""
    return Variant(
        layout,
        f"image tower {name} of CLIP, an embedding of {embedding:,} numbers",
        InputShape(3, side, side),
        embedding,
        paper("Radford 2021, Table 19", maps={"logits": (embedding,)}) + published,
        smallest=31,
    )


VARIANTS = {
    "clip_resnet50": _variant(
        "RN50",
        CLIPResNetLayout((3, 4, 6, 3), 64),
        224,
        1024,
        library(
            "open_clip",
            params=38_316_896,
            maps={
                "stem": (64, 56, 56),
                "stage1": (256, 56, 56),
                "stage2": (512, 28, 28),
                "stage3": (1024, 14, 14),
                "stage4": (2048, 7, 7),
            },
        )
        + computed("Section 2.4", macs=5_793_153_024),
    ),
    "clip_resnet101": _variant(
        "RN101",
        CLIPResNetLayout((3, 4, 23, 3), 64),
        224,
        512,
        library(
            "open_clip",
            params=56_259_936,
            maps={
                "stem": (64, 56, 56),
                "stage1": (256, 56, 56),
                "stage2": (512, 28, 28),
                "stage3": (1024, 14, 14),
                "stage4": (2048, 7, 7),
            },
        )
        + computed("Section 2.4", macs=9_504_325_632),
    ),
    "clip_resnet50x4": _variant(
        "RN50x4",
        CLIPResNetLayout((4, 6, 10, 6), 80),
        288,
        640,
        library(
            "open_clip",
            params=87_137_080,
            maps={
                "stem": (80, 72, 72),
                "stage1": (320, 72, 72),
                "stage2": (640, 36, 36),
                "stage3": (1280, 18, 18),
                "stage4": (2560, 9, 9),
            },
        )
        + computed("Section 2.4", macs=20_581_048_320),
    ),
}
