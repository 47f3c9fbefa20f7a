"""Read the nodes and constants of a serialised ONNX graph without the onnx package, by the numbers of onnx.proto.

Fields, types and versions that hubel's exports do not have are refused, and so is whatever two readers could
understand differently, such as an attribute that is given twice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.inference.protobuf import fields, varints

__all__ = [
    "BOOL",
    "FLOAT32",
    "INT64",
    "KINDS",
    "UINT8",
    "Attribute",
    "Graph",
    "OnnxNode",
    "Stated",
    "Value",
    "read_graph",
]

#: Types of elements, by their numbers.
FLOAT32, UINT8, INT64, BOOL = 1, 2, 7, 9
KINDS: dict[int, np.dtype[np.generic]] = {
    1: np.dtype("<f4"), 2: np.dtype("u1"), 3: np.dtype("i1"), 6: np.dtype("<i4"), 7: np.dtype("<i8"),
    9: np.dtype("?"), 10: np.dtype("<f2"), 11: np.dtype("<f8"),
}  # fmt: skip

# The fields of each message that are allowed. Missing are training, functions, graphs in attributes, sparse tensors,
# texts as elements, and data in other files.
_MODEL = (*range(1, 9), 14)  # versions, producer, the graph, its operator sets; metadata
_GRAPH = (1, 2, 5, 10, 11, 12, 13)  # nodes, names, initializers, comment, inputs, outputs, types of values
_NODE = range(1, 8)
_ATTRIBUTE = (1, 2, 3, 4, 5, 7, 8, 9, 13, 20)
_TENSOR = (1, 2, 4, 5, 7, 8, 9, 10, 11, 12)

_DOMAINS = (b"", b"ai.onnx")
_OPSET = 17  # of all of hubel's exports; others give some operators another meaning
_VALUE_FIELD = {1: 2, 2: 3, 3: 4, 4: 5, 6: 7, 7: 8, 8: 9}  # where an attribute of each type has its value
# ONNX Runtime takes 9 s to open so many nodes; resnet1202 has 4,244, and a constant that 401 of them read. The time
# grows with the square of the readers of one value.
_MOST_NODES, _MOST_READERS = 2**13, 2**9
_MOST_FIELDS = 2**18  # of a graph, bytes of numbers counted; resnet1202 has 2^16
_MOST_KNOWN = 2**12  # elements of a constant that is read; larger ones are weights


@dataclass(frozen=True, slots=True)
class Value:
    """A value that a graph computes or states.

    Attributes:
        shape: its sizes.
        kind: type of its elements, of `KINDS`.
        known: the elements, where they depend on sizes and constants alone and are few; None for others.
        below: of whole numbers from 0 on that depend on the image, a number that all of them are less than, or one for
            each entry of the last dimension; empty for others.
    """

    shape: tuple[int, ...]
    kind: int
    known: NDArray[Any] | None = None
    below: tuple[int, ...] = ()

    @property
    def elements(self) -> int:
        """Number of its elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return self.elements * KINDS[self.kind].itemsize


#: A whole number, a float, a text, a list of whole numbers, or a constant.
Attribute = int | float | bytes | list[int] | Value
#: Type of elements and sizes of an input or output; unknown sizes are 0.
Stated = tuple[int, list[int]]


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """A node: an operator, the names of its inputs ("" for one that is left out) and outputs, and its attributes."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def number(self, name: str, default: int) -> int:
        """Return an attribute that is a whole number."""
        return index(self.attributes.get(name, default))

    def numbers(self, name: str, default: list[int]) -> list[int]:
        """Return an attribute that is a list of whole numbers."""
        return list(self.attributes.get(name, default))


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph: nodes, each behind those whose values it reads; constants, inputs and outputs by their names."""

    nodes: list[OnnxNode] = field(default_factory=list)
    constants: dict[str, Value] = field(default_factory=dict)
    inputs: dict[str, Stated] = field(default_factory=dict)
    outputs: dict[str, Stated] = field(default_factory=dict)


