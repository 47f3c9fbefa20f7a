"""Run trained models: engines, predictors, bulk prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.inference.bulk import BulkResult as BulkResult
    from hubel.inference.bulk import write as write
    from hubel.inference.bulk_job import BulkJob as BulkJob
    from hubel.inference.classifier import Classifier as Classifier
    from hubel.inference.classifier import Prediction as Prediction
    from hubel.inference.detections import Detections as Detections
    from hubel.inference.exported import Exported as Exported
    from hubel.inference.load import load_reconstructor as load_reconstructor
    from hubel.inference.onnx_file import OnnxFile as OnnxFile
    from hubel.inference.onnx_file import read_onnx as read_onnx
    from hubel.inference.predictor import load_network as load_network
    from hubel.inference.reconstructor import Reconstructed as Reconstructed
    from hubel.inference.reconstructor import Reconstructor as Reconstructor

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.inference.bulk": ("BulkResult", "write"),
        "hubel.inference.bulk_job": ("BulkJob",),
        "hubel.inference.classifier": ("Classifier", "Prediction"),
        "hubel.inference.detections": ("Detections",),
        "hubel.inference.exported": ("Exported",),
        "hubel.inference.load": ("load_reconstructor",),
        "hubel.inference.onnx_file": ("OnnxFile", "read_onnx"),
        "hubel.inference.predictor": ("load_network",),
        "hubel.inference.reconstructor": ("Reconstructed", "Reconstructor"),
    },
)
