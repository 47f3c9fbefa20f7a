"""The engines that run an exported file.

ONNX Runtime comes with hubel (15 to 20 MB) and starts soonest. OpenVINO (50 MB, `hubel[fast]`) is faster with most
networks of plain convolutions, and slower with some others: for many images `Exported.fastest` measures.
Both compute in float32 what the file has in float32, also where a processor could round to bfloat16.
"""

from __future__ import annotations

import importlib
import importlib.util
import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import ModelFileError, OptionError, UnknownNameError
from hubel.core.resources import usable_cores
from hubel.inference.onnx_file import INPUT, OUTPUTS
from hubel.inference.quiet import undisturbed

__all__ = ["ENGINES", "Run", "images_a_second", "open_engine", "session_options", "versions"]

# Images uint8 `(n, height, width, channels)` to scores float32 `(n, classes)`; for as many threads as it has lanes.
Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

_TIMED_SECONDS = 0.6


@dataclass(frozen=True)
class _Engine:
    """What runs an exported file."""

    package: str
    open: Callable[[bytes, int, int], Run]  # a file, lanes, threads in all


def _onnxruntime(model: bytes, lanes: int, threads: int) -> Run:
    with undisturbed():
        ort = importlib.import_module("onnxruntime")
    options = session_options(ort, max(1, threads // lanes))
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run([OUTPUTS[0]], {INPUT: images})[0]


def session_options(ort: Any, threads: int) -> Any:
    """How ONNX Runtime is to run a file, with so many threads for each batch."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # its warnings go past Python to the terminal
    return options


def _openvino(model: bytes, lanes: int, threads: int) -> Run:
    with undisturbed():
        openvino = importlib.import_module("openvino")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": str(threads), "NUM_STREAMS": str(lanes)}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", settings)
    # Its first array looks numpy up, for which two threads would wait for each other for ever.
    openvino.Tensor(np.zeros(1, np.uint8))
    requests: queue.LifoQueue[Any] = queue.LifoQueue()
    for _ in range(lanes):
        requests.put(compiled.create_infer_request())

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        request = requests.get()
        try:
            request.infer([images], share_inputs=True)
            return np.array(request.get_tensor(OUTPUTS[0]).data)
        finally:
            requests.put(request)

    return run


# The first one starts soonest.
ENGINES = {
    "onnxruntime": _Engine("onnxruntime", _onnxruntime),
    "openvino": _Engine("openvino", _openvino),
}


def versions() -> dict[str, str]:
    """The engines that are installed, and their versions."""
    found = {name: engine.package for name, engine in ENGINES.items()}
    return {name: version(package) for name, package in found.items() if importlib.util.find_spec(package)}


def open_engine(name: str, model: bytes, *, lanes: int) -> Run:
    """Get an exported file ready to run.

    Args:
        name: one of `ENGINES`.
        model: the file.
        lanes: how many threads are to call the result at once; they share the cores.

    Raises:
        UnknownNameError: there is no such engine.
        OptionError: it is not installed.
        ModelFileError: it cannot run the file.
    """
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ["auto", *ENGINES])
    engine = ENGINES[name]
    if importlib.util.find_spec(engine.package) is None:
        raise OptionError(f"the engine {name!r} is not installed: pip install {engine.package}")
    try:
        return engine.open(model, lanes, usable_cores())
    except Exception as error:  # each has errors of its own
        raise ModelFileError(f"{name} cannot run this file: {error!s:.300}") from error


def images_a_second(run: Run, images: NDArray[np.uint8], *, lanes: int, seconds: float = _TIMED_SECONDS) -> float:
    """How many images a second all lanes run together, in batches like this one."""

    def lane(_: int) -> tuple[int, float]:
        run(images)  # the first call prepares memory
        done, started = 0, time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds or not done:
            run(images)
            done += len(images)
        return done, spent

    with ThreadPoolExecutor(lanes) as pool:
        return sum(done / spent for done, spent in pool.map(lane, range(lanes)))
