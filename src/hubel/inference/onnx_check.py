"""Check that the graph of an exported file is one that hubel exports, for the card beside it, before an engine sees it.

An ONNX file can name other files and addresses in memory for its weights, hold programs with loops, and ask for any
amount of memory. Whatever hubel's own exports do not contain is refused: fields by their numbers in onnx.proto, and
operators by their names.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from hubel.inference.protobuf import fields, varints
from hubel.nn.points import STRIDES
from hubel.weights.card import ModelCard

__all__ = ["ANSWERS", "INPUT", "NOVELTY", "OUTPUTS", "check_graph"]

# Images uint8 `(n, height, width, channels)`; scores from 0 to 1 and the logits that they come from, `(n, classes)`.
INPUT, OUTPUTS = "images", ("scores", "logits")
# The outputs instead of these where the graph decodes them, by kind of output; see `hubel.inference.answers`.
ANSWERS = {"boxes": ("boxes", "scores", "classes"), "maps": ("classes", "scores")}
NOVELTY = "novelty"  # output `(n,)` of a classifier that has a rule for images of none of its classes

# The fields of each message that are allowed. Missing are training, functions, graphs in attributes, sparse tensors,
# and data in other files.
_MODEL = (*range(1, 9), 14)  # versions, producer, the graph, its operator sets; metadata
_GRAPH = (1, 2, 5, 10, 11, 12, 13)  # nodes, names, initializers, comment, inputs, outputs, types of values
_NODE = range(1, 8)
_ATTRIBUTE = (1, 2, 3, 4, 5, 7, 8, 9, 13, 20)
_TENSOR = (1, 2, 4, 5, 7, 8, 9, 10, 11, 12)

_OPERATORS = {
    "Abs", "Add", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat", "Constant",
    "ConstantOfShape", "Conv", "ConvTranspose", "DequantizeLinear", "Div", "Elu", "Equal", "Erf", "Exp", "Flatten",
    "Floor", "Gather", "GatherElements", "GatherND", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "Greater",
    "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "LRN", "LSTM", "LeakyRelu", "Log",
    "LogSoftmax", "MatMul", "Max", "MaxPool", "Min", "Mul", "Neg", "NonMaxSuppression", "OneHot", "PRelu", "Pad",
    "Pow", "QuantizeLinear", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Reshape",
    "Resize", "ScatterND", "Selu", "Shape", "Sigmoid", "Slice", "Softmax", "Softplus", "Softsign", "Sqrt",
    "Squeeze", "Sub", "Tanh", "TopK", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
_DOMAINS = (b"", b"ai.onnx")
_MAX_FILLED = 2**20  # elements that one node makes of nothing
_FLOAT32, _UINT8, _INT64 = 1, 2, 7  # types of elements


def check_graph(model: memoryview, card: ModelCard) -> tuple[str, ...]:
    """Compare a serialised ONNX model with what hubel exports for a card, and return the names of its outputs.

    Raises:
        ValueError, LookupError: it contains something else, or has other inputs and outputs.
    """
    graphs = [content for number, content in _allowed(model, "model", _MODEL) if number == 7]
    if len(graphs) != 1:
        raise ValueError(f"it has {len(graphs)} graphs")
    inputs: dict[str, tuple[int, list[int]]] = {}
    outputs: dict[str, tuple[int, list[int]]] = {}
    constants: dict[bytes, NDArray[np.int64]] = {}
    filled: list[bytes] = []
    for number, content in _allowed(graphs[0], "graph", _GRAPH):
        if number == 1:
            _check_node(content, constants, filled)
        elif number == 5:
            name, values = _tensor(content)
            constants[name] = values
        elif number in (11, 12):
            name_and_type = _value(content)
            (inputs if number == 11 else outputs).update([name_and_type])
    for shape in [constants[name].tolist() for name in filled if name in constants]:
        if math.prod(shape) > _MAX_FILLED:
            raise ValueError(f"an operator that fills a map of shape {shape}")
    p, stated = card.preprocess, outputs.get("scores", (0, list[int]()))[1]
    of_image = {
        "vector": (len(card.classes),),
        "image": (p.channels, p.height, p.width),
        "samples": (p.channels, p.height, p.width),
        "maps": (len(card.classes), p.height, p.width),
        "points": (len(card.classes), *_heat_map(stated, card)),
        "boxes": (1 if stated[1:2] == [1] else _points(card), 5 + len(card.classes)),
    }[card.output]
    _compare("input", inputs, {INPUT: (_UINT8, (p.height, p.width, p.channels))})
    expected: dict[str, tuple[int, tuple[int, ...]]] = dict.fromkeys(OUTPUTS, (_FLOAT32, of_image))
    if outputs.keys() == set(ANSWERS.get(card.dense, ())):
        expected = _answers(card)
    _compare("output", outputs, expected if card.novelty is None else {**expected, NOVELTY: (_FLOAT32, ())})
    return tuple(outputs)


def _answers(card: ModelCard) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Return type and shape of each output of a graph that decodes what the network says; 0 for any size."""
    if card.dense == "boxes":
        return {"boxes": (_FLOAT32, (0, 4)), "scores": (_FLOAT32, (0,)), "classes": (_INT64, (0,))}
    size = card.preprocess.height, card.preprocess.width
    return {"classes": (_UINT8, size), "scores": (_FLOAT32, size)}


