"""Convolution step by step: values under the window, products, sum."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.teach.convolution.arithmetic import Convolution

__all__ = ["ConvolutionStep", "convolution_steps", "convolve", "parse_numbers", "window_slices"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class ConvolutionStep:
    """One position of the window.

    Attributes:
        position: position of the output; of the input, for a transposed convolution.
        seen: values under the window, including padded zeros; the one input value, for a transposed convolution.
        products: products with the kernel's values, in the kernel's shape.
    """

    position: tuple[int, ...]
    seen: Floats
    products: Floats

    @property
    def sum(self) -> float:
        """Return the sum of the products."""
        return float(self.products.sum())


def parse_numbers(name: str, text: str) -> Floats:
    """Parse numbers `(w,)`, or `(h, w)` if there are rows; `name` is for the error message.

    >>> parse_numbers("kernel", "-1,0,1").tolist(), parse_numbers("kernel", "1,0/0,1").tolist()
    ([-1.0, 0.0, 1.0], [[1.0, 0.0], [0.0, 1.0]])

    Raises:
        OptionError: the text is not numbers, or its rows differ in length.
    """
    try:
        values = np.array([[float(word) for word in row.split(",")] for row in text.split("/")])
    except ValueError:
        values = np.array(np.nan)
    if not np.isfinite(values).all():
        example = "0,1,2 or, row by row, 1,2/3,4"
        raise OptionError(f"{name} is numbers such as {example}, as many in each row, not {text!r}")
    return values if "/" in text else values[0]


def convolution_steps(layer: Convolution, values: Floats, kernel: Floats) -> Iterator[ConvolutionStep]:
    """Yield the steps of a layer with one input and one output map and no bias, row by row.

    As in all networks, the kernel is not flipped: mathematically, this is cross-correlation.

    Args:
        layer: the layer.
        values: input `(w,)` or `(h, w)`.
        kernel: kernel of as many axes.
    """
    padded = values if layer.transposed else np.pad(values, layer.padding)
    for position in itertools.product(
        *map(range, values.shape if layer.transposed else layer.output_size(values.shape))
    ):
        seen = padded[position] if layer.transposed else padded[window_slices(layer, position, kernel.shape)]
        yield ConvolutionStep(position=position, seen=np.asarray(seen), products=seen * kernel)


def convolve(layer: Convolution, values: Floats, kernel: Floats) -> Floats:
    """Return the output of a layer with one input and one output map and no bias."""
    return (_transposed_output if layer.transposed else _output)(layer, values, kernel)


def _output(layer: Convolution, values: Floats, kernel: Floats) -> Floats:
    sums = [step.sum for step in convolution_steps(layer, values, kernel)]
    return np.array(sums).reshape(layer.output_size(values.shape))


def _transposed_output(layer: Convolution, values: Floats, kernel: Floats) -> Floats:
    """Add up every input's products at their positions, and crop the padding."""
    before = [side for side, _ in layer.padding]
    after = [side for _, side in layer.padding]
    size = layer.output_size(values.shape)
    whole = np.zeros([b + side + a for b, side, a in zip(before, size, after, strict=True)])
    for step in convolution_steps(layer, values, kernel):
        whole[window_slices(layer, step.position, kernel.shape)] += step.products
    return whole[tuple(slice(b, b + side) for b, side in zip(before, size, strict=True))]


def window_slices(layer: Convolution, position: tuple[int, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the place of a window of `shape` at `position` on the padded map."""
    return tuple(
        slice(index * stride, index * stride + dilation * (length - 1) + 1, dilation)
        for index, stride, dilation, length in zip(position, layer.stride, layer.dilation, shape, strict=True)
    )
