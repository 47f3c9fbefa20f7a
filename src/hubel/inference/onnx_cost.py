"""Compute what a graph needs before it runs: memory for its values, and operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hubel.inference.onnx_nodes import Graph, OnnxNode, Value
from hubel.inference.onnx_shapes import infer

__all__ = ["Cost", "cost_of"]

# Operations are multiply-adds of a matrix product. Whatever else is done to an element takes about as long as so many.
_ELEMENT = 64
_FOLDED = 32  # OpenVINO multiplies constants one number after another
_STEP = 2**16  # likewise for each number in the state of a recurrent network, whose steps wait for one another


@dataclass(frozen=True, slots=True)
class Cost:
    """The needs of a graph for some images.

    Attributes:
        bytes: the most that the images and its values take at once. A value lives from the node that computes it to the
            last one that reads it; engines compute what depends on constants alone when they open the graph, and keep
            it. Constants, which are in the file, do not count.
        operations: see `_ELEMENT`.
    """

    bytes: int
    operations: int


def cost_of(graph: Graph, images: Value) -> Cost:
    """Return what a graph of one input needs for images, uint8 `(n, height, width, channels)`.

    Raises:
        ValueError: it has an operator that hubel's exports do not have, or one that cannot compute these inputs; or the
            size of a value depends on the content of an image.
    """
    values: dict[str, Value] = {**graph.constants, **dict.fromkeys(graph.inputs, images)}
    fixed = set(graph.constants) - set(graph.inputs)
    last = {name: place for place, node in enumerate(graph.nodes) for name in node.inputs}
    for name in graph.outputs:
        last[name] = len(graph.nodes)
    freed = [0] * (len(graph.nodes) + 1)  # bytes, by the place of the node that reads them last
    alive = most = images.bytes
    operations = 0
    for place, node in enumerate(graph.nodes):
        inputs = [values[name] if name else None for name in node.inputs]
        made = infer(node, inputs)
        is_fixed = all(name in fixed for name in node.inputs if name)
        for name, value in zip(node.outputs, made, strict=False):
            if name in values:
                raise ValueError(f"two values {name!r:.100}")
            values[name] = value
            alive += value.bytes
            if is_fixed and node.operator != "DequantizeLinear":  # weights stay in int8 until they are needed
                fixed.add(name)
            else:
                freed[last.get(name, place)] += value.bytes
        operations += _operations(node, inputs, made, folded=is_fixed)
        most = max(most, alive)
        alive -= freed[place]
    if missing := graph.outputs.keys() - values.keys():
        raise ValueError(f"the outputs {', '.join(sorted(missing))} that nothing computes")
    return Cost(most, operations)


def _operations(node: OnnxNode, inputs: Sequence[Value | None], outputs: Sequence[Value], *, folded: bool) -> int:
    given = [value for value in inputs if value is not None]
    touched = sum(value.elements for value in (*given, *outputs))
    products = _PRODUCTS.get(node.operator)
    slower = _FOLDED if folded else 1
    return _ELEMENT * touched + (slower * products(node, outputs[0], *given) if products else 0)


def _windows(node: OnnxNode, y: Value, *_: Value) -> int:
    return _ELEMENT * y.elements * math.prod(node.numbers("kernel_shape", []))


# What an operator does beyond reading and writing each element, from its first output and its inputs.
_PRODUCTS: dict[str, Callable[..., int]] = {
    "AveragePool": _windows,
    "Conv": lambda _, y, x, weights, *more: y.elements * math.prod(weights.shape[1:]),
    "ConvTranspose": lambda _, y, x, weights, *more: x.elements * math.prod(weights.shape[1:]),
    "Gemm": lambda _, y, a, b, *more: y.elements * max(a.shape),
    "LRN": lambda node, y, x: _ELEMENT * y.elements * node.number("size", 1),
    "LSTM": lambda _, y, x, weights, *more: y.elements * (_STEP + 4 * (weights.shape[2] + y.shape[3])),
    "MatMul": lambda _, y, a, b: y.elements * a.shape[-1],
    "MaxPool": _windows,
    "NonMaxSuppression": lambda _, y, boxes, *more: _ELEMENT * y.elements * boxes.shape[1],
}
