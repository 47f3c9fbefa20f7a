"""Draw the architecture of a network from the data flow that is traced."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, cast, get_args

from torch import nn

from hubel.analysis.dataflow import DataFlow, follow
from hubel.analysis.drawing.arrange import arrange
from hubel.analysis.drawing.operations import operations_of
from hubel.analysis.drawing.picture import Arrow, Depth, Line, Node, Picture, compose
from hubel.analysis.drawing.save import save_drawing
from hubel.analysis.drawing.shapes import Shape, shapes_at
from hubel.analysis.drawing.svg import to_svg
from hubel.analysis.drawing.u_shape import arrange_as_u, turning_point
from hubel.analysis.drawing.words import class_words, label_of, shapes_text
from hubel.analysis.untrained import untrained
from hubel.core.errors import UnknownNameError

__all__ = ["NetworkDrawing", "draw", "drawing_file"]

_MARGIN = 14.0


@dataclass(frozen=True, kw_only=True, repr=False)
class NetworkDrawing:
    """A drawing of an architecture; at the end of a notebook's cell, it is shown.

    Attributes:
        title: name of the network, and of the part that is drawn.
        label: what it shows, in a sentence, for screen readers.
        width: in pixels at its natural size.
        height: likewise.
        shapes: boxes, circles, lines of text and arrows.
        picture: what is drawn, without places.
    """

    title: str
    label: str
    width: float
    height: float
    shapes: tuple[Shape, ...]
    picture: Picture

    def __repr__(self) -> str:
        return f"NetworkDrawing({self.title!r}, {self.width:.0f}x{self.height:.0f} pixels)"

    def svg(self, label: str = "", *, style: bool = True) -> str:
        """Return the drawing as SVG.

        Args:
            label: what it shows, for screen readers; `NetworkDrawing.label` if empty.
            style: whether the style sheet for light and dark pages is in it; a page that forbids that has the sheet
                `hubel.analysis.DRAWING_STYLE` itself.
        """
        return to_svg(self.shapes, self.width, self.height, label=label or self.label, style=style)

    def save(self, path: str | Path) -> Path:
        """Write the drawing to a file, whose suffix tells the format: .svg, .pdf or .png.

        Returns:
            The file.

        Raises:
            OptionError: the suffix is another one, the drawing is too large for a PNG file, or a file that is not a
                drawing of hubel would be lost.
        """
        return save_drawing(self.shapes, self.width, self.height, path, svg=self.svg)

    def to_json(self) -> dict[str, Any]:
        """Return the drawing as JSON values: its size, its shapes with their places, and its nodes and arrows."""
        return {
            "title": self.title,
            "label": self.label,
            "width": self.width,
            "height": self.height,
            "shapes": [{"shape": type(shape).__name__.lower(), **asdict(shape)} for shape in self.shapes],
            "picture": _record(self.picture),
        }

    def _repr_svg_(self) -> str:
        return self.svg()


def _record(picture: Picture) -> dict[str, Any]:
    nodes = [
        {
            "kind": node.kind,
            "name": node.name,
            "title": node.title,
            "lines": [line.text for line in node.lines],
            "shapes": [[list(shape) for shape in shapes] for shapes in node.shapes],
            "params": node.params,
            "macs": node.macs,
            "times": node.times,
            "shared": node.shared,
            "inner": _record(node.inner) if node.inner is not None else None,
        }
        for node in picture.nodes
    ]
    arrows = [
        {"from": arrow.source, "to": arrow.target, "shapes": [list(shape) for shape in arrow.shapes]}
        for arrow in picture.arrows
    ]
    return {"nodes": nodes, "arrows": arrows}


def draw(
    model: nn.Module | str | Path,
    *input_shapes: Sequence[int],
    depth: str = "stage",
    part: str = "",
    costs: bool = False,
    fold: bool = True,
) -> NetworkDrawing:
    """Draw the architecture of a network, traced without computing it.

    Args:
        model: a module, which is left unchanged; or the name of a network in the catalogue, a model file, or the folder
            of a run, whose weights are not loaded.
        input_shapes: shape of each input without the batch; required for a module, otherwise by default the input shape
            of the network.
        depth: "network" draws each stage as a box, "stage" each block, "block" each layer.
        part: module to draw instead of the whole network: a name such as "stage2.block1" or "stages.1.0".
        costs: state parameters and multiply-adds.
        fold: draw blocks in a row that are alike once, with their number.

    Raises:
        OptionError: the shape is missing, the network cannot take it, or the depth is none of these.
        UnknownNameError: there is no such network or part.
        ModelFileError: the file is missing or damaged.

    >>> draw("googlenet", part="stage1.block2", depth="block").label
    'stage1.block2 of googlenet: 6 layers with weights, 1 concatenation; input 192x28x28, output 256x28x28.'
    """
    if depth not in get_args(Depth):
        raise UnknownNameError("depth", depth, get_args(Depth))
    found = untrained(model, input_shapes, verb="draw")
    flow = follow(found.network, *found.input_shapes)
    name = _module_name(found.network, part)
    picture = compose(flow, operations_of(flow), cast(Depth, depth), part=name, fold=fold)
    if flow.constant and not part:  # such as nearest neighbours without any
        picture = _closed(flow, found.description)
    title = f"{part} of {found.title}" if part else found.title
    inputs = ["input"] if len(picture.entering) == 1 else [f"input {n + 1}" for n in range(len(picture.entering))]
    turn = turning_point(picture)
    arranged = (
        arrange(picture, costs=costs, inputs=inputs) if turn is None else arrange_as_u(picture, turn, costs=costs)
    )
    return NetworkDrawing(
        title=title,
        label=_sentence(flow, picture, title),
        width=arranged.left + arranged.right + 2 * _MARGIN,
        height=arranged.height + 2 * _MARGIN,
        shapes=tuple(shapes_at(arranged.shapes, arranged.left + _MARGIN, _MARGIN)),
        picture=picture,
    )


def _closed(flow: DataFlow, description: str) -> Picture:
    """Return the picture of a network as one box."""
    lines = [Line(text, secondary=True) for text in wrap(description, 40)]
    box = Node(kind="block", title=class_words(type(flow.network).__name__), lines=lines)
    entering: list[tuple[tuple[int, ...], ...]] = [(shape,) for shape in flow.inputs]
    arrows = [Arrow(-1 - number, 0, 0, 0, shapes) for number, shapes in enumerate(entering)]
    return Picture(nodes=[box], arrows=arrows, entering=entering, leaving=[(0, 0)])


def _module_name(network: nn.Module, part: str) -> str:
    """Return the name of a module; that of a map, such as "stage2.block1", names the module that makes it."""
    if not part:
        return ""
    names = [name for name, _ in network.named_modules() if name]
    stage = re.fullmatch(r"(stem|stage(\d+))(?:\.block(\d+))?", part)
    meant = part
    if stage and part not in names:
        section, number, block = stage.groups()
        meant = f"stages.{int(number) - 1}" if number else section
        meant = f"{meant}.{int(block) - 1}" if block else meant
        meant = f"backbone.{meant}" if "backbone" in names else meant
    if meant not in names:
        raise UnknownNameError("part", part, names)
    return meant


def _sentence(flow: DataFlow, picture: Picture, title: str) -> str:
    steps = [flow.steps[number] for node in picture.nodes for number in node.steps]
    labels = [label_of(step).kind for step in steps]
    counted = {
        "layer with weights": labels.count("conv") + labels.count("linear"),
        "addition": labels.count("add"),
        "concatenation": labels.count("concat"),
    }
    words = [f"{count} {_plural(name, count)}" for name, count in counted.items() if count]
    ends = [f"input {', '.join(map(shapes_text, picture.entering))}"] if picture.entering else []
    leaving = [shapes_text(picture.nodes[n].shapes[port]) for n, port in picture.leaving if picture.nodes[n].shapes]
    ends += [f"output {', '.join(leaving)}"] if leaving else []
    return f"{title}: {'; '.join(part for part in (', '.join(words), ', '.join(ends)) if part)}."


def _plural(name: str, count: int) -> str:
    noun, *rest = name.split(" ")
    return name if count == 1 else " ".join([f"{noun}s", *rest])


def drawing_file(model: str | Path, part: str = "") -> Path:
    """Return the name of the file that a drawing is written to if none is named.

    >>> drawing_file("resnet50", "stage1").name
    'resnet50-stage1.svg'
    """
    stem = Path(model).name.removesuffix(".safetensors")
    return Path(f"{stem}-{part}.svg" if part else f"{stem}.svg")
