"""Export models to ONNX and other formats, quantise them to int8, and benchmark the engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.export.bench.report import Bench as Bench
    from hubel.export.bench.run import Settings as Settings
    from hubel.export.bench.run import bench as bench
    from hubel.export.formats import FORMATS as FORMATS
    from hubel.export.onnx_graph import Parity as Parity
    from hubel.export.quantise import Cost as Cost
    from hubel.export.quantise import Quantised as Quantised
    from hubel.export.run import Export as Export
    from hubel.export.run import export as export

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.export.bench.report": ("Bench",),
        "hubel.export.bench.run": ("Settings", "bench"),
        "hubel.export.formats": ("FORMATS",),
        "hubel.export.onnx_graph": ("Parity",),
        "hubel.export.quantise": ("Cost", "Quantised"),
        "hubel.export.run": ("Export", "export"),
    },
)
