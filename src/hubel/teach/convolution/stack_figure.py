"""Figure of a stack: the values that one value depends on in each map, and its fields on the image."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.core.outputs import output_file
from hubel.data.inputs import Input
from hubel.plots.figure_files import is_figure, save_figure
from hubel.plots.style import BLUE, INK, MUTED, ORANGE, PALE_BLUE, canvas, finish, heading
from hubel.teach.convolution.effective import effective_field, effective_size
from hubel.teach.convolution.stack import StackLayer, seen_places, stack_fields

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_stack", "write_stack"]

_MOST_CELLS = 64  # of a row that is drawn value by value
_LARGEST_EFFECTIVE = 65  # pixels along an axis; the gradient of larger fields takes more than a few seconds


def write_stack(layers: Sequence[StackLayer], path: Path, *, photo: str = "") -> Path:
    """Draw a stack as a PNG file, atomically.

    Args:
        layers: the stack.
        path: the PNG file.
        photo: image file, on which the fields are drawn; none if empty.

    Raises:
        DecodeError: the photo cannot be read.
        OptionError: `path` does not end in .png, or is a file that would be lost.
    """
    if path.suffix.lower() != ".png":
        raise OptionError(f"--out must end in .png, since the result is a PNG file; got {path}")
    target = output_file(path, ours=is_figure, inputs=(photo,) if photo else ())
    save_figure(draw_stack(layers, Input(photo).decode().pixels if photo else None), target)
    return target


def draw_stack(layers: Sequence[StackLayer], pixels: NDArray[np.uint8] | None = None) -> Figure:
    """Draw the values that one value depends on, the fields of all layers on the image, and the effective field.

    Args:
        layers: the stack.
        pixels: `(h, w)` or `(h, w, 3)`, on whose centre the fields are drawn; the pixel grid if not given.
    """
    fields = stack_fields(layers)
    effective = max(fields[-1].size) <= _LARGEST_EFFECTIVE
    figure = canvas(12 if effective else 8.4, 4.2)
    side, image, *rest = figure.subplots(1, 3 if effective else 2)
    _draw_side(side, layers)
    _draw_fields(image, layers, pixels)
    if rest:
        _draw_effective(rest[0], layers)
    return finish(figure)


def _draw_side(axes: Any, layers: Sequence[StackLayer]) -> None:
    """Draw a row of each map, the value on top, and the lines to what it depends on."""
    fields, places = stack_fields(layers), seen_places(layers, axis=1)
    steps = [1, *(field.step * field.layer.stride for field in fields)]
    firsts = [0.0, *((field.size[1] - 1) / 2 for field in fields)]
    columns = [first + np.array(row) * step for first, row, step in zip(firsts, places, steps, strict=True)]
    few = fields[-1].size[1] <= _MOST_CELLS
    for level, xs in enumerate(columns):
        name = "image" if level == 0 else str(layers[level - 1])
        axes.text(
            -0.04, level, name, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=9, color=INK
        )
        if few:
            size = min(9, 200 / fields[-1].size[1])
            axes.plot(xs, [level] * len(xs), "s", color=BLUE if level else ORANGE, markersize=size)
        else:
            axes.plot(xs[[0, -1]], [level] * 2, color=BLUE if level else ORANGE, linewidth=5, solid_capstyle="butt")
    for level, (below, above) in enumerate(itertools.pairwise(columns)):
        for end in (0, -1):
            axes.plot([below[end], above[end]], [level, level + 1], color=MUTED, linewidth=0.8, zorder=0)
    axes.set(xlim=(-1, fields[-1].size[1]), ylim=(-0.6, len(layers) + 0.6))
    axes.axis("off")
    heading(axes, "What one value depends on")


def _draw_fields(axes: Any, layers: Sequence[StackLayer], pixels: NDArray[np.uint8] | None) -> None:
    """Draw the field of each layer's middle value as a frame on the image."""
    from matplotlib.patches import Rectangle

    fields = stack_fields(layers)
    height, width = (int(side * 1.3) + 2 for side in fields[-1].size) if pixels is None else pixels.shape[:2]
    if pixels is not None:
        axes.imshow(pixels, cmap="grey", vmin=0, vmax=255)
    else:
        axes.add_patch(Rectangle((-0.5, -0.5), width, height, facecolor=PALE_BLUE, alpha=0.3))
        if max(height, width) <= _MOST_CELLS:
            for line in range(max(height, width) + 1):
                axes.plot([-0.5, width - 0.5], [line - 0.5] * 2, color="white", linewidth=0.7, zorder=1)
                axes.plot([line - 0.5] * 2, [-0.5, height - 0.5], color="white", linewidth=0.7, zorder=1)
    for field in reversed(fields):
        rows, columns = field.size
        corner = (width - columns) // 2 - 0.5, (height - rows) // 2 - 0.5
        last = field is fields[-1]
        axes.add_patch(
            Rectangle(
                corner,
                columns,
                rows,
                fill=False,
                edgecolor=ORANGE if last else BLUE,
                linewidth=(2.5 if last else 1.5) * (1 if pixels is None else 0.5),
                zorder=2,
            )
        )
    axes.set(xlim=(-1, width), ylim=(height, -1), aspect="equal")
    axes.axis("off")
    rows, columns = fields[-1].size
    heading(axes, f"Receptive field {rows}x{columns}", "orange: last layer")


def _draw_effective(axes: Any, layers: Sequence[StackLayer]) -> None:
    gradient = effective_field(layers, draws=24)
    axes.imshow(gradient, cmap="viridis", vmin=0, vmax=1)
    axes.axis("off")
    heading(axes, f"Effective field {effective_size(gradient):.1f}", "gradient, random weights")
