"""The input of `hubel conv --show`: numbers as they are given, or the examples of a first lesson."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.teach.convolution.arithmetic import Size
from hubel.teach.convolution.explanation import check_printable, parse_map_shape
from hubel.teach.convolution.maps import example_kernels, example_maps, parse_filters, parse_maps

__all__ = ["read_convolution", "read_maps"]

Floats = NDArray[np.float64]

# A ramp, and a dark half beside a bright one.
_ROW, _ROW_KERNEL = "0,1,2,3,4", "-1,0,1"
_IMAGE = "/".join(["0,0,0,10,10,10"] * 4)


def read_convolution(
    source: str, kernels: tuple[str, ...], kernel_size: Size, out_channels: int | None
) -> tuple[Floats, Floats]:
    """Return the maps and the filters of an example.

    Args:
        source: numbers as `parse_maps` takes them, a shape such as 4x4x3 for an example of small integers, or "".
        kernels: one filter each, as `parse_filters` takes them; the edge -1,0,1 if there are none, or small integers
            for a shape.
        kernel_size: size of the kernels of small integers.
        out_channels: number of the filters of small integers; as many as input maps if None.

    Raises:
        OptionError: the numbers cannot be parsed, or are too many.
        UnknownNameError: there is no such image kernel.
    """
    if "x" in source and not kernels:
        maps = read_maps(source)
        axes = maps.ndim - 1
        size = kernel_size if len(kernel_size) == axes else kernel_size[:1] * axes
        number = len(maps) if out_channels is None else out_channels
        if number < 1 or min(size) < 1:
            raise OptionError(f"out_channels and kernel_size are at least 1, not {min(number, *size)}")
        check_printable(number * len(maps))
        check_printable(max(size))
        return maps, example_kernels(number, len(maps), size)
    if "x" in source and out_channels is not None and out_channels != len(kernels):
        raise OptionError(f"there are {len(kernels)} kernels for {out_channels} output channels")
    filters = parse_filters("--kernel", kernels or (_ROW_KERNEL,))
    is_row = filters.shape[2] == 1
    maps = read_maps(source) if source else parse_maps("the input", _ROW if is_row else _IMAGE)
    return maps, filters[:, :, 0] if maps.ndim == 2 and is_row else filters


def read_maps(source: str, *, most: int = 2) -> Floats:
    """Return maps `(c, w)` or `(c, h, w)`: the numbers given, or integers from 0 to `most` of a shape; 4x4 if empty.

    Raises:
        OptionError: the numbers cannot be parsed, or are too many.
    """
    if source and "x" not in source:
        return parse_maps("the input", source)
    size, channels = parse_map_shape(source or "4x4")
    if min(*size, channels) < 1:
        raise OptionError(f"the sides and the channels of a shape are at least 1; got {source}")
    for number in (*size, channels, int(np.prod(size)) * channels):
        check_printable(number)
    return example_maps(channels, size, most=most)
