"""An ONNX graph whose layers can be rounded to 8 bits, each by itself.

Static quantisation (Jacob et al. 2018, arXiv:1712.05877): a value x is stored as the byte round(x / scale) + zero. Each
output channel of a weight has a scale of its own; each map has one scale and one zero, from the least and the largest
value that it takes on calibration images. Rounding a weight moves the mean of what it makes; the bias takes that back
(Nagel et al. 2019, arXiv:1906.04721, Section 4.2, with means that were measured).

Weights have 7 bits: processors without instructions for 8 (VNNI, before about 2019) add two products in 16 bits, which
overflow with more, and the file may be meant for any of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.resources import usable_cores
from hubel.inference.engines.onnxruntime import session_options
from hubel.inference.onnx_file import INPUT, OUTPUTS
from hubel.inference.quiet import undisturbed

with undisturbed():
    import onnx
    import onnxruntime as ort
    from onnx import helper, numpy_helper
    from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

__all__ = ["Int8Graph", "run"]

Pixels = NDArray[np.uint8]

_PRODUCTS = ("Conv", "Gemm", "MatMul")
_ROUNDED = sorted({*QDQRegistry, *QLinearOpsRegistry})  # the operators that are computed in 8 bits
_BATCH = 8  # images; the maps of more do not stay in the caches


class Int8Graph:
    """A graph that is rounded as often as needed. A layer is a product with all that follows it up to the next one.

    Args:
        model: a classifier as `onnx_network` makes it.
        images: to calibrate with.
    """

    def __init__(self, model: bytes, images: Pixels) -> None:
        self._graph = _simplified(model)
        self._weights = {weight.name: weight for weight in self._graph.graph.initializer}
        self._nodes = {node.name: node for node in self._graph.graph.node}
        self.layers = self._layers()
        self._seen = self._observed(images)

    def _layers(self) -> dict[str, list[str]]:
        """The names of the nodes of each layer, by its first."""
        nodes = list(self._nodes.values())
        starts = [i for i, node in enumerate(nodes) if node.op_type in _PRODUCTS and node.input[1] in self._weights]
        end = 1 + next(i for i, node in enumerate(nodes) if OUTPUTS[1] in node.output)
        return {nodes[a].name: [node.name for node in nodes[a:b]] for a, b in pairwise([*starts, end])}

    def _observed(self, images: Pixels) -> dict[tuple[str, str], Any]:
        """What is asked of the maps, by operator and name: extremes, means of channels, shapes; none is kept."""
        values = [*self._graph.graph.value_info, *self._graph.graph.output]
        kinds = {value.name: value.type.tensor_type for value in values}
        maps = [name for name, kind in kinds.items() if kind.elem_type == onnx.TensorProto.FLOAT and kind.shape.dim]
        asked = [(extreme, name) for extreme in ("ReduceMin", "ReduceMax") for name in maps]
        for node in map(self._nodes.__getitem__, self.layers):
            asked += [("Shape", node.output[0])]
            asked += [("GlobalAveragePool" if node.op_type == "Conv" else "Identity", node.input[0])]
        asking = onnx.ModelProto()
        asking.CopyFrom(self._graph)
        del asking.graph.output[:]
        for operator, name in dict.fromkeys(asked):
            settings: Any = {"keepdims": 0} if operator.startswith("Reduce") else {}
            output = f"{operator} {name}"
            asking.graph.node.append(helper.make_node(operator, [name], [output], **settings))
            kind = onnx.TensorProto.INT64 if operator == "Shape" else onnx.TensorProto.FLOAT
            asking.graph.output.append(helper.make_tensor_value_info(output, kind, None))
        batches = [
            [a.sum(0, np.float64) if a.ndim and a.dtype == np.float32 else a for a in found]
            for found in run(asking.SerializeToString(), images)
        ]
        joined = {"ReduceMin": np.min, "ReduceMax": np.max, "Shape": np.max}
        return {
            (operator, name): joined[operator](parts, 0) if operator in joined else np.sum(parts, 0) / len(images)
            for (operator, name), parts in zip(dict.fromkeys(asked), zip(*batches, strict=True), strict=True)
        }

    @cached_property
    def _ranges(self) -> Any:
        least = {name: value for (operator, name), value in self._seen.items() if operator == "ReduceMin"}
        ranges = {name: (value, self._seen["ReduceMax", name]) for name, value in least.items()}
        return TensorsData(CalibrationMethod.MinMax, ranges)

    @cached_property
    def _macs(self) -> dict[str, int]:
        """The multiply-adds of each layer: every weight acts at every place."""

        def macs(node: Any) -> int:
            return int(np.prod(self._weights[node.input[1]].dims) * np.prod(self._seen["Shape", node.output[0]][2:]))

        return {layer: macs(self._nodes[layer]) for layer in self.layers}

    def shares(self, layers: Collection[str]) -> list[float]:
        """Of all multiply-adds, those of the first layer, of the first two, and so on; 0 to 1."""
        whole = sum(self._macs.values())
        return [part / whole for part in accumulate(self._macs[layer] for layer in layers)]

    def readable(self, layer: str) -> str:
        """The name of a layer as torch has it, where the file still knows it."""
        weight: str = self._nodes[layer].input[1]
        return layer if "::" in weight else weight.removeprefix("network.").removesuffix(".weight")

    def rounded(self, kept: Collection[str]) -> bytes:
        """The graph in 8 bits but for some layers, serialised."""
        graph = onnx.ModelProto()
        graph.CopyFrom(self._graph)
        for node in graph.graph.node:
            if node.name in self._biases and node.name not in kept:
                name = f"{node.name} bias"  # a new one: equal weights of several layers are stored once
                graph.graph.initializer.append(numpy_helper.from_array(self._biases[node.name], name))
                node.input[2] = name
        rounded = self._quantised(graph, kept)
        _keep_apart(rounded.graph, kept)
        return rounded.SerializeToString()  # type: ignore[no-any-return]

    @cached_property
    def _biases(self) -> dict[str, NDArray[np.float32]]:
        """The biases of layers whose weights are rounded."""
        graph = onnx.ModelProto()
        graph.CopyFrom(self._graph)
        return dict(self._corrected(self._quantised(graph, ()).graph))

    def _corrected(self, rounded: Any) -> Iterator[tuple[str, NDArray[np.float32]]]:
        makers = {node.output[0]: node for node in rounded.node}
        inputs = {node.name: node.input for node in rounded.node}
        numbers = {weight.name: weight for weight in rounded.initializer}
        for name in self.layers:
            node, weight = self._nodes[name], makers.get(inputs[name][1])
            if weight is None or node.op_type == "MatMul" or len(node.input) < 3 or node.input[2] not in self._weights:
                continue
            exact, bias = (numpy_helper.to_array(self._weights[part]) for part in node.input[1:3])
            steps, scale = (numpy_helper.to_array(numbers[part]) for part in weight.input[:2])
            axis = next((a.i for a in weight.attribute if a.name == "axis"), 1)
            lost = exact - steps * scale.reshape([-1 if i == axis else 1 for i in range(steps.ndim)])
            if node.op_type == "Gemm":
                lost = lost if axis == 0 else lost.T
            lost = lost.reshape(*lost.shape[:2], -1).sum(2)  # output channels, input channels of a group
            mean = self._seen["GlobalAveragePool" if node.op_type == "Conv" else "Identity", node.input[0]]
            mean = mean.reshape(-1, lost.shape[1])  # groups, input channels of a group
            change = np.einsum("goi,gi->go", lost.reshape(len(mean), -1, lost.shape[1]), mean)
            yield name, (bias + change.ravel()).astype(np.float32)

    def _quantised(self, graph: Any, kept: Collection[str]) -> Any:
        rounded = {name for layer, names in self.layers.items() if layer not in kept for name in names}
        # A mean behind the last product makes logits: in 256 steps, the best two would often be equal.
        last = list(self.layers.values())[-1][1:]
        rounded -= {name for name in last if self._nodes[name].op_type not in ("Relu", "Clip")}
        with undisturbed():
            quantizer = QDQQuantizer(
                graph,
                per_channel=True,
                reduce_range=True,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QUInt8,
                tensors_range=self._ranges,
                nodes_to_quantize=[],
                nodes_to_exclude=[name for name in self._nodes if name not in rounded],
                op_types_to_quantize=_ROUNDED,
                extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
            )
            quantizer.quantize_model()
        return quantizer.model.model


def _keep_apart(graph: Any, kept: Collection[str]) -> None:
    """Let some layers be computed in float.

    Between rounded maps ONNX Runtime (1.32) would compute them in 8 bits after all: layers that stay float with one
    scale for all channels (`WeightBiasQuantization`), and means whose last window is cut off (`ceil_mode`) wrongly. It
    does not where something else than rounding stands before them; this changes no number.
    """
    makers = {name: node for node in graph.node for name in node.output}
    limit = "lowest float32"
    places = [(i, node) for i, node in enumerate(graph.node) if node.name in kept or _cuts_off(node)]
    for i, node in reversed(places):
        maker = makers.get(node.input[0])
        if maker is not None and maker.op_type == "DequantizeLinear":
            output = f"{node.name} input"
            graph.node.insert(i, helper.make_node("Clip", [node.input[0], limit], [output], name=output))
            node = graph.node[i + 1]
            node.input[0] = output
    if places:
        graph.initializer.append(numpy_helper.from_array(np.array(np.finfo(np.float32).min), limit))


def _cuts_off(node: Any) -> bool:
    return node.op_type == "AveragePool" and any(a.name == "ceil_mode" and a.i for a in node.attribute)


def _simplified(model: bytes) -> Any:
    """The graph with constants folded, a kind for every value and a name for every node."""
    with tempfile.TemporaryDirectory() as folder, undisturbed():
        path = Path(folder) / "simplified.onnx"  # ONNX Runtime hands it out in no other way
        options = session_options(ort, usable_cores())
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        graph = onnx.shape_inference.infer_shapes(onnx.load(path))
    for number, node in enumerate(graph.graph.node):
        node.name = node.name or f"{node.op_type} {number}"  # by which nodes are left out
    return graph


def run(model: bytes, images: Pixels, outputs: list[str] | None = None) -> Iterator[list[Any]]:
    """What a graph makes of some images, batch after batch."""
    session = ort.InferenceSession(model, session_options(ort, usable_cores()), providers=["CPUExecutionProvider"])
    for start in range(0, len(images), _BATCH):
        yield session.run(outputs, {INPUT: np.ascontiguousarray(images[start : start + _BATCH])})
