"""ONNX Runtime (15 to 20 MB), which comes with hubel and starts soonest.

Exported files are computed in the precision that they have.
"""

from __future__ import annotations

import importlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from hubel.inference.engines.engine import (
    ConversionStep,
    Engine,
    ModuleRunner,
    ModuleSupport,
    OnnxRunner,
    Precision,
)
from hubel.inference.onnx_file import INPUT, OUTPUTS
from hubel.inference.quiet import undisturbed

if TYPE_CHECKING:
    from hubel.inference.engines.frozen import FrozenNetwork

__all__ = ["ENGINE", "session_options"]

_EXPORT = ConversionStep("export", 1.5)
_COMPILATION = ConversionStep("compilation", 0.5)


def session_options(ort: Any, threads: int) -> Any:
    """Return the options of a session that computes each batch with so many threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # its warnings go past Python to the terminal
    return options


def _open(model: bytes, threads: int) -> Any:
    """Return a session for a serialised ONNX model."""
    with undisturbed():
        ort = importlib.import_module("onnxruntime")
    return ort.InferenceSession(model, session_options(ort, threads), providers=["CPUExecutionProvider"])


def _onnx(model: bytes, lanes: int, threads: int) -> OnnxRunner:
    session = _open(model, max(1, threads // lanes))
    return lambda images: session.run([OUTPUTS[0]], {INPUT: images})[0]


def _float32(frozen: FrozenNetwork) -> ModuleRunner:
    import torch  # what only runs exported files does without

    file: Any = io.BytesIO()
    example = torch.from_numpy(frozen.samples[:2].copy())
    names: dict[str, Any] = {
        "input_names": ["x"],
        "output_names": ["y"],
        "dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}},
    }
    with undisturbed():
        importlib.import_module("onnxruntime")  # before torch's exporter does, which would let it report
        torch.onnx.export(frozen.network, (example,), file, dynamo=False, **names)
    session = _open(file.getvalue(), frozen.threads)
    return lambda images: session.run(None, {"x": np.ascontiguousarray(images)})[0]


ENGINE = Engine(
    name="onnxruntime",
    package="onnxruntime",
    modules=(
        ModuleSupport(
            precision=Precision.FLOAT32,
            open=_float32,
            packages=("onnx", "onnxruntime"),
            steps=(_EXPORT, _COMPILATION),
            most_gain=1.6,
        ),
    ),
    open_onnx=_onnx,
    start_seconds=0.2,
)
