"""Stacks of convolutions and poolings: receptive field, pixels that are really seen, and stacks with an equal field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.analysis import receptive
from hubel.core.errors import OptionError

__all__ = [
    "LayerField",
    "StackLayer",
    "count_paths",
    "field_formula",
    "list_equal_stacks",
    "parse_stack",
    "seen_places",
    "stack_fields",
]

Pair = tuple[int, int]  # rows, columns

_LAYER = re.compile(r"(pool|avg)?([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?(?:/([1-9]\d{0,2}))?(?:d([1-9]\d{0,2}))?")
_MOST_LAYERS, _LARGEST_FIELD = 400, 20_000
_MOST_LISTED_FIELD = 9  # the lists of equal stacks grow like the partitions of half the field


@dataclass(frozen=True, kw_only=True)
class StackLayer:
    """One layer of a stack.

    Attributes:
        pooling: "pool" for max pooling, "avg" for average pooling, "" for a convolution.
        kernel: rows and columns of the window.
        stride: step of the window, in values of the map before.
        dilation: distance between neighbouring values of the window.
    """

    pooling: str = ""
    kernel: Pair = (3, 3)
    stride: int = 1
    dilation: int = 1

    @property
    def weights(self) -> int:
        """Return the weights between one input map and one output map; a pooling has none."""
        return 0 if self.pooling else self.kernel[0] * self.kernel[1]

    def __str__(self) -> str:
        """Return the layer as `parse_stack` reads it.

        >>> str(StackLayer(kernel=(7, 7), stride=2)), str(StackLayer(pooling="pool", kernel=(2, 2), stride=2))
        ('7x7/2', 'pool2')
        """
        rows, columns = self.kernel
        window = str(rows) if self.pooling and rows == columns else f"{rows}x{columns}"
        stride = "" if self.stride == (rows if self.pooling else 1) else f"/{self.stride}"
        return self.pooling + window + stride + (f"d{self.dilation}" if self.dilation > 1 else "")


def parse_stack(name: str, text: str) -> tuple[StackLayer, ...]:
    """Parse layers such as "7x7/2,pool3/2,3x3d2"; `name` is for the error message.

    "3x3" or "3" is a convolution, "pool2" max pooling, "avg2" average pooling; "/2" is the stride (of a pooling its
    window, if not given), "d2" the dilation.

    >>> [str(layer) for layer in parse_stack("--stack", "3x3, 3, pool2, 3x3d2")]
    ['3x3', '3x3', 'pool2', '3x3d2']

    Raises:
        OptionError: the text is not such a list, or the field would be larger than 20,000 pixels.
    """
    layers = []
    for word in text.replace(" ", "").split(","):
        found = _LAYER.fullmatch(word)
        if not found:
            raise OptionError(
                f"{name} is layers such as 3x3,3x3,pool2 (avg2 for average pooling, 7x7/2 for stride 2, 3x3d2 for"
                f" dilation 2), not {word!r}"
            )
        pooling, rows, columns, stride, dilation = found.groups()
        kernel = int(rows), int(columns or rows)
        step = int(stride or (rows if pooling else 1))
        layers.append(StackLayer(pooling=pooling or "", kernel=kernel, stride=step, dilation=int(dilation or 1)))
    if len(layers) > _MOST_LAYERS:
        raise OptionError(f"{name} has {len(layers)} layers; {_MOST_LAYERS} are the most")
    if max(stack_fields(layers)[-1].size) > _LARGEST_FIELD:
        raise OptionError(f"{name} sees more than {_LARGEST_FIELD:,} pixels along an axis; take fewer layers")
    return tuple(layers)


@dataclass(frozen=True, kw_only=True)
class LayerField:
    """The receptive field of a layer's values.

    Attributes:
        layer: the layer.
        before: rows and columns of the field of the map before it, P.
        size: rows and columns of its own field.
        step: distance between neighbouring values of the map before it, in pixels, J.
    """

    layer: StackLayer
    before: Pair
    size: Pair
    step: int


def stack_fields(layers: Sequence[StackLayer]) -> tuple[LayerField, ...]:
    """Return the receptive field of every layer: P + (K - 1) D J, where J is the product of the strides before."""
    field, found = receptive.of_image(), []
    for layer in layers:
        after = receptive.windowed(field, layer.kernel, (layer.stride,) * 2, (0, 0), (layer.dilation,) * 2)
        step = int(field.rows.jump)
        found.append(LayerField(layer=layer, before=_size(field), size=_size(after), step=step))
        field = after
    return tuple(found)


def _size(field: receptive.Field) -> Pair:
    return int(field.rows.size), int(field.columns.size)


def field_formula(field: LayerField, axis: int = 0) -> str:
    """Return the formula of a field's rows (axis 0) or columns with its numbers: P + K - 1 where D = J = 1.

    >>> [field_formula(field) for field in stack_fields(parse_stack("--stack", "3x3,pool2,3x3"))]
    ['1 + 3 - 1 = 3', '3 + 2 - 1 = 4', '4 + (3 - 1)*2 = 8']
    """
    before, kernel, size = field.before[axis], field.layer.kernel[axis], field.size[axis]
    factors = [factor for factor in (field.layer.dilation, field.step) if factor > 1]
    if not factors:
        return f"{before} + {kernel} - 1 = {size}"
    return f"{before} + ({kernel} - 1)*{'*'.join(map(str, factors))} = {size}"


def seen_places(layers: Sequence[StackLayer], axis: int = 0) -> list[list[int]]:
    """Return the places that one value of the last map depends on: in the image first, then in each map.

    Dilation, and strides larger than the window, leave gaps between them.

    >>> seen_places(parse_stack("--stack", "3x3,3x3d2"))
    [[0, 1, 2, 3, 4, 5, 6], [0, 2, 4], [0]]
    """
    places = [[0]]
    for layer in reversed(layers):
        taps = (place * layer.stride + k * layer.dilation for place in places[0] for k in range(layer.kernel[axis]))
        places.insert(0, sorted(set(taps)))
    return places


def count_paths(layers: Sequence[StackLayer]) -> NDArray[np.float64]:
    """Return the number of ways from each pixel of the receptive field to the value that sees it, `(rows, columns)`.

    The pixels in the middle reach it by many ways, those of a corner by one: the reason why the effective field is
    smaller than the theoretical one.

    >>> count_paths(parse_stack("--stack", "3x3,3x3"))[0]
    array([1., 2., 3., 2., 1.])
    """
    rows, columns = (_paths_along(layers, axis) for axis in (0, 1))
    return np.outer(rows, columns)


def _paths_along(layers: Sequence[StackLayer], axis: int) -> NDArray[np.float64]:
    paths = np.ones(1)
    for layer in reversed(layers):
        length = (len(paths) - 1) * layer.stride + layer.dilation * (layer.kernel[axis] - 1) + 1
        wider = np.zeros(length)
        for place, ways in enumerate(paths):
            start = place * layer.stride
            wider[start : start + layer.dilation * (layer.kernel[axis] - 1) + 1 : layer.dilation] += ways
        paths = wider
    return paths


def list_equal_stacks(field: int) -> list[tuple[StackLayer, ...]]:
    """List the stacks of odd convolutions with stride 1 whose receptive field is `field` pixels along both axes.

    The order of layers does not matter. Beyond 9 pixels, only stacks of equal layers are listed.

    >>> [",".join(map(str, stack)) for stack in list_equal_stacks(5)]
    ['5x5', '3x3d2', '3x3,3x3']
    """
    if field % 2 == 0 or field < 3:
        return []
    half = (field - 1) // 2
    if field <= _MOST_LISTED_FIELD:
        return [stack for parts in _partitions(half, half) for stack in _choices(parts)]
    return [(_convolution(part, 1),) * (half // part) for part in range(half, 0, -1) if half % part == 0]


def _partitions(total: int, largest: int) -> Iterator[tuple[int, ...]]:
    """Yield the ways to write `total` as a sum of falling numbers up to `largest`."""
    if not total:
        yield ()
    for part in range(min(total, largest), 0, -1):
        for rest in _partitions(total - part, part):
            yield (part, *rest)


def _choices(parts: Sequence[int]) -> Iterator[tuple[StackLayer, ...]]:
    """Yield the stacks whose layers reach `parts` pixels to each side: a large kernel, or a smaller one dilated."""
    if not parts:
        yield ()
        return
    seen = set()
    for dilation in range(1, parts[0] + 1):
        if parts[0] % dilation == 0:
            for rest in _choices(parts[1:]):
                stack = (_convolution(parts[0] // dilation, dilation), *rest)
                key = tuple(sorted(map(str, stack)))
                if key not in seen:
                    seen.add(key)
                    yield stack


def _convolution(reach: int, dilation: int) -> StackLayer:
    return StackLayer(kernel=(2 * reach + 1,) * 2, dilation=dilation)
