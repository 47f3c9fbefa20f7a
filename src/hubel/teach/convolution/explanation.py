"""Text of a convolution: its arithmetic beside that of its alternatives, and its steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.teach.convolution.alternatives import list_alternatives
from hubel.teach.convolution.arithmetic import (
    ConvolutionSettings,
    Size,
    format_dimensions,
    make_convolution,
    parse_dimensions,
)
from hubel.teach.convolution.image_kernels import NEGATIVES, FilteredImage
from hubel.teach.convolution.steps import ConvolutionStep, convolution_steps, convolve

__all__ = [
    "ConvolutionExplanation",
    "check_printable",
    "explain_arithmetic",
    "explain_filtered_image",
    "explain_steps",
    "format_grid",
    "format_numbers",
    "format_position",
    "parse_map_shape",
    "step_cells",
    "transposed_step_cells",
]

Floats = NDArray[np.float64]
_MOST_NUMBERS = 256  # in the padded input or the output


@dataclass(frozen=True, kw_only=True)
class ConvolutionExplanation:
    """Lines of text around a table.

    Attributes:
        before: lines before the table.
        columns: headings of the table.
        rows: cells of the table, which may have several lines.
        after: lines after the table.
    """

    before: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    after: tuple[str, ...]


def parse_map_shape(text: str) -> tuple[Size, int]:
    """Parse the shape of a layer's input into its size and its channels.

    >>> parse_map_shape("28x28x192"), parse_map_shape("9")
    (((28, 28), 192), ((9,), 1))

    Raises:
        OptionError: the text is not a shape of up to three numbers.
    """
    try:
        shape = parse_dimensions("the shape", text)
    except OptionError:
        raise OptionError(
            f"a shape is HEIGHTxWIDTHxCHANNELS such as 28x28x192, not {text!r}; to filter a photo, add --kernel"
        ) from None
    if len(shape) > 3:
        raise OptionError(f"a shape has height, width and channels, such as 28x28x192, not {text}")
    return shape[:2], shape[2] if len(shape) == 3 else 1


def explain_arithmetic(
    size: Size,
    in_channels: int,
    settings: ConvolutionSettings,
    *,
    out_channels: int | None = None,
    bottleneck: int | None = None,
) -> ConvolutionExplanation:
    """Explain a layer's output size, parameters and multiplications, beside alternatives to the layer.

    Args:
        size: size of the input maps.
        in_channels: input maps.
        settings: the layer's settings.
        out_channels: output maps; as many as input maps if not given.
        bottleneck: channels between the two layers of a bottleneck; a quarter of the input channels if not given.

    Raises:
        OptionError: the settings do not fit the input, or the bottleneck is below 1.
    """
    layer = make_convolution(in_channels, in_channels if out_channels is None else out_channels, size, settings)
    output = layer.output_size(size)
    alternatives = list_alternatives(layer, size, bottleneck=bottleneck)
    sides = [
        f"  {name:<14} {layer.formula(axis, size[axis])} = {output[axis]}"
        for axis, name in enumerate(("height", "width")[-len(size) :])
    ]
    window = "*".join(map(str, (*layer.kernel_size, in_channels)))
    share = f"/{layer.groups}" if layer.groups > 1 else ""
    positions = "*".join(map(str, size if layer.transposed else output))
    unit = "inputs" if layer.transposed else "positions"
    before = (
        f"input            {format_dimensions((*size, in_channels))}  (height x width x channels)",
        f"output           {format_dimensions((*output, layer.out_channels))}",
        *sides,
        f"parameters       {layer.parameters:,} = {window}{share}*{layer.out_channels} weights"
        f" + {layer.out_channels} biases",
        f"multiplications  {layer.multiplications(size):,} = {positions} {unit} * {layer.weights:,} weights",
    )
    rows = tuple(
        (
            alternative.name,
            "; ".join(map(str, alternative.layers)),
            f"{alternative.weights:,}",
            f"{alternative.biases:,}",
            f"{alternative.multiplications:,}",
            _format_ratio(alternative.multiplications / alternatives[0].multiplications),
        )
        for alternative in alternatives
    )
    return ConvolutionExplanation(
        before=before,
        columns=("alternative", "layers", "weights", "biases", "multiplications", "relative"),
        rows=rows,
        after=("Multiplications with padded zeros count. All alternatives have the same output shape.",),
    )


def explain_steps(values: Floats, kernel: Floats, settings: ConvolutionSettings) -> ConvolutionExplanation:
    """Explain each step of a convolution with one input map and one output map.

    Args:
        values: input `(w,)` or `(h, w)`.
        kernel: kernel of as many axes.
        settings: the layer's settings.

    Raises:
        OptionError: the axes or the settings do not fit the input, or there are more than 256 numbers to print.
    """
    if kernel.ndim != values.ndim:
        raise OptionError(f"the input has {values.ndim} axes and the kernel {kernel.ndim}; rows are separated by /")
    layer = make_convolution(1, 1, values.shape, settings)
    padded = [length + sum(sides) for length, sides in zip(values.shape, layer.padding, strict=True)]
    most = max(math.prod(sides) for sides in (padded, layer.output_size(values.shape)))
    check_printable(most)
    after = format_numbers("output", convolve(layer, values, kernel))
    if layer.transposed:
        after.append(
            "Each input adds its products to the output, in a window that starts at its position times the stride."
        )
    elif not np.any(layer.padding):
        same = make_convolution(1, 1, values.shape, replace(settings, padding="same"))
        after += format_numbers("--padding same", convolve(same, values, kernel))
    steps = convolution_steps(layer, values, kernel)
    return ConvolutionExplanation(
        before=(*format_numbers("input", values), *format_numbers("kernel", kernel)),
        columns=(
            ("from input", "value", "times the kernel")
            if layer.transposed
            else ("at", "under the window", "products", "sum")
        ),
        rows=tuple(transposed_step_cells(step) if layer.transposed else step_cells(step, kernel) for step in steps),
        after=tuple(after),
    )


def check_printable(numbers: int) -> None:
    """Raise an `OptionError` where a map, or a table, has more numbers than anyone reads."""
    if numbers > _MOST_NUMBERS:
        raise OptionError(f"--show prints every number, and {numbers:,} are more than {_MOST_NUMBERS}; give fewer")


def explain_filtered_image(filtered: FilteredImage) -> list[str]:
    """Describe the values that a filter put out of range, and the border, one line each."""
    name = filtered.negative
    return [
        f"negative values  {filtered.below:.1%}; they {NEGATIVES[name][0]}  (--negative {name})",
        f"above 255        {filtered.above:.1%}; they become 255",
        "border           the outermost pixels are repeated",
    ]


def format_numbers(name: str, values: Floats) -> list[str]:
    """Format numbers `(w,)` or `(h, w)` in columns, with the name before the first row."""
    rows = [[f"{value:.4g}" for value in row] for row in values.reshape(-1, values.shape[-1])]
    width = max(len(word) for row in rows for word in row)
    return [
        f"{'' if index else name:<16} {' '.join(f'{word:>{width}}' for word in row)}" for index, row in enumerate(rows)
    ]


def _format_ratio(ratio: float) -> str:
    return f"{ratio:,.0%}" if ratio >= 10 else f"{ratio:.1%}"


def step_cells(step: ConvolutionStep, kernel: Floats) -> tuple[str, ...]:
    """Format a step: position, values, products and sum; a window of several rows has as many lines."""
    terms = [
        [f"{weight:.4g}*{_bracketed(value)}" for weight, value in zip(weights, values, strict=True)]
        for weights, values in zip(np.atleast_2d(kernel), np.atleast_2d(step.seen), strict=True)
    ]
    products = " +\n".join(map(" + ".join, terms))
    return format_position(step.position), format_grid(step.seen), products, f"{step.sum:.4g}"


def transposed_step_cells(step: ConvolutionStep) -> tuple[str, ...]:
    """Format a step of a transposed convolution: position, value, products."""
    return format_position(step.position), f"{float(step.seen):.4g}", format_grid(step.products)


def format_position(position: Sequence[int]) -> str:
    """Format a position, row before column."""
    return ", ".join(map(str, position))


def format_grid(grid: Floats) -> str:
    """Format numbers `(w,)` or `(h, w)` as lines."""
    return "\n".join(" ".join(f"{value + 0:.4g}" for value in row) for row in np.atleast_2d(grid))  # + 0: no -0


def _bracketed(value: float) -> str:
    return f"({value:.4g})" if value < 0 else f"{value:.4g}"
