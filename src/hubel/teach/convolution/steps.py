"""A convolution step by step: what lies under the window, the products, their sum."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.teach.convolution.arithmetic import Convolution

__all__ = ["Step", "numbers", "result", "steps"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Step:
    """One position of the window.

    Attributes:
        position: of the output that it makes; of the input that is spread, where the layer is transposed.
        seen: what lies under the window, padded zeros included; the one input, where it is transposed.
        products: with each number of the kernel, in the kernel's shape.
    """

    position: tuple[int, ...]
    seen: Floats
    products: Floats

    @property
    def sum(self) -> float:
        """Of the products."""
        return float(self.products.sum())


def numbers(name: str, text: str) -> Floats:
    """Numbers from what somebody typed: `(w,)`, or `(h, w)` where there are rows.

    >>> numbers("kernel", "-1,0,1").tolist(), numbers("kernel", "1,0/0,1").tolist()
    ([-1.0, 0.0, 1.0], [[1.0, 0.0], [0.0, 1.0]])

    Raises:
        OptionError: it is something else.
    """
    try:
        values = np.array([[float(word) for word in row.split(",")] for row in text.split("/")])
    except ValueError:
        values = np.array(np.nan)
    if not np.isfinite(values).all():
        example = "0,1,2 or, row by row, 1,2/3,4"
        raise OptionError(f"{name} is numbers such as {example}, as many in each row, not {text!r}")
    return values if "/" in text else values[0]


def steps(layer: Convolution, values: Floats, kernel: Floats) -> Iterator[Step]:
    """The steps of a layer with one input and one output map, and no bias, row by row.

    The kernel is not turned around first, as in all networks: mathematics calls this cross-correlation.

    Args:
        layer: how the window moves.
        values: `(w,)` or `(h, w)`.
        kernel: as many axes as `values`.
    """
    padded = values if layer.transposed else np.pad(values, layer.padding)
    for position in itertools.product(
        *map(range, values.shape if layer.transposed else layer.output_size(values.shape))
    ):
        seen = padded[position] if layer.transposed else padded[_window(layer, position, kernel.shape)]
        yield Step(position, np.asarray(seen), seen * kernel)


def result(layer: Convolution, values: Floats, kernel: Floats) -> Floats:
    """What the steps add up to."""
    return (_spread if layer.transposed else _summed)(layer, values, kernel)


def _summed(layer: Convolution, values: Floats, kernel: Floats) -> Floats:
    sums = [step.sum for step in steps(layer, values, kernel)]
    return np.array(sums).reshape(layer.output_size(values.shape))


def _spread(layer: Convolution, values: Floats, kernel: Floats) -> Floats:
    """Every input's products laid over one another; padding is cut off."""
    before = [side for side, _ in layer.padding]
    after = [side for _, side in layer.padding]
    size = layer.output_size(values.shape)
    whole = np.zeros([b + side + a for b, side, a in zip(before, size, after, strict=True)])
    for step in steps(layer, values, kernel):
        whole[_window(layer, step.position, kernel.shape)] += step.products
    return whole[tuple(slice(b, b + side) for b, side in zip(before, size, strict=True))]


def _window(layer: Convolution, position: tuple[int, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(place * stride, place * stride + dilation * (length - 1) + 1, dilation)
        for place, stride, dilation, length in zip(position, layer.stride, layer.dilation, shape, strict=True)
    )
