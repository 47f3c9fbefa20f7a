"""Alternatives to a convolution, with their weights and multiplications."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from hubel.core.errors import OptionError
from hubel.teach.convolution.arithmetic import Convolution, Size

__all__ = ["Alternative", "fully_connected", "list_alternatives"]

_MOST_STACKED = 7  # layers of 3x3, whose receptive field is 15x15


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """A sequence of layers that can replace one layer.

    Attributes:
        name: description of the alternative.
        layers: the layers in order.
        sizes: size of each layer's input maps.
    """

    name: str
    layers: tuple[Convolution, ...]
    sizes: tuple[Size, ...]

    @property
    def weights(self) -> int:
        """Return the weights of all layers, without biases."""
        return sum(layer.weights for layer in self.layers)

    @property
    def biases(self) -> int:
        """Return the biases of all layers."""
        return sum(layer.out_channels for layer in self.layers)

    @property
    def multiplications(self) -> int:
        """Return the multiplications of all layers."""
        return sum(layer.multiplications(size) for layer, size in zip(self.layers, self.sizes, strict=True))


def list_alternatives(layer: Convolution, size: Size, *, bottleneck: int | None = None) -> list[Alternative]:
    """List the layer itself, and alternatives with the same output size and channels.

    Groups of the layer are not carried over to the alternatives.

    Args:
        layer: the layer to compare.
        size: size of its input maps.
        bottleneck: channels between the two layers of a bottleneck; a quarter of the input channels if not given.

    Raises:
        OptionError: the bottleneck is below 1.
    """
    if bottleneck is not None and bottleneck < 1:
        raise OptionError(f"bottleneck is at least 1, not {bottleneck}")
    plain = replace(layer, groups=1)
    narrow = bottleneck or (layer.in_channels // 4)
    candidates: list[tuple[str, list[Convolution]]] = [("the layer itself", [layer])]
    if layer.groups > 1:
        candidates.append(("without groups", [plain]))
    if narrow:
        candidates.append((f"1x1 bottleneck of {narrow:,}", _bottleneck(plain, narrow)))
    candidates += [(name, layers) for build in _BUILDERS for name, layers in build(plain)]
    candidates.append(("fully connected", [fully_connected(plain, size)]))
    return [
        Alternative(name=name, layers=tuple(layers), sizes=_input_sizes(layers, size)) for name, layers in candidates
    ]


def fully_connected(layer: Convolution, size: Size) -> Convolution:
    """Return the fully connected layer of the same input and output, as a convolution with a single window."""
    units = math.prod(layer.output_size(size)) * layer.out_channels
    one = (1,) * len(size)
    return Convolution(layer.in_channels, units, size, one, ((0, 0),) * len(size), one)


def _bottleneck(layer: Convolution, narrow: int) -> list[Convolution]:
    """Return a 1x1 convolution before the large one (Szegedy et al. 2014, arXiv:1409.4842, Figure 2(b))."""
    return [_pointwise(layer, layer.in_channels, narrow), replace(layer, in_channels=narrow)]


def _pointwise(layer: Convolution, in_channels: int, out_channels: int) -> Convolution:
    one = (1,) * len(layer.kernel_size)
    return Convolution(in_channels, out_channels, one, one, ((0, 0),) * len(one), one)


def _separable(layer: Convolution) -> Iterable[tuple[str, list[Convolution]]]:
    """Yield the depthwise separable convolution (Howard et al. 2017, arXiv:1704.04861, Section 3.1)."""
    channels = layer.in_channels
    depthwise = replace(layer, out_channels=channels, groups=channels)
    yield "depthwise separable", [depthwise, _pointwise(layer, channels, layer.out_channels)]


def _stacked(layer: Convolution) -> Iterable[tuple[str, list[Convolution]]]:
    """Yield stacked 3x3 convolutions (Simonyan & Zisserman 2014, arXiv:1409.1556, Section 2.3).

    The last layer has the stride; the padding is distributed over the layers.
    """
    number, odd = divmod(layer.kernel_size[0] - 1, 2)
    square = len(layer.kernel_size) == 2 and len(set(layer.kernel_size)) == 1
    if square and not odd and 2 <= number <= _MOST_STACKED and not layer.transposed:
        yield f"{number} stacked 3x3", [_stacked_layer(layer, index, number) for index in range(number)]


def _stacked_layer(layer: Convolution, index: int, number: int) -> Convolution:
    def share(total: int) -> int:
        return total // number + (index < total % number)

    return replace(
        layer,
        in_channels=layer.out_channels if index else layer.in_channels,
        kernel_size=(3, 3),
        stride=layer.stride if index == number - 1 else (1, 1),
        padding=tuple((share(before), share(after)) for before, after in layer.padding),
    )


def _asymmetric(layer: Convolution) -> Iterable[tuple[str, list[Convolution]]]:
    """Yield a column and a row (Szegedy et al. 2015, arXiv:1512.00567, Section 3.2)."""
    if len(layer.kernel_size) == 2 and min(layer.kernel_size) > 1 and not layer.transposed:
        (high, wide), (down, right), (vertical, horizontal) = layer.kernel_size, layer.stride, layer.padding
        yield (
            f"{high}x1 and 1x{wide}",
            [
                replace(layer, kernel_size=(high, 1), stride=(down, 1), padding=(vertical, (0, 0))),
                replace(
                    layer,
                    in_channels=layer.out_channels,
                    kernel_size=(1, wide),
                    stride=(1, right),
                    padding=((0, 0), horizontal),
                ),
            ],
        )


_BUILDERS: tuple[Callable[[Convolution], Iterable[tuple[str, list[Convolution]]]], ...] = (
    _separable,
    _stacked,
    _asymmetric,
)


def _input_sizes(layers: Iterable[Convolution], size: Size) -> tuple[Size, ...]:
    """Return the size of each layer's input maps."""
    sizes = []
    for layer in layers:
        sizes.append(size)
        size = layer.output_size(size)
    return tuple(sizes)
