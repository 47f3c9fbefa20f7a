"""`hubel draw`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hubel.cli.printing import print_line

EXAMPLES = (
    "hubel draw resnet50",
    "hubel draw googlenet --part stage1.block2 --depth block -o inception.pdf",
    "hubel draw densenet121 --part stage1 --depth block --no-fold",
    "hubel draw runs/PHOTOS-efficientnet_lite0-1 --costs -o network.png",
)


def draw(
    model: str,
    /,
    *,
    depth: str = "stage",
    part: str = "",
    costs: bool = False,
    fold: bool = True,
    input_shape: Annotated[str, Parameter(name="--input")] = "",
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
) -> int:
    """Draw the architecture: layers, branches, additions, concatenations, and the shapes between them.

    Args:
        model: a model file, the folder of a run, or a network by its name.
        depth: network (a box for each stage), stage (for each block) or block (for each layer).
        part: part to draw instead of the whole network, such as stage2.block1, or a module's name as in hubel summary.
        costs: state parameters and multiply-adds.
        fold: draw blocks in a row that are alike once, with their number; --no-fold draws each.
        input_shape: CHANNELSxHEIGHTxWIDTH, such as 3x224x224; the network's own input if not given.
        out: file to write: .svg, .pdf or .png; MODEL.svg in this folder if not given.
    """
    from hubel.analysis.drawing.draw import draw as drawn
    from hubel.analysis.drawing.draw import drawing_file
    from hubel.analysis.untrained import parse_input_shape

    drawing = drawn(model, *parse_input_shape(input_shape), depth=depth, part=part, costs=costs, fold=fold)
    path = drawing.save(out or drawing_file(model, part))
    print_line(drawing.label)
    print_line(f"written {path}")
    return 0
