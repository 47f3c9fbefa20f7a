"""Text of a convolution with several channels, and of a pooling, step by step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.teach.convolution.arithmetic import Convolution, ConvolutionSettings, format_dimensions, make_convolution
from hubel.teach.convolution.explanation import (
    ConvolutionExplanation,
    check_printable,
    explain_steps,
    format_grid,
    format_numbers,
    format_position,
    step_cells,
    transposed_step_cells,
)
from hubel.teach.convolution.maps import convolve_maps
from hubel.teach.convolution.pooling import make_pooling, pool_map, pooling_steps
from hubel.teach.convolution.steps import convolution_steps

__all__ = ["explain_maps", "explain_pooling", "explain_pooling_steps"]

Floats = NDArray[np.float64]


def explain_maps(maps: Floats, filters: Floats, settings: ConvolutionSettings) -> ConvolutionExplanation:
    """Explain each step of a convolution: the products in each channel, and their sum over the channels.

    Args:
        maps: input `(c, w)` or `(c, h, w)`.
        filters: a kernel for each output map and channel, `(filters, c, ...)`.
        settings: the layer's settings.

    Raises:
        OptionError: the filters do not fit the maps, or there are more than 256 numbers to print.
    """
    channels = len(maps)
    if filters.shape[1] != channels:
        raise OptionError(
            f"the input has {channels} maps and the kernel {filters.shape[1]}: give one for each map, separated by :"
        )
    if len(filters) == channels == 1:
        return explain_steps(maps[0], filters[0, 0], settings)
    if filters.ndim != maps.ndim + 1:
        raise OptionError(f"the maps have {maps.ndim - 1} axes and the kernels {filters.ndim - 2}")
    layer = make_convolution(channels, len(filters), maps.shape[1:], settings)
    output = layer.output_size(maps.shape[1:])
    padded = math.prod(length + sum(sides) for length, sides in zip(maps.shape[1:], layer.padding, strict=True))
    positions = math.prod(maps.shape[1:] if layer.transposed else output)
    check_printable(max(channels * padded, len(filters) * channels * positions))
    rows = tuple(_transposed_rows(layer, maps, filters) if layer.transposed else _rows(layer, maps, filters))
    results = convolve_maps(layer, maps, filters)
    window = "*".join(map(str, layer.kernel_size))
    return ConvolutionExplanation(
        before=(
            *_format_maps("input", maps),
            *(
                line
                for f, kernels in enumerate(filters)
                for c, kernel in enumerate(kernels)
                for line in format_numbers(f"filter {f}, map {c}", kernel)
            ),
        ),
        columns=(
            ("filter", "from input", "map", "value", "times the kernel")
            if layer.transposed
            else ("filter", "at", "map", "under the window", "products", "sum")
        ),
        rows=rows,
        after=(
            *_format_maps("output", results),
            f"One output map for each filter: {len(filters)}, however many maps the input has ({channels}).",
            f"parameters       {layer.parameters:,} = {window}*{channels}*{len(filters)} weights"
            f" + {len(filters)} biases (here 0)",
            f"multiplications  {layer.multiplications(maps.shape[1:]):,}",
        ),
    )


def _rows(layer: Convolution, maps: Floats, filters: Floats) -> Iterator[tuple[str, ...]]:
    """Yield a row for each channel of each position, and their sum."""
    for number, kernels in enumerate(filters):
        steps = [list(convolution_steps(layer, *pair)) for pair in zip(maps, kernels, strict=True)]
        for at_position in zip(*steps, strict=True):
            for channel, (step, kernel) in enumerate(zip(at_position, kernels, strict=True)):
                position, *cells = step_cells(step, kernel)
                yield str(number), position, str(channel), *cells
            if len(at_position) > 1:
                sums = [step.sum for step in at_position]
                added = " + ".join(f"({value:.4g})" if value < 0 else f"{value:.4g}" for value in sums)
                yield str(number), format_position(at_position[0].position), "all", "", added, f"{sum(sums):.4g}"


def _transposed_rows(layer: Convolution, maps: Floats, filters: Floats) -> Iterator[tuple[str, ...]]:
    for number, kernels in enumerate(filters):
        for channel, (values, kernel) in enumerate(zip(maps, kernels, strict=True)):
            for step in convolution_steps(layer, values, kernel):
                position, *cells = transposed_step_cells(step)
                yield str(number), position, str(channel), *cells


def explain_pooling_steps(maps: Floats, kind: str, settings: ConvolutionSettings) -> ConvolutionExplanation:
    """Explain each step of a pooling.

    Args:
        maps: input `(c, w)` or `(c, h, w)`.
        kind: "max" or "average".
        settings: window, stride, padding and dilation.

    Raises:
        OptionError: the settings do not fit the input, or there are more than 256 numbers to print.
        UnknownNameError: there is no such pooling.
    """
    layer = make_pooling(len(maps), maps.shape[1:], settings)
    check_printable(max(maps.size, len(maps) * math.prod(layer.output_size(maps.shape[1:]))))
    rows = []
    for channel, values in enumerate(maps):
        for step in pooling_steps(layer, values, kind):
            seen = format_grid(step.seen).replace("nan", ".")
            cells = format_position(step.position), seen, f"{step.result:.4g}"
            rows.append((str(channel), *cells))
    results = [pool_map(layer, values, kind) for values in maps]
    return ConvolutionExplanation(
        before=_format_maps("input", maps),
        columns=("map", "at", "under the window", kind),
        rows=tuple(rows),
        after=(
            *_format_maps("output", results),
            "A pooling has no weights and leaves the number of maps unchanged.",
        ),
    )


def _format_maps(word: str, maps: Floats | Sequence[Floats]) -> tuple[str, ...]:
    """Format maps, each with its number."""
    return tuple(line for number, values in enumerate(maps) for line in format_numbers(f"{word} {number}", values))


def explain_pooling(
    size: tuple[int, ...], channels: int, kind: str, settings: ConvolutionSettings
) -> ConvolutionExplanation:
    """Explain the output size of a pooling, beside a convolution with the same window and stride.

    Raises:
        OptionError: the settings do not fit the input.
        UnknownNameError: there is no such pooling.
    """
    layer = make_pooling(channels, size, settings)
    output = layer.output_size(size)
    values = math.prod(output) * channels
    window = math.prod(layer.kernel_size)
    plain = make_convolution(channels, channels, size, settings)
    sides = [
        f"  {name:<14} {layer.formula(axis, size[axis])} = {output[axis]}"
        for axis, name in enumerate(("height", "width")[-len(size) :])
    ]
    return ConvolutionExplanation(
        before=(
            f"input            {format_dimensions((*size, channels))}  (height x width x channels)",
            f"output           {format_dimensions((*output, channels))}",
            *sides,
        ),
        columns=("layer", "parameters", "multiplications", "other operations"),
        rows=(
            ("max pooling", "0", "0", f"{values * (window - 1):,} comparisons"),
            ("average pooling", "0", f"{values:,}", f"{values * (window - 1):,} additions"),
            ("convolution", f"{plain.parameters:,}", f"{plain.multiplications(size):,}", ""),
        ),
        after=(f"Kept: {math.prod(output) / math.prod(size):.1%} of the values; every map is pooled by itself.",),
    )
