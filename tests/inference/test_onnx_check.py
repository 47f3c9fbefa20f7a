"""The check of a graph that somebody else may have written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from contract.test_networks import NETWORKS, made, size_of
from hostile_models import hostile_graphs
from hubel.core.errors import ModelFileError
from hubel.data.preprocess import Preprocess
from hubel.export.compose import with_views
from hubel.export.decoded import DECODED, decoded
from hubel.export.onnx_graph import onnx_network
from hubel.inference import onnx_cost
from hubel.inference.onnx_check import check_graph
from hubel.inference.onnx_file import read_onnx
from hubel.inference.onnx_nodes import KINDS, UINT8, Value, read_graph
from hubel.models.catalogue import find
from hubel.weights.card import ModelCard
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


def values_of(model: bytes, images: Value, monkeypatch: pytest.MonkeyPatch) -> dict[str, Value]:
    """Return what the check infers of each value of a graph."""
    found, infer = dict[str, Value](), onnx_cost.infer

    def noted(node: onnx_cost.OnnxNode, inputs: list[Value | None]) -> tuple[Value, ...]:
        made = infer(node, inputs)
        found.update(zip(node.outputs, made, strict=False))
        return made

    with monkeypatch.context() as patched:
        patched.setattr(onnx_cost, "infer", noted)
        onnx_cost.cost_of(read_graph(memoryview(model)), images)
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_exports_of_each_network_are_read_with_the_shapes_that_they_have(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their views, and with the nodes that decode: for one image and for three, all as ONNX Runtime has them."""
    onnx = pytest.importorskip("onnx")
    variant, (height, width) = find(name)[1], size_of(name)
    channels, output = variant.shape.channels, variant.output
    dense = output if output in ("maps", "boxes", "points") else ""
    card = ModelCard(
        name,
        tuple(map(str, range(variant.num_classes))) if dense or output == "vector" else (),
        Preprocess(height, width, channels, mean=(0.5,) * channels, std=(0.2,) * channels),
        dense=dense,
        scores="identity" if output == "boxes" else "softmax",
        task={"maps": "segment", "boxes": "detect", "points": "key_points"}.get(output, ""),
    )
    if output == "samples":
        pytest.skip("hubel exports no generator")
    graph = onnx_network(made(name).eval(), card)
    models = [graph]
    models += [decoded(graph, card)] if dense in DECODED else []
    models += [with_views(graph, card)] if output == "vector" and channels in (1, 3) else []
    for model in models:
        assert check_graph(memoryview(model), card)
        whole = onnx.ModelProto.FromString(model)
        known = {one.name for one in whole.graph.output}
        names = [one for node in whole.graph.node for one in node.output if one]
        whole.graph.output.extend(onnx.ValueInfoProto(name=one) for one in names if one not in known)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(whole.SerializeToString(), options, ["CPUExecutionProvider"])
        for n in (1, 3):
            images = np.random.default_rng(0).integers(0, 256, (n, height, width, channels), np.uint8)
            inferred = values_of(model, Value(images.shape, UINT8), monkeypatch)
            for value_name, value in zip(names, session.run(names, {"images": images}), strict=True):
                stated = inferred[value_name]
                # A suppression has as many rows as it finds, and what is gathered there as many elements.
                rows = slice(value_name.startswith(("NonMaxSuppression", "GatherND")), None)
                assert (stated.shape[rows], KINDS[stated.kind]) == (value.shape[rows], value.dtype), value_name
                assert value.size <= stated.elements
                if stated.known is not None:
                    np.testing.assert_array_equal(stated.known, value)


@pytest.mark.parametrize("name", hostile_graphs())
def test_graphs_that_stop_or_fill_an_engine_are_refused(name: str, tmp_path: Path) -> None:
    content, words = hostile_graphs()[name]
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelFileError, match=re.escape(words)) as caught:
        read_onnx(tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)
