"""LeNet-5. LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition".

`lenet5` is Section II.B: each map of C3 is connected to a subset of the maps of S2 (Table I); S2 and S4 add four pixels
and have a trainable factor and bias; tanh is scaled (Appendix A); an output is the Euclidean distance to a fixed bitmap
of 7x12 pixels (Eq. 7). 60,000 trainable parameters; 340,908 connections: 325,680 multiply-adds, one bias for each value
of C1, C3, C5 and F6, and those of S2, S4 and the output layer.
Deviation: outputs are negative distances, so that the predicted class has the largest one, and softmax cross-entropy is
the criterion of Eq. 9 without its constant. The digits' bitmaps are drawn anew after Figure 3; classes beyond ten have
random codes of -1 and +1, which the paper names as the alternative.

`lenet5_modern` has the layers of Figure 2 in the form in common use, `lenet5_relu` with ReLU, max pooling and padding.
Deviation: C3 is connected to all six maps of S2; S2 and S4 are plain average pooling; tanh is not scaled; the output
layer is linear with softmax. 61,706 parameters.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.core.random import uniform
from hubel.models.variant import InputShape, Variant, computed, paper
from hubel.nn.layers import QuadraticOutput, SparselyConnected, activation, check_choice, check_positive, check_share
from hubel.nn.network import Network

# Table I: the maps of S2 that each map of C3 is connected to.
_CONNECTIONS = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip

# After Figure 3; rows of 7 pixels, 12 of them.
_DIGITS = """
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
..###..  ...##..  .#####.  #######  ....##.  #######  ..####.  #######  .#####.  .#####.
.##.##.  .####..  ##...##  .....##  ...###.  ##.....  .##....  ##...##  ##...##  ##...##
##...##  ...##..  .....##  ....##.  ..####.  ##.....  ##.....  .....##  ##...##  ##...##
##...##  ...##..  .....##  ...##..  .##.##.  ######.  ##.....  ....##.  ##...##  ##...##
##...##  ...##..  ....##.  ..####.  ##..##.  .....##  ######.  ...##..  .#####.  .######
##...##  ...##..  ...##..  .....##  #######  .....##  ##...##  ...##..  ##...##  .....##
##...##  ...##..  ..##...  .....##  ....##.  .....##  ##...##  ..##...  ##...##  .....##
.##.##.  ...##..  .##....  ##...##  ....##.  ##...##  ##...##  ..##...  ##...##  ....##.
..###..  .######  #######  .#####.  ....##.  .#####.  .#####.  ..##...  .#####.  .####..
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
"""


@dataclass(frozen=True)
class LeNet5Layout:
    """The network of Section II.B, which fixes everything else."""

    dropout: float = 0.0  # probability, before the output layer; the paper has none


@dataclass(frozen=True)
class ModernLeNet5Layout:
    """Maps of C1, C3 and C5, and units of F6 (Figure 2)."""

    c1: int = 6
    c3: int = 16
    c5: int = 120
    f6: int = 84
    activation: str = "tanh"
    pool: str = "average"  # or "max"
    padding: int = 0  # of C1: 2 lets the network take images of 28x28
    dropout: float = 0.0  # probability, before the output layer; the paper has none


class SubSampling(nn.Module):
    """w * (sum of 2x2 pixels) + b, with one w and one b for each map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to `(n, c, h / 2, w / 2)`."""
        return 4 * F.avg_pool2d(x, 2) * self.weight[:, 0] + self.bias[:, None, None]


class SparseConv(SparselyConnected):
    """C3: a 5x5 convolution whose maps are each connected to a subset of the input maps, without other weights.

    torch convolves with a kernel that has zeros elsewhere; only the connected pairs of maps count as multiply-adds.
    """

    def __init__(self, table: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        pairs = [(out, below) for out, connected in enumerate(table) for below in connected]
        self.shape = (len(table), 1 + max(below for _, below in pairs))
        self.density = Fraction(len(pairs), self.shape[0] * self.shape[1])
        # Index of the kernel of each pair of output and input map; the additional last kernel is zero.
        self.kernels = [pairs.index(pair) if pair in pairs else len(pairs) for pair in np.ndindex(self.shape)]
        self.weight = nn.Parameter(torch.empty(len(pairs), 5, 5))
        self.bias = nn.Parameter(torch.zeros(len(table)))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, in, h, w)` to `(n, out, h - 4, w - 4)`."""
        padded = torch.cat([self.weight, self.weight.new_zeros(1, 5, 5)])
        return F.conv2d(x, padded[self.kernels].view(*self.shape, 5, 5), self.bias)


class Distances(QuadraticOutput):
    """The output layer: -|x - w|^2 for the fixed code w of each class (Eq. 7, with the sign turned)."""

    codes: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.tensor(class_codes(num_classes).tolist()))

    def forward(self, x: Tensor) -> Tensor:
        """Map F6 `(n, 84)` to logits `(n, classes)`."""
        return -(x[:, None, :] - self.codes).square().sum(2)


