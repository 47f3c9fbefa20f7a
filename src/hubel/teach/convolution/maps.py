"""Convolution with several channels: a kernel for each pair of input and output map, and the sum over channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hubel.core import random
from hubel.core.errors import OptionError
from hubel.teach.convolution.arithmetic import Convolution, Size, format_dimensions
from hubel.teach.convolution.image_kernels import parse_image_kernel
from hubel.teach.convolution.steps import convolve, parse_numbers

__all__ = ["convolve_maps", "example_kernels", "example_maps", "parse_filters", "parse_maps"]

Floats = NDArray[np.float64]


def parse_maps(name: str, text: str) -> Floats:
    """Parse maps `(c, w)` or `(c, h, w)`, separated by ":"; `name` is for the error message.

    >>> parse_maps("input", "1,2/3,4:5,6/7,8").shape, parse_maps("input", "1,2:3,4").shape
    ((2, 2, 2), (2, 2))

    Raises:
        OptionError: the text is not numbers, or the maps differ in shape.
    """
    maps = [parse_numbers(name, one) for one in text.split(":")]
    _check_equal(name, maps)
    return np.stack(maps)


def parse_filters(name: str, texts: Sequence[str]) -> Floats:
    """Parse filters `(filters, c, rows, columns)`, each a named image kernel or numbers as `parse_maps` takes them.

    Raises:
        UnknownNameError: there is no such image kernel.
        OptionError: the numbers cannot be parsed, or the kernels differ in shape.
    """
    filters = []
    for text in texts:
        channels = [parse_image_kernel(name, one).values for one in text.split(":")]
        _check_equal(name, channels)
        filters.append(np.stack(channels))
    _check_equal(name, filters)
    return np.stack(filters)


def _check_equal(name: str, arrays: Sequence[Floats]) -> None:
    shapes = sorted({format_dimensions(array.shape) for array in arrays})
    if len(shapes) > 1:
        raise OptionError(f"{name} has parts of different shapes: {' and '.join(shapes)}")


def convolve_maps(layer: Convolution, maps: Floats, filters: Floats) -> Floats:
    """Return the output maps `(filters, ...)` of a layer without bias: each the sum over channels.

    Args:
        layer: the layer, of one group.
        maps: input `(c, w)` or `(c, h, w)`.
        filters: a kernel for each output map and channel, `(filters, c, ...)`.
    """
    return np.stack(
        [
            np.sum([convolve(layer, values, kernel) for values, kernel in zip(maps, kernels, strict=True)], axis=0)
            for kernels in filters
        ]
    )


def example_maps(channels: int, size: Size, *, most: int = 2, seed: int = 0) -> Floats:
    """Return maps `(channels, *size)` of the integers 0 to `most`; to 2, products are computed in the head."""
    return _integers(0, most, (channels, *size), seed, 0)


def example_kernels(filters: int, channels: int, size: Size, *, seed: int = 0) -> Floats:
    """Return kernels `(filters, channels, *size)` of the integers -1 to 1."""
    return _integers(-1, 1, (filters, channels, *size), seed, 1)


def _integers(low: int, high: int, shape: tuple[int, ...], *keys: int) -> Floats:
    share = random.uniform(*keys, np.arange(math.prod(shape)))
    return np.floor(low + (high - low + 1) * share).reshape(shape)
