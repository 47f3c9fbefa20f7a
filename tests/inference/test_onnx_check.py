"""The check of a graph that somebody else may have written."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.export.onnx_graph import onnx_network
from hubel.inference.onnx_check import check_graph
from small_card import CARD


@pytest.mark.parametrize("raw", [True, False])
def test_what_a_node_fills_is_bounded_however_its_shape_is_stored(raw: bool) -> None:
    onnx = pytest.importorskip("onnx")
    helper, shape = onnx.helper, [2**20, 2**10, 2**10]
    model = onnx.ModelProto.FromString(onnx_network(CARD.create().eval(), CARD))
    stored = onnx.numpy_helper.from_array(np.array(shape, "int64"), "shape")
    model.graph.initializer.append(stored if raw else helper.make_tensor("shape", 7, [3], shape))
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["shape"], ["bomb"]))
    with pytest.raises(ValueError, match=r"values of 4,398,046,51\d,\d+ bytes for one image"):
        check_graph(memoryview(model.SerializeToString()), CARD)
