"""A small convolutional network whose every hyperparameter is an option.

Each stage is one or more convolutions that keep the size, each with batch norm (Ioffe & Szegedy 2015) and an
activation, then max pooling; fully connected layers follow. The design is that of VGG (Simonyan & Zisserman 2014,
Section 2.1), small.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from hubel.core.errors import OptionError
from hubel.models.variant import InputShape, Variant, computed
from hubel.nn.layers import activation, check_depth, he_initialise
from hubel.nn.network import Network


@dataclass(frozen=True)
class ConvNetLayout:
    """One entry of `filters` is one stage; a single kernel size or repeat serves all stages."""

    filters: tuple[int, ...] = (32, 64, 128)  # maps of each stage
    kernel: tuple[int, ...] = (3,)  # convolution window of each stage, odd, in pixels
    repeat: tuple[int, ...] = (2,)  # convolutions in each stage
    pool: int = 2  # max-pooling window, in pixels; 1 means none
    pool_stride: int = 2
    average: bool = True  # average each map before the fully connected layers; otherwise flatten
    dense: tuple[int, ...] = ()  # units of each fully connected layer before the output
    activation: str = "relu"
    batch_norm: bool = True
    dropout: float = 0.0  # probability, before each fully connected layer


class ConvBlock(nn.Sequential):
    """activation(norm(conv(x))), of the same height and width."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, layout: ConvNetLayout) -> None:
        norm = nn.BatchNorm2d(out_channels) if layout.batch_norm else nn.Identity()
        convolution = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=not layout.batch_norm)
        super().__init__(convolution, norm, activation(layout.activation))


def build(layout: ConvNetLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout."""
    kernels, repeats = (_for_each_stage(layout, name) for name in ("kernel", "repeat"))
    _check(layout, kernels)
    stages = []
    channels, height, width = shape
    for filters, kernel, repeat in zip(layout.filters, kernels, repeats, strict=True):
        blocks = [ConvBlock(channels if i == 0 else filters, filters, kernel, layout) for i in range(repeat)]
        height, width = ((side - layout.pool) // layout.pool_stride + 1 for side in (height, width))
        if height < 1 or width < 1:
            raise OptionError(
                f"{len(layout.filters)} stages with pooling {layout.pool} leave no pixels of {shape.height}x"
                f"{shape.width}; use fewer filters, a smaller pool or larger images"
            )
        stages.append(nn.Sequential(*blocks, nn.MaxPool2d(layout.pool, layout.pool_stride)))
        channels = filters
    units = channels if layout.average else channels * height * width
    layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(1)] if layout.average else []
    layers.append(nn.Flatten())
    for dense in layout.dense:
        layers += [nn.Dropout(layout.dropout), nn.Linear(units, dense), activation(layout.activation)]
        units = dense
    head = nn.Sequential(*layers, nn.Dropout(layout.dropout), nn.Linear(units, num_classes))
    network = Network(nn.Identity(), stages, head)
    he_initialise(network, layout.activation)
    return network


def _for_each_stage(layout: ConvNetLayout, name: str) -> tuple[int, ...]:
    values: tuple[int, ...] = getattr(layout, name)
    if len(values) == 1:
        return values * len(layout.filters)
    if len(values) != len(layout.filters):
        raise OptionError(f"{name} has {len(values)} values for {len(layout.filters)} stages; give one, or one each")
    return values


def _check(layout: ConvNetLayout, kernels: tuple[int, ...]) -> None:
    if not layout.filters:
        raise OptionError("a convnet needs at least one stage: filters is empty")
    if any(kernel % 2 == 0 for kernel in kernels):
        raise OptionError(f"kernel sizes are odd, so that each output has a centre; got {layout.kernel}")
    positive = (*layout.filters, *kernels, *layout.repeat, *layout.dense, layout.pool, layout.pool_stride)
    if min(positive) < 1:
        raise OptionError("filters, kernel, repeat, pool, pool_stride and dense are at least 1")
    check_depth(_for_each_stage(layout, "repeat"))
    if not 0 <= layout.dropout < 1:
        raise OptionError(f"dropout is a probability below 1, not {layout.dropout}")


VARIANTS = {
    "convnet": Variant(
        ConvNetLayout(),
        "stages of 3x3 convolutions; every hyperparameter an option",
        InputShape(3, 32, 32),
        published=computed(
            "six 3x3 convolutions with batch norm, and a linear layer",
            params=288_746,
            macs=38_634_752,
            maps={"stage1": (32, 16, 16), "stage2": (64, 8, 8), "stage3": (128, 4, 4)},
        ),
    )
}
