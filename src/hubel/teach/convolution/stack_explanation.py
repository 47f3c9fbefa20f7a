"""Text of a stack: the receptive field of every layer, a drawing in characters, and stacks with an equal field."""

from __future__ import annotations

from collections.abc import Sequence

from hubel.core.errors import OptionError
from hubel.teach.convolution.arithmetic import ConvolutionSettings, Size, format_dimensions, make_convolution
from hubel.teach.convolution.explanation import ConvolutionExplanation, parse_map_shape
from hubel.teach.convolution.stack import (
    StackLayer,
    field_formula,
    list_equal_stacks,
    seen_places,
    stack_fields,
)

__all__ = ["explain_stack", "stack_sizes"]

_WIDEST = 40  # pixels of a field that is drawn
_MOST_NAMED = 5  # layers of an equal stack that are named one by one


def explain_stack(
    layers: Sequence[StackLayer], size: Size | None = None, *, padding: Size | str = "same"
) -> ConvolutionExplanation:
    """Explain the receptive field of each layer of a stack.

    Args:
        layers: the stack.
        size: height and width of the image, for the size of each map; None leaves them out.
        padding: padding of the convolutions, as in `ConvolutionSettings`; poolings have none.

    Raises:
        OptionError: a layer does not fit the map before it.
    """
    fields = stack_fields(layers)
    square = all(field.size[0] == field.size[1] for field in fields)
    sizes = stack_sizes(layers, size, padding) if size else []
    rows, words = [], ("  rows", "  columns")
    for number, field in enumerate(fields):
        formulas = [
            field_formula(field, axis) + ("" if square else words[axis]) for axis in ((0,) if square else (0, 1))
        ]
        kind = {"pool": "max pooling", "avg": "average pooling"}.get(field.layer.pooling, "convolution")
        row = [str(number + 1), str(field.layer), kind, str(field.step), "\n".join(formulas)]
        row += [format_dimensions(field.size), *((format_dimensions(sizes[number]),) if size else ())]
        rows.append(tuple(row))
    rows_seen, columns_seen = (seen_places(layers, axis)[0] for axis in (0, 1))
    field = fields[-1]
    seen, whole = len(rows_seen) * len(columns_seen), field.size[0] * field.size[1]
    after = [f"One value after the last layer sees {format_dimensions(field.size)} pixels."]
    if seen < whole:
        after.append(f"Only {seen:,} of these {whole:,} pixels reach it: the windows leave gaps.")
    return ConvolutionExplanation(
        before=("Receptive field: P + K - 1; with dilation D and step J between values: P + (K - 1)*D*J.",),
        columns=("", "layer", "kind", "J", "P + (K - 1)*D*J", "field", *(("map",) if size else ())),
        rows=tuple(rows),
        after=(*after, *_draw(layers), *_equal(field.size)),
    )


def stack_sizes(layers: Sequence[StackLayer], size: Size, padding: Size | str) -> list[Size]:
    """Return the size of the map after each layer; `padding` is that of the convolutions, poolings have none.

    Raises:
        OptionError: a layer does not fit the map before it.
    """
    sizes = []
    for layer in layers:
        around = "valid" if layer.pooling else padding
        settings = ConvolutionSettings(layer.kernel, (layer.stride,), around, (layer.dilation,))
        size = make_convolution(1, 1, size, settings).output_size(size)
        sizes.append(size)
    return sizes


def _draw(layers: Sequence[StackLayer]) -> list[str]:
    """Draw a row of each map: the values that the last one depends on, above each other at their places."""
    fields = stack_fields(layers)
    if fields[-1].size[1] > _WIDEST:
        return []
    lines = []
    steps = [1] + [field.step * field.layer.stride for field in fields]
    for name, places, step, first in zip(
        ["image", *map(str, layers)],
        seen_places(layers, axis=1),
        steps,
        [0.0, *((field.size[1] - 1) / 2 for field in fields)],
        strict=True,
    ):
        columns = [round(2 * (first + place * step)) for place in places]
        marks = "".join("#" if column in columns else " " for column in range(columns[-1] + 1))
        lines.append(f"{name:<16} {marks}")
    return ["", "one row of each map, the value on top:", *reversed(lines)]


def _equal(size: tuple[int, int]) -> list[str]:
    """List the stacks of convolutions with stride 1 whose field is of this size, with weights per pair of maps."""
    stacks = list_equal_stacks(size[0]) if size[0] == size[1] else []
    if not stacks:
        return []
    lines = [
        "",
        f"stacks of convolutions with stride 1 and a {format_dimensions(size)} field, weights for C maps each:",
    ]
    for stack in stacks:
        seen = len(seen_places(stack)[0]) ** 2
        gaps = f", sees {seen} of {size[0] ** 2} pixels" if seen < size[0] ** 2 else ""
        name = ",".join(map(str, stack)) if len(stack) < _MOST_NAMED else f"{stack[0]}, {len(stack)} times"
        lines.append(f"  {name:<16} {sum(layer.weights for layer in stack):>5} C*C{gaps}")
    return lines


def parse_stack_source(source: str, *, has_figure: bool) -> tuple[Size | None, str]:
    """Return the size of the image if `source` is a shape, and the photo if it is not.

    Raises:
        OptionError: it is a photo, and there is no figure to draw it in.
    """
    if not source:
        return None, ""
    try:
        size, _ = parse_map_shape(source)
    except OptionError:
        if not has_figure:
            raise OptionError(f"to draw the field on {source}, name the figure: --out field.png") from None
        return None, source
    if len(size) != 2:
        raise OptionError(f"the shape of an image is HEIGHTxWIDTH, such as 28x28, not {source}")
    return size, ""
