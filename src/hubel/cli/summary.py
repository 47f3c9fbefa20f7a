"""`hubel summary`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from hubel.cli.printing import print_json, print_line

EXAMPLES = (
    "hubel summary resnet50",
    "hubel summary googlenet --depth 0",
    "hubel summary runs/PHOTOS-efficientnet_lite0-1 --csv > layers.csv",
    "hubel summary mobilenet_v2 --input 3x160x160 --json",
)


def summary(
    model: str,
    /,
    *,
    input_shape: Annotated[str, Parameter(name="--input")] = "",
    depth: int = -1,
    csv: bool = False,
    json: bool = False,
    markdown: bool = False,
) -> int:
    """Summarize each layer: output shape, parameters, multiply-adds, memory, receptive field.

    Args:
        model: a model file, the folder of a run, or a network by its name.
        input_shape: CHANNELSxHEIGHTxWIDTH, such as 3x224x224; the network's own input if not given.
        depth: depth of modules to print; deeper ones are summed up. 0 prints every layer, -1 as many as fit a page.
        csv: print CSV.
        json: print JSON.
        markdown: print a Markdown table.
    """
    from hubel.analysis import listing
    from hubel.analysis.summary import PAGE
    from hubel.analysis.summary import summary as summarise
    from hubel.analysis.untrained import parse_input_shape
    from hubel.cli.tables import print_table
    from hubel.core.errors import OptionError

    chosen = [name for name, wanted in (("csv", csv), ("json", json), ("markdown", markdown)) if wanted]
    if len(chosen) > 1:
        raise OptionError(f"choose one of --{' and --'.join(chosen)}")
    found = summarise(model, *parse_input_shape(input_shape))
    # CSV, JSON and Markdown list every layer.
    layers = found.at_depth(depth if depth >= 0 else 0 if chosen else found.fitting(PAGE))
    if json:
        print_json(listing.to_json(found, layers))
    elif csv or markdown:
        print((listing.to_csv if csv else listing.to_markdown)(layers), end="")
    else:
        print_table(listing.COLUMNS, map(listing.cells, layers), title=found.title)
        if any(layer.field is not None and layer.field.whole for layer in layers):
            print("* and every pixel, through averages over whole maps (as in squeeze-and-excitation and group norm)\n")
        print_table(["", "parameters", "share", "MACs", "share "], listing.bars(found))
        for name, value in listing.totals(found):
            print_line(f"{name:<16} {value}")
        if len(layers) < len(found.layers):
            print(f"\n{len(layers)} rows for {len(found.layers)} layers; --depth 0 prints every layer")
    return 0
