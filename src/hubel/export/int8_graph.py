"""An ONNX graph whose layers can be quantised to int8, each by itself.

Static quantisation (Jacob et al. 2018, arXiv:1712.05877): a value x is stored as the byte round(x / scale) + zero. Each
output channel of a weight has a scale of its own; each map has one scale and one zero, from the least and the largest
value that it takes on calibration images. Rounding a weight shifts the mean of its output; the bias corrects that
(Nagel et al. 2019, arXiv:1906.04721, Section 4.2, with means that were measured).

Weights have 7 bits: processors without instructions for 8 (VNNI, before about 2019) add two products in 16 bits, which
overflow with more, and the file may run on any of them.
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

__all__ = ["Int8Graph", "run_batches"]

Pixels = NDArray[np.uint8]

_PRODUCTS = ("Conv", "Gemm", "MatMul")
# The operators that are computed in 8 bits. No engine has this norm in 8 bits, and rounding its scale gains nothing.
_INT8_OPERATORS = sorted({*QDQRegistry, *QLinearOpsRegistry} - {"InstanceNormalization"})
_BATCH = 8  # images; the maps of more do not stay in the caches


class Int8Graph:
    """A calibrated graph, quantised as often as needed. A layer is a product with all nodes up to the next product.

    Args:
        model: output of `onnx_network` for a classifier.
        images: calibration images, uint8 `(n, height, width, channels)`.
        float_ends: leave the last products in float32: a map with 256 steps of a box's sides, or of the scores of
            pixels, is too coarse, and they are a hundredth of the work.

    Attributes:
        layers: names of the nodes of each layer, by the name of its first node.
    """

    def __init__(self, model: bytes, images: Pixels, *, float_ends: bool = False) -> None:
        self._graph = _simplified(model)
        self._weights = {weight.name: weight for weight in self._graph.graph.initializer}
        self._nodes = {node.name: node for node in self._graph.graph.node}
        self.layers = self._find_layers()
        self._tail = self._find_tail()
        ends = {layer for layer in self.layers if {*self._nodes[layer].output} <= self._tail}
        self._ends = ends if float_ends and ends != self.layers.keys() else set[str]()
        self._statistics = self._measure(images)

    def _find_layers(self) -> dict[str, list[str]]:
        """Return the names of the nodes of each layer, by the name of its first node."""
        nodes = self._for_logits()
        starts = [i for i, node in enumerate(nodes) if node.op_type in _PRODUCTS and node.input[1] in self._weights]
        end = 1 + next(i for i, node in enumerate(nodes) if OUTPUTS[1] in node.output)
        return {nodes[a].name: [node.name for node in nodes[a:b]] for a, b in pairwise([*starts, end])}

    def _for_logits(self) -> list[Any]:
        """Return the nodes up to the logits, in order: the novelty is computed in float32."""
        needed, nodes = {OUTPUTS[1]}, []
        for node in reversed(list(self._nodes.values())):
            if needed & {*node.output}:
                needed |= {*node.input}
                nodes.append(node)
        return nodes[::-1]

    def _find_tail(self) -> set[str]:
        """Return the values that no product depends on."""
        read = set[str]()
        for node in reversed(self._for_logits()):
            if node.op_type in _PRODUCTS or read & {*node.output}:
                read |= {*node.input}
        return {name for node in self._nodes.values() for name in node.output} - read

    def _measure(self, images: Pixels) -> dict[tuple[str, str], Any]:
        """Measure the maps: extremes, channel means and shapes, by operator and name; no map is stored."""
        values = [*self._graph.graph.value_info, *self._graph.graph.output]
        kinds = {value.name: value.type.tensor_type for value in values}
        maps = [name for name, kind in kinds.items() if kind.elem_type == onnx.TensorProto.FLOAT and kind.shape.dim]
        statistics = [(extreme, name) for extreme in ("ReduceMin", "ReduceMax") for name in maps]
        for node in map(self._nodes.__getitem__, self.layers):
            statistics += [("Shape", node.output[0])]
            statistics += [("GlobalAveragePool" if node.op_type == "Conv" else "Identity", node.input[0])]
        probe = onnx.ModelProto()
        probe.CopyFrom(self._graph)
        del probe.graph.output[:]
        for operator, name in dict.fromkeys(statistics):
            settings: Any = {"keepdims": 0} if operator.startswith("Reduce") else {}
            output = f"{operator} {name}"
            probe.graph.node.append(helper.make_node(operator, [name], [output], **settings))
            kind = onnx.TensorProto.INT64 if operator == "Shape" else onnx.TensorProto.FLOAT
            probe.graph.output.append(helper.make_tensor_value_info(output, kind, None))
        batches = [
            [a.sum(0, np.float64) if a.ndim and a.dtype == np.float32 else a for a in outputs]
            for outputs in run_batches(probe.SerializeToString(), images)
        ]
        reductions = {"ReduceMin": np.min, "ReduceMax": np.max, "Shape": np.max}
        return {
            (operator, name): reductions[operator](parts, 0)
            if operator in reductions
            else np.sum(parts, 0) / len(images)
            for (operator, name), parts in zip(dict.fromkeys(statistics), zip(*batches, strict=True), strict=True)
        }

    @cached_property
    def _ranges(self) -> Any:
        """Least and largest value of each map."""
        least = {name: value for (operator, name), value in self._statistics.items() if operator == "ReduceMin"}
        ranges = {name: (value, self._statistics["ReduceMax", name]) for name, value in least.items()}
        return TensorsData(CalibrationMethod.MinMax, ranges)

    @cached_property
    def _macs(self) -> dict[str, int]:
        """Multiply-adds of each layer: every weight acts at every position of the map."""

        def macs(node: Any) -> int:
            return int(
                np.prod(self._weights[node.input[1]].dims) * np.prod(self._statistics["Shape", node.output[0]][2:])
            )

        return {layer: macs(self._nodes[layer]) for layer in self.layers}

    def cumulative_shares(self, layers: Collection[str]) -> list[float]:
        """Return the share of all multiply-adds in the first layer, in the first two, and so on; 0 to 1."""
        whole = sum(self._macs.values())
        return [part / whole for part in accumulate(self._macs[layer] for layer in layers)]

    def torch_name(self, layer: str) -> str:
        """Return the name of a layer in the torch module, or in the graph if the file has lost it."""
        weight: str = self._nodes[layer].input[1]
        return layer if "::" in weight else weight.removeprefix("network.").removesuffix(".weight")

    def quantised(self, float_layers: Collection[str]) -> bytes:
        """Return the graph in int8, serialised, with `float_layers` left in float32."""
        float_layers = {*float_layers, *self._ends}
        graph = onnx.ModelProto()
        graph.CopyFrom(self._graph)
        for node in graph.graph.node:
            if node.name in self._biases and node.name not in float_layers:
                name = f"{node.name} bias"  # a new one: equal weights of several layers are stored once
                graph.graph.initializer.append(numpy_helper.from_array(self._biases[node.name], name))
                node.input[2] = name
        quantised = self._insert_quantisation(graph, float_layers)
        _isolate_float_nodes(quantised.graph, float_layers)
        for weight in quantised.graph.initializer:
            weight.ClearField("data_location")  # stated for what stays in float32: that it is in the file itself
        return quantised.SerializeToString()  # type: ignore[no-any-return]

    @cached_property
    def _biases(self) -> dict[str, NDArray[np.float32]]:
        """Corrected biases of the layers whose weights are rounded."""
        graph = onnx.ModelProto()
        graph.CopyFrom(self._graph)
        return dict(self._corrected_biases(self._insert_quantisation(graph, ()).graph))

    def _corrected_biases(self, quantised: Any) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield the name of each layer and its bias, plus the mean that rounding its weights takes from its output."""
        makers = {node.output[0]: node for node in quantised.node}
        inputs = {node.name: node.input for node in quantised.node}
        numbers = {weight.name: weight for weight in quantised.initializer}
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
            mean = self._statistics["GlobalAveragePool" if node.op_type == "Conv" else "Identity", node.input[0]]
            mean = mean.reshape(-1, lost.shape[1])  # groups, input channels of a group
            change = np.einsum("goi,gi->go", lost.reshape(len(mean), -1, lost.shape[1]), mean)
            yield name, (bias + change.ravel()).astype(np.float32)

    def _insert_quantisation(self, graph: Any, float_layers: Collection[str]) -> Any:
        """Return a model with quantised nodes in the place of those that are not left in float32."""
        nodes = {name for layer, names in self.layers.items() if layer not in float_layers for name in names}
        # A mean after the last product outputs the logits: in 256 steps, the best two would often be equal.
        products = {name for layer in self.layers for name in self._nodes[layer].output}
        nodes -= {
            name
            for name, node in self._nodes.items()
            if {*node.output} <= self._tail
            and name not in self.layers
            and not (node.op_type in ("Relu", "Clip") and node.input[0] in products)
        }
        with undisturbed():
            quantizer = QDQQuantizer(
                graph,
                per_channel=True,
                reduce_range=True,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QUInt8,
                tensors_range=self._ranges,
                nodes_to_quantize=[],
                nodes_to_exclude=[name for name in self._nodes if name not in nodes],
                op_types_to_quantize=_INT8_OPERATORS,
                extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
            )
            quantizer.quantize_model()
        return quantizer.model.model


