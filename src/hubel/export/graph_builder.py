"""An ONNX graph that is put together from others and a few nodes around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hubel.data.preprocess import Preprocess
from hubel.export.onnx_graph import OPSET
from hubel.inference.onnx_file import INPUT
from hubel.inference.quiet import undisturbed

with undisturbed():
    import onnx
    from onnx import helper, numpy_helper

__all__ = ["GraphBuilder", "GraphOutput"]

GraphOutput = tuple[str, int, list[str | int]]  # name, type of elements, shape


class GraphBuilder:
    """A graph from images to its outputs, while it is put together."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._versions = {"": OPSET}
        self._format = 0

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = output or f"{operator} {len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def add_pair(self, operator: str, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """Add a node with two outputs and return their names."""
        name = f"{operator} {len(self._nodes)}"
        names = f"{name} first", f"{name} second"
        self._nodes.append(helper.make_node(operator, inputs, names, name, **attributes))
        return names

    def constant(self, value: Any) -> str:
        """Add a constant and return its name."""
        name = f"constant {len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def include(self, model: bytes, prefix: str, images: str, outputs: Sequence[str]) -> list[str]:
        """Add what a graph computes some outputs with, under names with a prefix, and return the outputs' names."""
        part = onnx.ModelProto.FromString(model)
        for opset in part.opset_import:
            self._versions[opset.domain] = max(opset.version, self._versions.get(opset.domain, 0))
        self._format = max(self._format, part.ir_version)
        needed = set[str]().union(*(_ancestors(part.graph, output) for output in outputs))

        def renamed(name: str) -> str:
            return images if name == INPUT else prefix + name if name else ""

        for node in part.graph.node:
            if needed.intersection(node.output):
                node.name = renamed(node.name)
                node.input[:], node.output[:] = map(renamed, node.input), map(renamed, node.output)
                self._nodes.append(node)
        # Shapes that the part states are left out: of several views of each image, its batch is not the input's.
        for constant in part.graph.initializer:
            if constant.name in needed:
                constant.name = renamed(constant.name)
                self._constants.append(constant)
        return [renamed(output) for output in outputs]

    def serialised(self, preprocess: Preprocess, outputs: Sequence[GraphOutput]) -> bytes:
        """Return the graph for images of this preprocessing, with values of these names as its outputs."""
        shape: list[str | int] = ["n", preprocess.height, preprocess.width, preprocess.channels]
        images = helper.make_tensor_value_info(INPUT, onnx.TensorProto.UINT8, shape)
        stated = [helper.make_tensor_value_info(*output) for output in outputs]
        graph = helper.make_graph(self._nodes, "hubel", [images], stated, initializer=self._constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in sorted(self._versions.items())]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=self._format, producer_name="hubel")
        return model.SerializeToString()  # type: ignore[no-any-return]


def _ancestors(graph: Any, output: str) -> set[str]:
    """Return the names of all values that an output depends on, its own included."""
    makers = {name: node for node in graph.node for name in node.output}
    needed, open_names = set[str](), [output]
    while open_names:
        name = open_names.pop()
        if name not in needed:
            needed.add(name)
            open_names += makers[name].input if name in makers else []
    return needed - {""}
