"""Export models to ONNX and other formats, quantise them to int8, and benchmark the engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.export.bench.report import Benchmark as Benchmark
    from hubel.export.bench.run import BenchmarkSettings as BenchmarkSettings
    from hubel.export.bench.run import benchmark as benchmark
    from hubel.export.ensemble import Ensemble as Ensemble
    from hubel.export.ensemble import EnsembleMember as EnsembleMember
    from hubel.export.ensemble import ensemble as ensemble
    from hubel.export.formats import FORMATS as FORMATS
    from hubel.export.onnx_graph import Parity as Parity
    from hubel.export.quantise import OnnxQuantiser as OnnxQuantiser
    from hubel.export.quantise import QuantisationCost as QuantisationCost
    from hubel.export.quantise import Quantised as Quantised
    from hubel.export.run import Export as Export
    from hubel.export.run import export as export

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.export.bench.report": ("Benchmark",),
        "hubel.export.bench.run": ("BenchmarkSettings", "benchmark"),
        "hubel.export.ensemble": ("Ensemble", "EnsembleMember", "ensemble"),
        "hubel.export.formats": ("FORMATS",),
        "hubel.export.onnx_graph": ("Parity",),
        "hubel.export.quantise": ("OnnxQuantiser", "QuantisationCost", "Quantised"),
        "hubel.export.run": ("Export", "export"),
    },
)
