"""OpenVINO (50 MB, `hubel[fast]`): faster with most networks of plain convolutions, and slower with some others.

Exported files are computed in the precision that they have, also where a processor could round to bfloat16, and within
bounded memory: anyone may have made them. OpenVINO has no bound of its own, so the maps of a graph are added up first.
"""

from __future__ import annotations

import importlib
import math
import queue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import ModelFileError
from hubel.data.reading import one_line
from hubel.inference.answers import ALL_OUTPUTS, one_array, read_outputs
from hubel.inference.engines.engine import (
    ConversionStep,
    Engine,
    ModuleRunner,
    ModuleSupport,
    OnnxRunner,
    Precision,
    maps_memory,
)
from hubel.inference.engines.nncf_quantiser import NncfQuantiser
from hubel.inference.quiet import undisturbed

if TYPE_CHECKING:
    from hubel.inference.engines.frozen import FrozenNetwork

__all__ = ["ENGINE", "maps_of_one_image"]

_GRAPH = ConversionStep("graph", 3.5)
_CALIBRATION = ConversionStep("calibration", 7.0)
_COMPILATION = ConversionStep("compilation", 0.5)
_HINTS = {Precision.FLOAT32: "f32", Precision.BFLOAT16: "bf16"}


def _float32(frozen: FrozenNetwork) -> ModuleRunner:
    return _compiled(frozen, _graph(frozen), Precision.FLOAT32)


def _bfloat16(frozen: FrozenNetwork) -> ModuleRunner:
    return _compiled(frozen, _graph(frozen), Precision.BFLOAT16)


def _int8(frozen: FrozenNetwork) -> ModuleRunner:
    from hubel.inference.device import has_bfloat16_unit  # brings torch, which exported files do without

    quantised = NncfQuantiser().quantise(_graph(frozen), frozen.samples)
    others = Precision.BFLOAT16 if has_bfloat16_unit() else Precision.FLOAT32  # of the layers that stay in floats
    return _compiled(frozen, quantised, others)


def _graph(frozen: FrozenNetwork) -> Any:
    """Return the network as a graph for any number of images of the samples' size; converted once."""

    def convert() -> Any:
        import torch

        with undisturbed():
            example = torch.from_numpy(frozen.samples[:2].copy())
            graph = importlib.import_module("openvino").convert_model(frozen.network, example_input=example)
        graph.reshape([-1, *frozen.samples.shape[1:]])
        return graph

    return frozen.shared(_GRAPH, convert)


def _compiled(frozen: FrozenNetwork, graph: Any, precision: Precision) -> ModuleRunner:
    # "THROUGHPUT" would compute batches side by side; there is one at a time.
    return _open(graph, precision, frozen.threads, lanes=1, settings={"PERFORMANCE_HINT": "LATENCY"})  # type: ignore[no-any-return]


def _onnx(model: bytes, lanes: int, threads: int) -> OnnxRunner:
    with undisturbed():
        openvino = importlib.import_module("openvino")
    graph = openvino.Core().read_model(model)
    # It may compute the nodes in another order than the one in which `hubel.inference.onnx_cost` adds values up.
    most, needed = maps_memory() // lanes, maps_of_one_image(graph)
    if needed > most:
        raise ModelFileError(f"it needs {needed:,} bytes for the maps of one image; {most:,} are the most")
    return _open(graph, Precision.FLOAT32, threads, lanes=lanes, settings={"NUM_STREAMS": str(lanes)})  # type: ignore[no-any-return]


def maps_of_one_image(graph: Any) -> int:
    """Return how many bytes of maps are alive at once while a graph, its nodes in order, computes one image.

    A map lives from the node that makes it to the last one that reads it; weights, which are in the file, do not count.

    Args:
        graph: of one input, `(n, height, width, channels)`; it is left as it is.

    Raises:
        ModelFileError: the size of a map depends on the content of an image, and has no bound.
    """
    graph = graph.clone()
    graph.reshape([1, *(dimension.get_length() for dimension in list(graph.input().get_partial_shape())[1:])])
    nodes = [node for node in graph.get_ordered_ops() if node.get_type_name() != "Constant"]
    freed: dict[int, int] = {}  # bytes, by the place of the node that reads them last
    places = {node.get_name(): place for place, node in enumerate(nodes)}
    alive = most = 0
    for place, node in enumerate(nodes):
        for output in node.outputs():
            longest = [dimension.get_max_length() for dimension in _dimensions(output.get_partial_shape())]
            if min(longest, default=0) < 0:
                raise ModelFileError(f"the size of {one_line(node.get_friendly_name())} depends on the image")
            size = math.prod(longest) * output.get_element_type().size
            last = max((places[reader.get_node().get_name()] for reader in output.get_target_inputs()), default=place)
            freed[last] = freed.get(last, 0) + size
            alive += size
        most = max(most, alive)
        alive -= freed.pop(place, 0)
    return most


def _dimensions(shape: Any) -> list[Any]:
    """Return the sizes of a partial shape; one without a bound, if not even their number is known."""
    return list(shape) if shape.rank.is_static else [importlib.import_module("openvino").Dimension()]


def _open(graph: Any, precision: Precision, threads: int, *, lanes: int, settings: dict[str, str]) -> Any:
    """Compile a graph and return its runner for `lanes` callers at once.

    It computes the outputs that `read_outputs` names, as one array; the first one of a graph without names.
    """
    openvino = importlib.import_module("openvino")
    settings = {"INFERENCE_PRECISION_HINT": _HINTS[precision], "INFERENCE_NUM_THREADS": str(threads), **settings}
    compiled = openvino.Core().compile_model(graph, "CPU", settings)
    # Its first array looks numpy up, for which two threads would wait for each other for ever.
    openvino.Tensor(np.zeros(1, np.uint8))
    places = {name: place for place, output in enumerate(compiled.outputs) for name in output.get_names()}
    read = read_outputs([name for name in places if name in ALL_OUTPUTS])
    wanted = {name: places.get(name, 0) for name in read}
    requests: queue.LifoQueue[Any] = queue.LifoQueue()
    for _ in range(lanes):
        requests.put(compiled.create_infer_request())

    def run(images: NDArray[Any]) -> NDArray[np.float32]:
        request = requests.get()
        try:
            request.infer([np.ascontiguousarray(images)], share_inputs=True)
            found = {name: request.get_output_tensor(place).data for name, place in wanted.items()}
            return one_array({name: np.array(values) for name, values in found.items()})
        finally:
            requests.put(request)

    return run


ENGINE = Engine(
    name="openvino",
    package="openvino",
    modules=(
        ModuleSupport(
            precision=Precision.BFLOAT16,
            open=_bfloat16,
            packages=("openvino",),
            steps=(_GRAPH, _COMPILATION),
            most_gain=4.5,
        ),
        ModuleSupport(
            precision=Precision.INT8,
            open=_int8,
            packages=("openvino", "nncf"),
            steps=(_GRAPH, _CALIBRATION, _COMPILATION),
            most_gain=6.5,
        ),
        ModuleSupport(
            precision=Precision.FLOAT32,
            open=_float32,
            packages=("openvino",),
            steps=(_GRAPH, _COMPILATION),
            most_gain=2.2,
        ),
    ),
    open_onnx=_onnx,
    start_seconds=0.4,
)
