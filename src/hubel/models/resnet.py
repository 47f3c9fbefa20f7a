"""ResNet. He, Zhang, Ren & Sun 2015, "Deep residual learning for image recognition", arXiv:1512.03385.

For ImageNet: Table 1; blocks: Figure 5. For small images: Section 4.2, 6n + 2 layers. Shortcuts where a unit changes
the shape: options A, B and C of Section 3.3 and Section 4.1. `plain...` are the same networks without shortcuts
(Figure 3, middle), for the degradation experiment.
Deviation ("v1.5"): in `resnet50`, `resnet101` and `resnet152` the stride sits on the 3x3 convolution, as in all
published weights; in the paper and in `resnet50_v1` it sits on the first 1x1.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.models.variant import InputShape, Published, Rounded, Variant, computed, library, paper
from hubel.nn.blocks import ConvNorm, Style, pooled_head
from hubel.nn.dilation import keep_stride
from hubel.nn.layers import check_choice, check_depth, check_positive, check_share, he_initialise
from hubel.nn.network import Network

_STYLE = Style("relu")


@dataclass(frozen=True)
class ResNetLayout:
    """Columns of Table 1, and the settings of Section 4.2 for small images."""

    block: str = "basic"  # basic: 3x3 -> 3x3; bottleneck: 1x1 -> 3x3 -> 1x1 with four times the width
    depths: tuple[int, ...] = (2, 2, 2, 2)  # units in conv2_x .. conv5_x
    widths: tuple[int, ...] = (64, 128, 256, 512)  # maps within the units of each stage
    stem: str = "7x7"  # 7x7: stride 2, then 3x3 max pooling of stride 2; 3x3: stride 1, for small images
    shortcut: str = "B"  # A: no parameters; B: 1x1 where the shape changes; C: 1x1 everywhere; none: plain
    stride_on: str = "3x3"  # of bottlenecks: 1x1 (the paper) or 3x3 ("v1.5")
    dropout: float = 0.0  # probability, before the linear layer
    output_stride: int = 32


class ZeroMaps(nn.Module):
    """Adds maps of zeros, half before and half after: the rest of option A."""

    def __init__(self, new: int) -> None:
        super().__init__()
        self.new = new

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to `(n, c + new, h, w)`."""
        return F.pad(x, (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))


