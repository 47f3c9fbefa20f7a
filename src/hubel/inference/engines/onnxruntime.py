"""ONNX Runtime (15 to 20 MB), which comes with hubel and starts soonest.

Exported files are computed in the precision that they have, and within bounded memory: anyone may have made them.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import ModelFileError
from hubel.data.reading import one_line
from hubel.inference.answers import one_array, read_outputs
from hubel.inference.engines.engine import (
    ConversionStep,
    Engine,
    ModuleRunner,
    ModuleSupport,
    OnnxRunner,
    Precision,
    maps_memory,
)
from hubel.inference.onnx_file import INPUT
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
    with undisturbed():
        ort = importlib.import_module("onnxruntime")
    _bound_memory(ort)
    options = session_options(ort, max(1, threads // lanes))
    options.add_session_config_entry("session.use_env_allocators", "1")
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    wanted = read_outputs([output.name for output in session.get_outputs()])

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            found = session.run(wanted, {INPUT: images})
        except Exception as error:  # it has errors of its own
            raise ModelFileError(f"onnxruntime cannot run this file: {one_line(error)}") from error
        return one_array(dict(zip(wanted, found, strict=True)))

    return run


@cache
def _bound_memory(ort: Any) -> None:
    """Bound the memory that all sessions of exported files share; their weights, as large as the file, do not count."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    with contextlib.suppress(RuntimeError):  # the program around has one already
        ort.create_and_register_allocator(memory, ort.OrtArenaCfg({"max_mem": maps_memory()}))


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
