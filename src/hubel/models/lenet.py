"""LeNet-5. LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition".

`lenet5_modern` has the layers of Figure 2 in the form that everyone trains.
Deviation: C3 sees all six maps of S2 (the paper: Table I, a sparse choice); S2 and S4 are plain average pooling (the
paper: with a trainable factor and bias); tanh is not scaled; the output layer is linear with softmax (the paper:
Euclidean distances to fixed bitmaps).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from hubel.core.errors import OptionError
from hubel.models.variant import InputShape, Published, Variant
from hubel.nn.layers import activation
from hubel.nn.network import Network


@dataclass(frozen=True)
class Layout:
    """Figure 2: maps of C1, C3 and C5, units of F6."""

    c1: int = 6
    c3: int = 16
    c5: int = 120
    f6: int = 84
    activation: str = "tanh"


def build(layout: Layout, shape: InputShape, num_classes: int) -> Network:
    """The network of a layout, with torch's default weights: uniform within 1 / sqrt(fan_in)."""
    if min(layout.c1, layout.c3, layout.c5, layout.f6) < 1:
        raise OptionError(
            f"c1, c3, c5 and f6 are at least 1, not {layout.c1}, {layout.c3}, {layout.c5} and {layout.f6}"
        )

    def stage(name: str, in_channels: int, out_channels: int) -> nn.Sequential:
        convolution = OrderedDict(conv=nn.Conv2d(in_channels, out_channels, 5), act=activation(layout.activation))
        return nn.Sequential(
            OrderedDict([(f"c{name}", nn.Sequential(convolution)), (f"s{int(name) + 1}", nn.AvgPool2d(2))])
        )

    c5 = nn.Sequential(OrderedDict(conv=nn.Conv2d(layout.c3, layout.c5, 5), act=activation(layout.activation)))
    head = nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            f6=nn.Linear(layout.c5, layout.f6),
            act=activation(layout.activation),
            output=nn.Linear(layout.f6, num_classes),
        )
    )
    stages = [
        stage("1", shape.channels, layout.c1),
        stage("3", layout.c1, layout.c3),
        nn.Sequential(OrderedDict(c5=c5)),
    ]
    return Network(nn.Identity(), stages, head)


VARIANTS = {
    "lenet5_modern": Variant(
        Layout(),
        "LeNet-5 as everyone trains it: full C3, average pooling, tanh, softmax",
        InputShape(1, 32, 32),
        published=Published(
            "LeCun 1998, Figure 2 (shapes); 61,706 = 156 + 2,416 + 48,120 + 10,164 + 850",
            params=61_706,
            macs=416_520,
            maps={
                "stage1.block1": (6, 28, 28),
                "stage1": (6, 14, 14),
                "stage2.block1": (16, 10, 10),
                "stage2": (16, 5, 5),
                "stage3": (120, 1, 1),
                "logits": (10,),
            },
        ),
        fixed_size=True,
    )
}