def _heat_map(stated: list[int], card: ModelCard) -> tuple[int, ...]:
    """Return rows and columns of a heat map: those that the file states, but no more than the input's pixels."""
    sides = stated[2:4] if len(stated) == 4 else [1, 1]
    return tuple(min(pair) for pair in zip(sides, (card.preprocess.height, card.preprocess.width), strict=True))


def _points(card: ModelCard) -> int:
    """Return the number of points of a detector; a localiser has one."""
    height, width = card.preprocess.height, card.preprocess.width
    return sum(-(-height // stride) * -(-width // stride) for stride in STRIDES)


def _allowed(message: memoryview, name: str, numbers: Collection[int]) -> Iterator[tuple[int, memoryview]]:
    for number, content, _ in fields(message):
        if number not in numbers:
            raise ValueError(f"a {name} with field {number}, which hubel's exports do not have")
        yield number, content


def _check_node(node: memoryview, constants: dict[bytes, NDArray[np.int64]], filled: list[bytes]) -> None:
    """Check a node; note the values that it states, or the name of the shape that it fills."""
    operator, first, made = "", None, b""
    for number, content in _allowed(node, "node", _NODE):
        if number == 1 and first is None:
            first = bytes(content)
        elif number == 2:
            made = bytes(content)
        elif number == 4:
            operator = bytes(content).decode()
        elif number == 5:
            for part, inner in _allowed(content, "attribute", _ATTRIBUTE):
                if part == 5:
                    constants[made] = _tensor(inner)[1]
        elif number == 7 and bytes(content) not in _DOMAINS:
            raise ValueError(f"an operator of {bytes(content)!r:.100}, which hubel's exports do not have")
    if operator not in _OPERATORS:
        raise ValueError(f"the operator {operator!r:.100}, which hubel's exports do not have")
    if operator == "ConstantOfShape" and first is not None:
        filled.append(first)


def _tensor(tensor: memoryview) -> tuple[bytes, NDArray[np.int64]]:
    """Return a tensor's name, and its values if they are whole numbers; it must contain what its shape says."""
    name, dims, kind, raw, listed = b"", list[int](), 0, memoryview(b""), list[int]()
    for number, content in _allowed(tensor, "tensor", _TENSOR):
        if number == 1:
            dims += varints(content)
        elif number == 2:
            (kind,) = varints(content)
        elif number == 7:  # whole numbers may stand here instead of in the raw bytes
            listed += varints(content)
        elif number == 8:
            name = bytes(content)
        elif number == 9:
            raw = content
    if math.prod(dims) > len(tensor):  # an element has a byte at least
        raise ValueError(f"a tensor of shape {dims} in {len(tensor):,} bytes")
    if listed:
        return name, np.array(listed, np.uint64).astype(np.int64)
    whole = kind == _INT64 and len(raw) % 8 == 0
    return name, np.frombuffer(raw if whole else b"", "<i8")


def _value(value: memoryview) -> tuple[str, tuple[int, list[int]]]:
    """Return name, type of elements and shape of an input or output; unknown sizes are 0."""
    name, kind, shape = "", 0, list[int]()
    for number, content, _ in fields(value):
        if number == 1:
            name = bytes(content).decode()
        elif number == 2:
            for _, tensor, _ in fields(content):
                for part, inner, _ in fields(tensor):
                    if part == 1:
                        (kind,) = varints(inner)
                    elif part == 2:
                        shape = [
                            next((next(varints(size)) for field, size, _ in fields(dim) if field == 1), 0)
                            for _, dim, _ in fields(inner)
                        ]
    return name, (kind, shape)


def _compare(
    kind: str, found: dict[str, tuple[int, list[int]]], expected: dict[str, tuple[int, tuple[int, ...]]]
) -> None:
    if found.keys() != expected.keys():
        raise ValueError(f"the {kind}s {', '.join(found) or 'none'} instead of {', '.join(expected)}")
    for name, (elements, of_image) in expected.items():
        got, (_, *shape) = found[name][0], found[name][1] or [0]
        sizes = zip(shape, of_image, strict=False)
        if got != elements or (shape and (len(shape) != len(of_image) or any(a and b and a != b for a, b in sizes))):
            raise ValueError(f"an {kind} {name} of type {got} and shape {shape}, where its card has {list(of_image)}")
