"""Analysis of networks: parameters, multiply-adds, shapes, receptive fields, data flow, drawings, published facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.analysis.compare import ComparedNetwork as ComparedNetwork
    from hubel.analysis.compare import NetworkComparison as NetworkComparison
    from hubel.analysis.compare import compare_networks as compare_networks
    from hubel.analysis.dataflow import DataFlow as DataFlow
    from hubel.analysis.dataflow import Flow as Flow
    from hubel.analysis.dataflow import Step as Step
    from hubel.analysis.dataflow import follow as follow
    from hubel.analysis.drawing.draw import NetworkDrawing as NetworkDrawing
    from hubel.analysis.drawing.svg import DRAWING_STYLE as DRAWING_STYLE
    from hubel.analysis.listing import to_csv as to_csv
    from hubel.analysis.listing import to_json as to_json
    from hubel.analysis.listing import to_markdown as to_markdown
    from hubel.analysis.receptive import Field as Field
    from hubel.analysis.summary import Layer as Layer
    from hubel.analysis.summary import Summary as Summary
    from hubel.analysis.verify import Fact as Fact
    from hubel.analysis.verify import verify as verify
    from hubel.analysis.verify import verify_all as verify_all

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.analysis.compare": ("ComparedNetwork", "NetworkComparison", "compare_networks"),
        "hubel.analysis.dataflow": ("DataFlow", "Flow", "Step", "follow"),
        "hubel.analysis.drawing.draw": ("NetworkDrawing",),
        "hubel.analysis.drawing.svg": ("DRAWING_STYLE",),
        "hubel.analysis.listing": ("to_csv", "to_json", "to_markdown"),
        "hubel.analysis.receptive": ("Field",),
        "hubel.analysis.summary": ("Layer", "Summary"),
        "hubel.analysis.verify": ("Fact", "verify", "verify_all"),
    },
)