def read_graph(model: memoryview) -> Graph:
    """Read the graph of a serialised ONNX model.

    Raises:
        ValueError, LookupError: it contains what hubel's exports do not have, or is damaged.
    """
    reader, graph = _Reader(), Graph()
    graphs, versions = list[memoryview](), list[int]()
    for number, content in reader.fields(model, "model", _MODEL):
        if number == 7:
            graphs.append(content)
        elif number == 8:
            versions += reader.version(content)
    if len(graphs) != 1:
        raise ValueError(f"it has {len(graphs)} graphs")
    if versions != [_OPSET]:
        raise ValueError(f"the operators of {', '.join(map(str, versions)) or 'no version'} instead of {_OPSET}")
    for number, content in reader.fields(graphs[0], "graph", _GRAPH):
        if number == 1:
            graph.nodes.append(reader.node(content))
            if len(graph.nodes) > _MOST_NODES:
                raise ValueError(f"more than {_MOST_NODES:,} nodes")
        elif number == 5:
            name, constant = reader.tensor(content)
            if name in graph.constants:
                raise ValueError(f"two constants {name!r:.100}")
            graph.constants[name] = constant
        elif number in (11, 12):
            name_and_type = reader.stated(content)
            (graph.inputs if number == 11 else graph.outputs).update([name_and_type])
    readers = Counter(name for node in graph.nodes for name in node.inputs if name)
    if max(readers.values(), default=0) > _MOST_READERS:
        raise ValueError(f"a value that more than {_MOST_READERS} operators read")
    graph.nodes[:] = _in_order(graph)
    return graph


def _in_order(graph: Graph) -> list[OnnxNode]:
    """Return the nodes in their order, but each behind those whose values it reads; the quantiser's are not."""
    makers = {name: place for place, node in enumerate(graph.nodes) for name in node.outputs if name}
    named = [name for node in graph.nodes for name in node.outputs if name]
    if len(makers) < len(named) or not makers.keys().isdisjoint((*graph.constants, *graph.inputs)):
        raise ValueError("two values of one name")
    known = {"", *graph.constants, *graph.inputs}
    open_places, waiting, order = [*range(len(graph.nodes))[::-1]], set[int](), list[OnnxNode]()
    while open_places:
        place = open_places[-1]
        node = graph.nodes[place]
        missing = [makers.get(name, -1) for name in node.inputs if name not in known]
        if -1 in missing:
            raise ValueError(f"an operator {node.operator:.100} with an input that there is not")
        if missing and place in waiting:
            raise ValueError(f"an operator {node.operator:.100} that reads what it computes")
        if missing:
            waiting.add(place)
            open_places += missing[::-1]
            continue
        open_places.pop()
        if not known.issuperset(node.outputs):
            known.update(node.outputs)
            order.append(node)
    return order


