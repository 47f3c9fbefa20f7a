"""U-Net. Ronneberger, Fischer & Brox 2015, arXiv:1505.04597.

`unet_2015` is Figure 1: convolutions without padding, so that 572 pixels give scores of 388. What lies beyond an image
is its mirror image (Figure 2); here the network itself mirrors, and so has scores of exactly the image's pixels.

`unet` is the same decoder on a backbone of the catalogue: in each step the map is enlarged to the next finer one of
the backbone, put beside it, and convolved twice. It may end before the finest map: the scores are then interpolated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.models.backbone import build_backbone
from hubel.models.variant import InputShape, Variant, computed, paper
from hubel.nn.blocks import ConvNorm, Style
from hubel.nn.dense import DenseHead, DenseNetwork, Size, enlarged, initialise_scores
from hubel.nn.layers import check_choice, check_positive, check_share, he_initialise
from hubel.nn.network import Network
from hubel.nn.taps import find_taps

_STYLE, _PLAIN = Style("relu"), Style("relu", norm=False)
_UPSAMPLE = ("nearest", "bilinear", "transposed")


@dataclass(frozen=True)
class UNetLayout:
    """A decoder on a backbone of the catalogue."""

    backbone: str = "efficientnet_lite0"
    backbone_options: tuple[str, ...] = ()  # each as name=value
    widths: tuple[int, ...] = (128, 64, 32)  # maps of each step, the coarsest first
    upsample: str = "nearest"  # nearest, bilinear, or transposed (2x2 with weights, as in the paper)
    dropout: float = 0.0  # probability that a map is left out before the scores


@dataclass(frozen=True)
class OriginalLayout:
    """Figure 1."""

    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)  # maps of each level
    dropout: float = 0.5  # probability, at the end of the contracting path (Section 3.1)


class Up(nn.Module):
    """Enlarge a map to twice the size, put a finer one beside it, and convolve both twice.

    Args:
        in_channels: channels of the map.
        skip_channels: channels of the finer map.
        out_channels: channels of the result.
        upsample: "nearest", "bilinear" or "transposed".
        padded: keep the size of the finer map; otherwise it is cropped, and the result is 4 pixels smaller.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, upsample: str, *, padded: bool) -> None:
        super().__init__()
        self.upsample, self.padded = upsample, padded
        self.up: nn.Module = nn.Identity()
        if upsample == "transposed":
            self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, 2)
            in_channels = out_channels
        padding, style = (1, _STYLE) if padded else (0, _PLAIN)
        self.convs = nn.Sequential(
            ConvNorm(in_channels + skip_channels, out_channels, 3, padding=padding, style=style),
            ConvNorm(out_channels, out_channels, 3, padding=padding, style=style),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map `(n, in, h, w)` and `(n, skip, about 2h, about 2w)` to `(n, out, height, width)`."""
        x = self.up(x)
        if self.padded:
            size = int(skip.shape[2]), int(skip.shape[3])
            x = enlarged(x, size, "nearest" if self.upsample == "transposed" else self.upsample)
        else:
            skip = cropped(skip, x)
        y: Tensor = self.convs(torch.cat([skip, x], 1))
        return y


def cropped(x: Tensor, like: Tensor) -> Tensor:
    """Return the middle of a map, of the size of another one."""
    top, left = ((int(a) - int(b)) // 2 for a, b in zip(x.shape[2:], like.shape[2:], strict=True))
    return x[:, :, top : top + int(like.shape[2]), left : left + int(like.shape[3])]


class Mirrored(nn.Module):
    """The image with a mirrored margin, such that the scores have at least its size (Figure 2)."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        # Two 3x3 convolutions take 4 pixels of their level: of each level twice, but of the lowest once.
        self.margin = 2 * sum(2 * 2**level for level in range(levels - 1)) + 2 * 2 ** (levels - 1)
        self.step = 2 ** (levels - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to the same with at least `margin` pixels more on each side."""
        # Every level halves an even number of pixels if the scores have 4 more than a multiple of the step.
        down, right = ((4 - int(side)) % self.step for side in x.shape[2:])
        return F.pad(x, (self.margin, self.margin + right, self.margin, self.margin + down), mode="reflect")


class Decoder(DenseHead):
    """The expansive path: from the coarsest map to scores.

    Args:
        channels: channels of the maps, the finest first.
        names: of the steps, from the coarsest on; one fewer than maps.
        widths: maps of each step.
        num_classes: number of classes.
        upsample: see `Up`.
        dropout: probability that a map is left out before the scores.
        padded: see `Up`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        names: Sequence[str],
        widths: Sequence[int],
        num_classes: int,
        upsample: str,
        dropout: float = 0.0,
        *,
        padded: bool = True,
    ) -> None:
        super().__init__()
        *skips, below = channels
        self.names = tuple(names)
        for name, skip, width in zip(names, reversed(skips), widths, strict=True):
            self.add_module(name, Up(below, skip, width, upsample, padded=padded))
            below = width
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(below, num_classes, 1)
        self.padded = padded
        he_initialise(self)
        initialise_scores(self.classifier)

    def walk(self, maps: Sequence[Tensor], size: Size) -> Iterator[tuple[str, Tensor]]:
        """Yield the map of each step, the scores, and the scores of each pixel `(n, classes, height, width)`."""
        *skips, x = maps
        for name, skip in zip(self.names, reversed(skips), strict=True):
            x = getattr(self, name)(x, skip)
            yield name, x
        x = self.classifier(self.dropout(x))
        yield "scores", x
        height, width = size
        yield "logits", enlarged(x, size) if self.padded else x[:, :, :height, :width]


def build(layout: UNetLayout | OriginalLayout, shape: InputShape, num_classes: int) -> DenseNetwork:
    """Build the network of a layout; He initialisation, as in Section 3."""
    check_positive(widths=layout.widths)
    check_share(dropout=layout.dropout)
    if isinstance(layout, OriginalLayout):
        return _original(layout, shape, num_classes)
    check_choice("upsample", layout.upsample, _UPSAMPLE)
    backbone = build_backbone(layout.backbone, shape.channels, layout.backbone_options, input_size=shape[1:])
    taps = find_taps(backbone)
    if not len(layout.widths) < len(taps):
        raise OptionError(f"{layout.backbone} has {len(taps)} maps, so widths are at most {len(taps) - 1} numbers")
    taps = taps[-len(layout.widths) - 1 :]
    head = Decoder(
        [tap.channels for tap in taps],
        [f"up{tap.stride}" for tap in reversed(taps[:-1])],
        layout.widths,
        num_classes,
        layout.upsample,
        layout.dropout,
    )
    return DenseNetwork(backbone, [tap.map for tap in taps], head)


def _original(layout: OriginalLayout, shape: InputShape, num_classes: int) -> DenseNetwork:
    if len(layout.widths) < 2:
        raise OptionError(f"widths are those of at least two levels, not {layout.widths}")
    stages, channels = [], shape.channels
    for level, width in enumerate(layout.widths):
        blocks: list[nn.Module] = [nn.MaxPool2d(2)] if level else []
        blocks += [ConvNorm(i, width, 3, padding=0, style=_PLAIN) for i in (channels, width)]
        if level >= len(layout.widths) - 2:
            blocks.append(nn.Dropout(layout.dropout))
        stages.append(nn.Sequential(*blocks))
        channels = width
    contracting = Network(nn.Sequential(Mirrored(len(layout.widths))), stages, nn.Identity())
    he_initialise(contracting)
    widths = layout.widths[-2::-1]
    names = [f"up{level}" for level in range(len(widths), 0, -1)]
    head = Decoder(layout.widths, names, widths, num_classes, "transposed", padded=False)
    return DenseNetwork(contracting, [f"stage{number}" for number in range(1, len(layout.widths) + 1)], head)


VARIANTS = {
    "unet": Variant(
        UNetLayout(),
        "U-Net on a backbone: semantic segmentation",
        InputShape(3, 352, 480),
        21,
        computed(
            "efficientnet_lite0 without its head, and the decoder",
            params=3_773_749,
            macs=2_375_783_520,
            maps={
                "stage7": (320, 11, 15),
                "head.up16": (128, 22, 30),
                "head.up8": (64, 44, 60),
                "head.up4": (32, 88, 120),
                "head.scores": (21, 88, 120),
                "logits": (21, 352, 480),
            },
        ),
        output="maps",
    ),
    "unet_2015": Variant(
        OriginalLayout(),
        "U-Net as in the paper: semantic segmentation",
        InputShape(1, 388, 388),
        2,
        paper(
            "Ronneberger 2015, Figure 1",
            maps={
                "stem": (1, 572, 572),
                "stage1": (64, 568, 568),
                "stage2": (128, 280, 280),
                "stage3": (256, 136, 136),
                "stage4": (512, 64, 64),
                "stage5": (1024, 28, 28),
                "head.up4": (512, 52, 52),
                "head.up3": (256, 100, 100),
                "head.up2": (128, 196, 196),
                "head.up1": (64, 388, 388),
                "logits": (2, 388, 388),
            },
        )
        + computed("Figure 1", params=31_030_658, macs=150_428_424_448),
        smallest=105,
        output="maps",
    ),
}