def class_codes(num_classes: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return codes `(classes, 84)` of -1 and +1: bitmaps of the digits, row by row; random codes beyond ten classes."""
    rows = [row.split() for row in _DIGITS.split("\n") if row]
    bitmaps = ["".join(row[digit] for row in rows) for digit in range(10)]
    drawn = np.array([[1 if pixel == "#" else -1 for pixel in bitmap] for bitmap in bitmaps], np.float32)
    more = np.arange(10, max(10, num_classes))[:, None]
    further = np.where(uniform(84, more, np.arange(84)) < 0.5, np.float32(-1), np.float32(1))
    return np.concatenate([drawn, further])[:num_classes]


def build(layout: LeNet5Layout | ModernLeNet5Layout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout."""
    check_share(dropout=layout.dropout)
    return (
        _paper(layout, shape, num_classes) if isinstance(layout, LeNet5Layout) else _modern(layout, shape, num_classes)
    )


def _paper(layout: LeNet5Layout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of Section II.B; weights are uniform within 2.4 / fan_in, as in Appendix A."""

    def squashed(layer: nn.Module) -> nn.Sequential:
        return nn.Sequential(OrderedDict(layer=layer, act=activation("scaled_tanh")))

    stages = [
        nn.Sequential(OrderedDict(c1=squashed(nn.Conv2d(shape.channels, 6, 5)), s2=squashed(SubSampling(6)))),
        nn.Sequential(OrderedDict(c3=squashed(SparseConv(_CONNECTIONS)), s4=squashed(SubSampling(16)))),
        nn.Sequential(OrderedDict(c5=squashed(nn.Conv2d(16, 120, 5)))),
    ]
    head = OrderedDict(
        flatten=nn.Flatten(),
        f6=squashed(nn.Linear(120, 84)),
        dropout=nn.Dropout(layout.dropout),
        output=Distances(num_classes),
    )
    network = Network(nn.Identity(), stages, nn.Sequential(head))
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            fan_in = {"s2": 4, "s4": 4, "c3": 25 * 60 // 16}.get(name.split(".")[-3], parameter[0].numel())
            nn.init.uniform_(parameter, -2.4 / fan_in, 2.4 / fan_in)
    return network


def _modern(layout: ModernLeNet5Layout, shape: InputShape, num_classes: int) -> Network:
    """Build the modern form with torch's default weights, uniform within 1 / sqrt(fan_in)."""
    check_positive(c1=layout.c1, c3=layout.c3, c5=layout.c5, f6=layout.f6)

    check_choice("pool", layout.pool, _POOLS)
    if not 0 <= layout.padding <= 2:  # more would surround the image with windows that see none of it
        raise OptionError(f"padding is 0, 1 or 2, not {layout.padding}")
    pool = _POOLS[layout.pool]

    def convolution(in_channels: int, out_channels: int, padding: int = 0) -> nn.Sequential:
        conv = nn.Conv2d(in_channels, out_channels, 5, padding=padding)
        return nn.Sequential(OrderedDict(conv=conv, act=activation(layout.activation)))

    stages = [
        nn.Sequential(OrderedDict(c1=convolution(shape.channels, layout.c1, layout.padding), s2=pool(2))),
        nn.Sequential(OrderedDict(c3=convolution(layout.c1, layout.c3), s4=pool(2))),
        nn.Sequential(OrderedDict(c5=convolution(layout.c3, layout.c5))),
    ]
    head = OrderedDict(
        flatten=nn.Flatten(),
        f6=nn.Linear(layout.c5, layout.f6),
        act=activation(layout.activation),
        dropout=nn.Dropout(layout.dropout),
        output=nn.Linear(layout.f6, num_classes),
    )
    return Network(nn.Identity(), stages, nn.Sequential(head))


_POOLS = {"average": nn.AvgPool2d, "max": nn.MaxPool2d}
_FIGURE_2 = paper(
    "LeCun 1998, Figure 2",
    maps={
        "stage1.block1": (6, 28, 28),
        "stage1": (6, 14, 14),
        "stage2.block1": (16, 10, 10),
        "stage2": (16, 5, 5),
        "stage3": (120, 1, 1),
        "logits": (10,),
    },
)

VARIANTS = {
    "lenet5": Variant(
        LeNet5Layout(),
        "LeNet-5 as in the paper: sparse C3, trainable sub-sampling, distances to bitmaps",
        InputShape(1, 32, 32),
        published=paper("LeCun 1998, Section II.B", params=60_000)
        + _FIGURE_2
        + computed("the connections of C1, C3, C5 and F6 (Section II.B) without biases", macs=325_680),
        fixed_size=True,
    ),
    "lenet5_modern": Variant(
        ModernLeNet5Layout(),
        "LeNet-5 in its common form: full C3, average pooling, tanh, softmax",
        InputShape(1, 32, 32),
        published=computed("156 + 2,416 + 48,120 + 10,164 + 850 parameters", params=61_706, macs=416_520) + _FIGURE_2,
        fixed_size=True,
    ),
    "lenet5_relu": Variant(
        ModernLeNet5Layout(activation="relu", pool="max", padding=2),
        "LeNet-5 as most tutorials write it: 28x28 images, ReLU, max pooling",
        InputShape(1, 28, 28),
        published=computed("156 + 2,416 + 48,120 + 10,164 + 850 parameters", params=61_706, macs=416_520) + _FIGURE_2,
        fixed_size=True,
    ),
}