class _Reader:
    """A reader of messages that gives up after `_MOST_FIELDS`: a file may have a thousand million of them."""

    def __init__(self) -> None:
        self._left = _MOST_FIELDS

    def fields(
        self, message: memoryview, name: str = "", numbers: Collection[int] = ()
    ) -> Iterator[tuple[int, memoryview]]:
        """Yield number and content of each field; refuse others than these numbers, if there are any."""
        for number, content, _ in fields(message):
            if numbers and number not in numbers:
                raise ValueError(f"a {name} with field {number}, which hubel's exports do not have")
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"more than {_MOST_FIELDS:,} fields")
            yield number, content

    def _numbers(self, content: memoryview) -> list[int]:
        """Return whole numbers of 64 bits, the highest of which is their sign."""
        if len(content) == 1 and content[0] < 128:  # as most are
            return [content[0]]
        self._left -= len(content)
        if self._left < 0:
            raise ValueError(f"more than {_MOST_FIELDS:,} fields")
        return [(value & 2**64 - 1) - (value >> 63 << 64) for value in varints(content)]

    def version(self, message: memoryview) -> list[int]:
        """Return the version of a set of operators; nothing for one that is not ONNX's own."""
        domain, version = b"", 0
        for number, content in self.fields(message):
            if number == 1:
                domain = bytes(content)
            elif number == 2:
                (version,) = self._numbers(content)
        return [version] * (domain in _DOMAINS)

    def node(self, message: memoryview) -> OnnxNode:
        """Return a node."""
        inputs, outputs, operator, attributes = list[str](), list[str](), "", dict[str, Attribute]()
        for number, content in self.fields(message, "node", _NODE):
            if number == 1:
                inputs.append(bytes(content).decode())
            elif number == 2:
                outputs.append(bytes(content).decode())
            elif number == 4:
                operator = bytes(content).decode()
            elif number == 5:
                name, value = self._attribute(content)
                if name in attributes:
                    raise ValueError(f"an operator {operator:.100} with two attributes {name:.100}")
                attributes[name] = value
            elif number == 7 and bytes(content) not in _DOMAINS:
                raise ValueError(f"an operator of {bytes(content)!r:.100}, which hubel's exports do not have")
        return OnnxNode(operator, tuple(inputs), tuple(outputs), attributes)

    def _attribute(self, message: memoryview) -> tuple[str, Attribute]:
        name, kind, found = "", 0, list[tuple[int, memoryview]]()
        for number, content in self.fields(message, "attribute", _ATTRIBUTE):
            if number == 1:
                name = bytes(content).decode()
            elif number == 20:
                (kind,) = self._numbers(content)
            elif number != 13:
                found.append((number, content))
        place = _VALUE_FIELD.get(kind)
        if any(number != place for number, _ in found) or (place in (2, 3, 4, 5) and len(found) != 1):
            raise ValueError(f"an attribute {name:.100} that is not of its type")
        contents = [content for _, content in found]
        if place == 2:
            return name, float(np.frombuffer(contents[0], "<f4")[0])
        if place == 5:
            return name, self.tensor(contents[0])[1]
        if place == 4:
            return name, bytes(contents[0])
        numbers = [number for content in contents for number in self._numbers(content)] if place in (3, 8) else []
        return name, numbers[0] if place == 3 else numbers

    def tensor(self, message: memoryview) -> tuple[str, Value]:
        """Return a tensor's name and value; it must contain what its shape says."""
        name, shape, kind, raw, listed = "", list[int](), 0, None, list[memoryview]()
        for number, content in self.fields(message, "tensor", _TENSOR):
            if number == 1:
                shape += self._numbers(content)
            elif number == 2:
                (kind,) = self._numbers(content)
            elif number == 8:
                name = bytes(content).decode()
            elif number == 9:
                raw = content
            elif number != 12:  # numbers may stand here instead of in the raw bytes
                listed.append(content)
        elements = math.prod(shape)
        if kind not in KINDS:
            raise ValueError(f"a tensor of type {kind}, which hubel's exports do not have")
        wrong = elements > len(message) if raw is None else elements * KINDS[kind].itemsize != len(raw) or listed
        if min(shape, default=0) < 0 or wrong:
            raise ValueError(f"a tensor of shape {shape!s:.100} in {len(message):,} bytes")
        if elements > _MOST_KNOWN:
            return name, Value(tuple(shape), kind)
        known = self._listed(kind, listed) if raw is None else np.frombuffer(raw, KINDS[kind])
        return name, Value(tuple(shape), kind, known.reshape(shape))

    def _listed(self, kind: int, contents: list[memoryview]) -> NDArray[Any]:
        """Return elements that stand one by one, floats in as many bytes as they have and whole numbers in few."""
        dtype = KINDS[kind]
        if kind in (1, 11):
            return np.frombuffer(b"".join(contents), dtype)
        numbers = [number for content in contents for number in self._numbers(content)]
        if kind == 10:  # as the whole number with the same bits
            return np.array(numbers, np.int64).astype(np.uint16).view(dtype)
        return np.array(numbers, np.int64).astype(dtype)

    def stated(self, message: memoryview) -> tuple[str, Stated]:
        """Return name, type of elements and shape of an input or output."""
        name, kind, shape = "", 0, list[int]()
        for number, content in self.fields(message):
            if number == 1:
                name = bytes(content).decode()
            elif number == 2:
                for _, tensor in self.fields(content):
                    for part, inner in self.fields(tensor):
                        if part == 1:
                            (kind,) = self._numbers(inner)
                        elif part == 2:
                            shape = [self._size(dimension) for _, dimension in self.fields(inner)]
        return name, (kind, shape)

    def _size(self, dimension: memoryview) -> int:
        return next(
            (size for number, content in self.fields(dimension) if number == 1 for size in self._numbers(content)), 0
        )
