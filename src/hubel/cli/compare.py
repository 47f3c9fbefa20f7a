"""`hubel compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hubel.cli.printing import print_json, print_line

EXAMPLES = (
    "hubel compare resnet50 mobilenet_v2 efficientnet_b0",
    'hubel compare "vgg*" --time',
    "hubel compare runs/PHOTOS-efficientnet_lite0-1 resnet18 --figure comparison.png",
)


def compare(
    *models: str,
    timed: Annotated[bool, Parameter(name="--time")] = False,
    figure: Path | None = None,
    json: bool = False,
) -> int:
    """Compare networks side by side: parameters, multiply-adds, depth, receptive field, size, accuracy, speed.

    Args:
        models: networks by their names or by patterns such as "vgg*", model files, folders of runs.
        timed: measure the latency of one image on this machine's CPU, with torch.
        figure: PNG file for a plot of accuracy against multiply-adds.
        json: print the results as JSON instead of a table.
    """
    from hubel.analysis.compare import compare_networks, expand_patterns
    from hubel.cli.tables import print_table
    from hubel.core.errors import OptionError
    from hubel.core.outputs import output_file
    from hubel.plots.figure_files import is_figure, save_figure

    if not models:
        raise OptionError("name the networks: hubel compare resnet50 mobilenet_v2")
    if figure is not None:
        figure = output_file(figure, ours=is_figure, inputs=models, flag="--figure")
    found = compare_networks(expand_patterns(models), timed=timed)
    records = [network.to_json() for network in found]
    if figure is not None:
        from hubel.analysis.comparison_figure import accuracy_against_macs

        save_figure(accuracy_against_macs(found), figure)
    if json:
        print_json(records)
        return 0
    rows = [
        (
            record["model"],
            "x".join(map(str, record["input"])),
            f"{record['params']:,}",
            f"{record['macs']:,}",
            str(record["weighted_layers"]),
            "all" if record["field"] is None else f"{record['field']:g}",
            f"{record['weights_mib']:.1f}",
            f"{record['results_mib']:.1f}",
            f"{record['top1']:.2f}%" if record["top1"] else "-",
            *([f"{record['latency_ms']:.1f}"] if timed else []),
        )
        for record in records
    ]
    columns = ["model", "input", "parameters", "MACs", "layers", "field", "weights MiB", "results MiB", "top-1"]
    print_table([*columns, *(["ms per image"] if timed else [])], rows)
    if figure is not None:
        print_line(f"figure  {figure}")
    return 0
