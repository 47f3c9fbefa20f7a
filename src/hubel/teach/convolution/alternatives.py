"""Layers that could stand in the place of a convolution, and what each costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from hubel.core.errors import OptionError
from hubel.teach.convolution.arithmetic import Convolution, Sides

__all__ = ["Alternative", "alternatives", "fully_connected"]

_MOST_STACKED = 7  # layers of 3x3, which see 15x15


@dataclass(frozen=True)
class Alternative:
    """Layers in the place of one.

    Attributes:
        name: what it is called.
        layers: one after another; the first sees what the original layer sees.
        sizes: of the maps that each layer is given.
    """

    name: str
    layers: tuple[Convolution, ...]
    sizes: tuple[Sides, ...]

    @property
    def weights(self) -> int:
        """Of all layers, without biases."""
        return sum(layer.weights for layer in self.layers)

    @property
    def biases(self) -> int:
        """Of all layers."""
        return sum(layer.out_channels for layer in self.layers)

    @property
    def multiplications(self) -> int:
        """Of all layers."""
        return sum(layer.multiplications(size) for layer, size in zip(self.layers, self.sizes, strict=True))


def alternatives(layer: Convolution, size: Sides, *, bottleneck: int | None = None) -> list[Alternative]:
    """The layer, and others of the same output size and channels that could stand in its place.

    All but the first have no groups beside their own.

    Args:
        layer: what is to be compared.
        size: of its input maps.
        bottleneck: maps between the two layers of a bottleneck; a quarter of those that come in, if not given.
    """
    if bottleneck is not None and bottleneck < 1:
        raise OptionError(f"bottleneck is at least 1, not {bottleneck}")
    plain = replace(layer, groups=1)
    narrow = bottleneck or (layer.in_channels // 4)
    found: list[tuple[str, list[Convolution]]] = [("the layer itself", [layer])]
    if layer.groups > 1:
        found.append(("without groups", [plain]))
    if narrow:
        found.append((f"1x1 bottleneck of {narrow:,}", _bottleneck(plain, narrow)))
    found += [(name, layers) for make in _MADE for name, layers in make(plain)]
    found.append(("fully connected", [fully_connected(plain, size)]))
    return [Alternative(name, tuple(layers), _sizes(layers, size)) for name, layers in found]


def fully_connected(layer: Convolution, size: Sides) -> Convolution:
    """The layer in which every output sees every input with weights of its own, as one window over all of it."""
    units = math.prod(layer.output_size(size)) * layer.out_channels
    one = (1,) * len(size)
    return Convolution(layer.in_channels, units, size, one, ((0, 0),) * len(size), one)


def _bottleneck(layer: Convolution, narrow: int) -> list[Convolution]:
    """Szegedy et al. 2014, arXiv:1409.4842, Figure 2(b): a 1x1 convolution before the large one."""
    return [_pointwise(layer, layer.in_channels, narrow), replace(layer, in_channels=narrow)]


def _pointwise(layer: Convolution, in_channels: int, out_channels: int) -> Convolution:
    one = (1,) * len(layer.kernel_size)
    return Convolution(in_channels, out_channels, one, one, ((0, 0),) * len(one), one)


def _separable(layer: Convolution) -> Iterable[tuple[str, list[Convolution]]]:
    """Howard et al. 2017, arXiv:1704.04861, Section 3.1."""
    maps = layer.in_channels
    depthwise = replace(layer, out_channels=maps, groups=maps)
    yield "depthwise separable", [depthwise, _pointwise(layer, maps, layer.out_channels)]


def _stacked(layer: Convolution) -> Iterable[tuple[str, list[Convolution]]]:
    """Simonyan & Zisserman 2014, arXiv:1409.1556, Section 2.3. The last has the stride; the padding is shared out."""
    number, odd = divmod(layer.kernel_size[0] - 1, 2)
    square = len(layer.kernel_size) == 2 and len(set(layer.kernel_size)) == 1
    if square and not odd and 2 <= number <= _MOST_STACKED and not layer.transposed:
        yield f"{number} stacked 3x3", [_part(layer, place, number) for place in range(number)]


def _part(layer: Convolution, place: int, number: int) -> Convolution:
    def share(total: int) -> int:
        return total // number + (place < total % number)

    return replace(
        layer,
        in_channels=layer.out_channels if place else layer.in_channels,
        kernel_size=(3, 3),
        stride=layer.stride if place == number - 1 else (1, 1),
        padding=tuple((share(before), share(after)) for before, after in layer.padding),
    )


def _asymmetric(layer: Convolution) -> Iterable[tuple[str, list[Convolution]]]:
    """Szegedy et al. 2015, arXiv:1512.00567, Section 3.2."""
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


_MADE: tuple[Callable[[Convolution], Iterable[tuple[str, list[Convolution]]]], ...] = (
    _separable,
    _stacked,
    _asymmetric,
)


def _sizes(layers: Iterable[Convolution], size: Sides) -> tuple[Sides, ...]:
    """The size of the maps that each layer is given."""
    sizes = []
    for layer in layers:
        sizes.append(size)
        size = layer.output_size(size)
    return tuple(sizes)