def _isolate_float_nodes(graph: Any, float_layers: Collection[str]) -> None:
    """Make ONNX Runtime compute the layers left in float32, and means with a cut-off last window, in float32.

    Between quantised maps ONNX Runtime (1.32) would compute them in 8 bits after all: layers left in float32 with one
    scale for all channels (`WeightBiasQuantization`), and means whose last window is cut off (`ceil_mode`) wrongly. It
    does not if another node than `DequantizeLinear` precedes them; the `Clip` inserted here changes no number.
    """
    makers = {name: node for node in graph.node for name in node.output}
    limit = "lowest float32"
    targets = [(i, node) for i, node in enumerate(graph.node) if node.name in float_layers or _cuts_off(node)]
    for i, node in reversed(targets):
        maker = makers.get(node.input[0])
        if maker is not None and maker.op_type == "DequantizeLinear":
            output = f"{node.name} input"
            graph.node.insert(i, helper.make_node("Clip", [node.input[0], limit], [output], name=output))
            node = graph.node[i + 1]
            node.input[0] = output
    if targets:
        graph.initializer.append(numpy_helper.from_array(np.array(np.finfo(np.float32).min), limit))


def _cuts_off(node: Any) -> bool:
    """Tell whether a node is a mean whose last window may be cut off."""
    return node.op_type == "AveragePool" and any(a.name == "ceil_mode" and a.i for a in node.attribute)


def _simplified(model: bytes) -> Any:
    """Return the graph with constants folded, a type for every value and a name for every node."""
    with tempfile.TemporaryDirectory() as folder, undisturbed():
        path = Path(folder) / "simplified.onnx"  # ONNX Runtime returns it in no other form
        options = session_options(ort, usable_cores())
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        graph = onnx.shape_inference.infer_shapes(onnx.load(path))
    for number, node in enumerate(graph.graph.node):
        node.name = node.name or f"{node.op_type} {number}"  # nodes are excluded by name
    return graph


def run_batches(model: bytes, images: Pixels, outputs: list[str] | None = None) -> Iterator[list[Any]]:
    """Yield the outputs of a graph for each batch of images; all outputs if `outputs` is None."""
    session = ort.InferenceSession(model, session_options(ort, usable_cores()), providers=["CPUExecutionProvider"])
    for start in range(0, len(images), _BATCH):
        yield session.run(outputs, {INPUT: np.ascontiguousarray(images[start : start + _BATCH])})