class Residual(nn.Module):
    """relu(F(x) + shortcut(x)) (Eq. 1 and 2).

    Args:
        residual: F; no activation after its last convolution.
        shortcut: module on the shortcut; None makes a plain unit, relu(F(x)).
    """

    def __init__(self, residual: nn.Sequential, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.residual = residual
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, in, h, w)` to `(n, out, h / stride, w / stride)`."""
        y = self.residual(x)
        return F.relu(y if self.shortcut is None else y + self.shortcut(x), inplace=True)


def basic(in_channels: int, width: int, stride: int) -> nn.Sequential:
    """Build F = 3x3 -> 3x3 (Figure 5, left)."""
    return nn.Sequential(
        ConvNorm(in_channels, width, 3, stride, style=_STYLE), ConvNorm(width, width, 3, style=_STYLE.linear)
    )


def bottleneck(in_channels: int, width: int, stride: int, stride_on: str) -> nn.Sequential:
    """Build F = 1x1 -> 3x3 -> 1x1 (Figure 5, right)."""
    first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
    return nn.Sequential(
        ConvNorm(in_channels, width, 1, first, style=_STYLE),
        ConvNorm(width, width, 3, second, style=_STYLE),
        ConvNorm(width, 4 * width, 1, style=_STYLE.linear),
    )


def shortcut(option: str, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """Build the shortcut: identity where shapes agree (except in option C); None in plain networks."""
    if option == "none":
        return None
    same = in_channels == out_channels and stride == 1
    if same and option != "C":
        return nn.Identity()
    if option == "A":
        # Pooling over one pixel selects every stride-th pixel.
        return nn.Sequential(nn.MaxPool2d(1, stride), ZeroMaps(out_channels - in_channels))
    return ConvNorm(in_channels, out_channels, 1, stride, style=_STYLE.linear)


def build(layout: ResNetLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout; He initialisation (Section 3.4)."""
    _check(layout)
    channels = layout.widths[0]
    if layout.stem == "7x7":
        stem = [ConvNorm(shape.channels, channels, 7, 2, style=_STYLE), nn.MaxPool2d(3, 2, padding=1)]
    else:
        stem = [ConvNorm(shape.channels, channels, 3, style=_STYLE)]
    stages = []
    for number, (depth, width) in enumerate(zip(layout.depths, layout.widths, strict=True)):
        units = []
        for unit in range(depth):
            stride = 2 if number > 0 and unit == 0 else 1
            if layout.block == "basic":
                residual, out = basic(channels, width, stride), width
            else:
                residual, out = bottleneck(channels, width, stride, layout.stride_on), 4 * width
            units.append(Residual(residual, shortcut(layout.shortcut, channels, out, stride)))
            channels = out
        stages.append(nn.Sequential(*units))
    network = Network(nn.Sequential(*stem), stages, pooled_head(channels, num_classes, layout.dropout))
    he_initialise(network)
    keep_stride(network, layout.output_stride)
    return network


def _check(layout: ResNetLayout) -> None:
    for option, known in {
        "block": ("basic", "bottleneck"),
        "stem": ("7x7", "3x3"),
        "shortcut": ("A", "B", "C", "none"),
        "stride_on": ("1x1", "3x3"),
    }.items():
        check_choice(option, getattr(layout, option), known)
    check_positive(depths=layout.depths, widths=layout.widths)
    check_share(dropout=layout.dropout)
    check_depth(layout.depths)
    if len(layout.depths) != len(layout.widths):
        raise OptionError(f"depths {layout.depths} and widths {layout.widths} are one number for each stage")
    if layout.shortcut == "A" and list(layout.widths) != sorted(layout.widths):
        raise OptionError(
            f"shortcuts without parameters add maps but cannot merge them, so widths grow; got {layout.widths}"
        )


_STEM_MAPS = {"stem.block1": (64, 112, 112), "stem": (64, 56, 56)}
_BASIC = paper(
    "He 2015, Table 1",
    maps={
        **_STEM_MAPS,
        "stage1": (64, 56, 56),
        "stage2": (128, 28, 28),
        "stage3": (256, 14, 14),
        "stage4": (512, 7, 7),
    },
)
_BOTTLENECK = paper(
    "He 2015, Table 1",
    maps={
        **_STEM_MAPS,
        "stage1": (256, 56, 56),
        "stage2": (512, 28, 28),
        "stage3": (1024, 14, 14),
        "stage4": (2048, 7, 7),
    },
)
_SMALL = paper(
    "He 2015, Section 4.2",
    maps={"stem": (16, 32, 32), "stage1": (16, 32, 32), "stage2": (32, 16, 16), "stage3": (64, 8, 8)},
)
_STRIDE = "the paper's network has the stride on the first 1x1 convolution"


def _imagenet(depth: int, layout: ResNetLayout, published: Published, summary: str = "") -> Variant:
    return Variant(layout, summary or f"ResNet-{depth}, residual learning", InputShape(3, 224, 224), 1000, published)


def _cifar(n: int, printed: Rounded, params: int, macs: int, option: str = "A") -> Variant:
    """Return a variant of 6n + 2 layers; `printed` are the parameters in Table 6, where plain networks have as many."""
    kind = "ResNet" if option == "A" else "plain network"
    return Variant(
        ResNetLayout("basic", (n, n, n), (16, 32, 64), "3x3", option),
        f"{kind} of {6 * n + 2} layers for small images" + (", parameter-free shortcuts" if option == "A" else ""),
        InputShape(3, 32, 32),
        published=_SMALL
        + paper("He 2015, Table 6", params=printed)
        + computed("Section 4.2", params=params, macs=macs),
    )


VARIANTS = {
    "resnet18": _imagenet(
        18,
        ResNetLayout("basic", (2, 2, 2, 2)),
        _BASIC
        + paper("He 2015, Table 1", macs=Rounded(1.8e9, 2))
        + library("torchvision", params=11_689_512, macs=1_814_073_344),
    ),
    "resnet34": _imagenet(
        34,
        ResNetLayout("basic", (3, 4, 6, 3)),
        _BASIC
        + paper("He 2015, Table 1", macs=Rounded(3.6e9, 2, "the paper's has shortcuts without parameters"))
        + library("torchvision", params=21_797_672, macs=3_663_761_408),
    ),
    "resnet50": _imagenet(
        50,
        ResNetLayout("bottleneck", (3, 4, 6, 3)),
        _BOTTLENECK
        + paper("He 2015, Table 1", macs=Rounded(3.8e9, 2, _STRIDE))
        + library("torchvision", params=25_557_032, macs=4_089_184_256),
    ),
    "resnet101": _imagenet(
        101,
        ResNetLayout("bottleneck", (3, 4, 23, 3)),
        _BOTTLENECK
        + paper("He 2015, Table 1", macs=Rounded(7.6e9, 2, _STRIDE))
        + library("torchvision", params=44_549_160, macs=7_801_405_440),
    ),
    "resnet152": _imagenet(
        152,
        ResNetLayout("bottleneck", (3, 8, 36, 3)),
        _BOTTLENECK
        + paper("He 2015, Table 1", macs=Rounded(11.3e9, 3, _STRIDE))
        + library("torchvision", params=60_192_808, macs=11_513_626_624),
    ),
    "resnet50_v1": _imagenet(
        50,
        ResNetLayout("bottleneck", (3, 4, 6, 3), stride_on="1x1"),
        _BOTTLENECK
        + paper("He 2015, Table 1", macs=Rounded(3.8e9, 2, "3.858e9 rounds to 3.9e9; the paper's digits are cut off"))
        + computed("Table 1", params=25_557_032, macs=3_857_973_248),
        "ResNet-50 as in the paper: stride on the first 1x1",
    ),
    "plain18": _imagenet(
        18,
        ResNetLayout("basic", (2, 2, 2, 2), shortcut="none"),
        _BASIC + computed("Table 1 without shortcuts", params=11_515_688, macs=1_794_805_760),
        "ResNet-18 without shortcuts",
    ),
    "plain34": _imagenet(
        34,
        ResNetLayout("basic", (3, 4, 6, 3), shortcut="none"),
        _BASIC
        + paper("He 2015, Figure 3", macs=Rounded(3.6e9, 2))
        + computed("Table 1 without shortcuts", params=21_623_848, macs=3_644_493_824),
        "ResNet-34 without shortcuts",
    ),
    "resnet20": _cifar(3, Rounded(0.27e6, 2), 269_722, 40_551_040),
    "resnet32": _cifar(5, Rounded(0.46e6, 2), 464_154, 68_862_592),
    "resnet44": _cifar(7, Rounded(0.66e6, 2), 658_586, 97_174_144),
    "resnet56": _cifar(9, Rounded(0.85e6, 2), 853_018, 125_485_696),
    "resnet110": _cifar(18, Rounded(1.7e6, 2), 1_727_962, 252_887_680),
    "resnet1202": _cifar(200, Rounded(19.4e6, 3), 19_421_274, 2_829_238_912),
    "plain20": _cifar(3, Rounded(0.27e6, 2), 269_722, 40_551_040, "none"),
    "plain32": _cifar(5, Rounded(0.46e6, 2), 464_154, 68_862_592, "none"),
    "plain44": _cifar(7, Rounded(0.66e6, 2), 658_586, 97_174_144, "none"),
    "plain56": _cifar(9, Rounded(0.85e6, 2), 853_018, 125_485_696, "none"),
}
