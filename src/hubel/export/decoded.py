"""Decoding as a part of exported graphs, so that any tool answers with boxes, scores and classes, and nothing is left.

The nodes compute what `hubel.inference.answers` computes in NumPy, in float32 whatever the network before them computes
in.
"""

from __future__ import annotations

import numpy as np

from hubel.export.graph_builder import GraphBuilder
from hubel.inference.box_decoding import CANDIDATES, LEAST_SCORE, MOST_OBJECTS
from hubel.inference.onnx_file import INPUT, OUTPUTS
from hubel.inference.quiet import undisturbed
from hubel.inference.suppression import OVERLAP
from hubel.nn.points import pyramid_points
from hubel.weights.card import ModelCard

with undisturbed():
    import onnx
    from onnx import TensorProto

__all__ = ["DECODED", "decoded"]


def decoded(model: bytes, card: ModelCard) -> bytes:
    """Return a graph that answers, with the outputs of `hubel.inference.onnx_check.ANSWERS`.

    Args:
        model: serialised graph of a network that annotates images, in float32 or int8.
        card: its card, of a kind in `DECODED`.
    """
    graph = GraphBuilder()
    (logits,) = graph.include(model, "network/", INPUT, OUTPUTS[1:])
    (stated,) = (output for output in onnx.ModelProto.FromString(model).graph.output if output.name == OUTPUTS[1])
    is_single = stated.type.tensor_type.shape.dim[1].dim_value == 1  # a localiser; the exporter states no other number
    places = 1 if is_single else len(pyramid_points(card.preprocess.height, card.preprocess.width)[0])
    return DECODED[card.dense](graph, logits, card, places)


def _maps(graph: GraphBuilder, logits: str, card: ModelCard, _: int) -> bytes:
    """Add the class of each pixel, and its probability: 1 / sum(exp((z - max z) / T)).

    ONNX Runtime takes 55 ms for a softmax over 12 channels of 360x480, and 9 ms for both of these. Pixels are one axis
    here, for which OpenVINO takes 40 instead of 62 ms, network included: it leaves its layout of blocked channels.
    """
    height, width = card.preprocess.height, card.preprocess.width
    image = graph.constant(np.array([-1, height, width]))
    flat = graph.add("Reshape", logits, graph.constant(np.array([0, len(card.classes), -1])))
    number = graph.add("Cast", graph.add("ArgMax", flat, axis=1, keepdims=0), to=TensorProto.UINT8)
    graph.add("Reshape", number, image, output="classes")
    below = graph.add("Sub", flat, graph.add("ReduceMax", flat, axes=[1], keepdims=1))
    if card.temperature != 1:
        below = graph.add("Mul", below, graph.constant(np.float32(1 / card.temperature)))
    total = graph.add("ReduceSum", graph.add("Exp", below), graph.constant(np.array([1])), keepdims=0)
    graph.add("Reshape", graph.add("Reciprocal", total), image, output="scores")
    size: list[str | int] = ["n", height, width]
    return graph.serialised(
        card.preprocess, [("classes", TensorProto.UINT8, size), ("scores", TensorProto.FLOAT, size)]
    )


def _boxes(graph: GraphBuilder, output: str, card: ModelCard, points: int) -> bytes:
    """Add the objects of `hubel.inference.box_decoding.network_boxes`, with the operator NonMaxSuppression."""
    classes = len(card.classes)

    def columns(start: int, end: int) -> str:
        return graph.add("Slice", output, *(graph.constant(np.array([number])) for number in (start, end, 2)))

    boxes, logits = columns(0, 4), columns(5, 5 + classes)
    if points == 1:
        chances = graph.add("Softmax", logits, axis=2)
        scores, numbers = graph.add_pair("TopK", chances, graph.constant(np.array([1])), axis=2)
        axis = graph.constant(np.array([2]))
        graph.add("Identity", boxes, output="boxes")
        graph.add("Squeeze", scores, axis, output="scores")
        graph.add("Squeeze", numbers, axis, output="classes")
        return _serialised(graph, card, 1)
    product = graph.add("Mul", graph.add("Sigmoid", logits), graph.add("Sigmoid", columns(4, 5)))
    pairs = graph.add("Reshape", graph.add("Sqrt", product), graph.constant(np.array([0, -1])))  # points and classes
    most = min(CANDIDATES, points * classes)
    sure, places = graph.add_pair("TopK", pairs, graph.constant(np.array([most])), axis=1)
    point = graph.add("Div", places, graph.constant(np.int64(classes)))
    number = graph.add("Sub", places, graph.add("Mul", point, graph.constant(np.int64(classes))))
    near = _rows(graph, boxes, point)
    # Each candidate has a score in the row of its class alone, so that boxes of other classes do not suppress it.
    by_class = graph.add("Unsqueeze", sure, graph.constant(np.array([1])))
    if classes > 1:
        own = graph.add(
            "Equal",
            graph.add("Unsqueeze", number, graph.constant(np.array([1]))),
            graph.constant(np.arange(classes)[:, None]),
        )
        by_class = graph.add("Where", own, by_class, graph.constant(np.float32(0)))
    limits = np.array([MOST_OBJECTS]), np.array([OVERLAP], np.float32), np.array([LEAST_SCORE], np.float32)
    stays = graph.add("NonMaxSuppression", near, by_class, *map(graph.constant, limits))  # image, class, candidate
    nothing = graph.add("Mul", by_class, graph.constant(np.float32(0)))
    kept = graph.add("ScatterND", nothing, stays, graph.add("GatherND", by_class, stays))
    kept = graph.add("ReduceMax", kept, axes=[1], keepdims=0)
    count = min(MOST_OBJECTS, most)
    found, order = graph.add_pair("TopK", kept, graph.constant(np.array([count])), axis=1)
    real = graph.add("Greater", found, graph.constant(np.float32(0)))
    wide = graph.add("Unsqueeze", real, graph.constant(np.array([2])))
    graph.add("Where", wide, _rows(graph, near, order), graph.constant(np.float32(0)), output="boxes")
    graph.add("Identity", found, output="scores")
    chosen = graph.add("GatherElements", number, order, axis=1)
    graph.add("Where", real, chosen, graph.constant(np.int64(-1)), output="classes")
    return _serialised(graph, card, count)


def _rows(graph: GraphBuilder, boxes: str, places: str) -> str:
    """Add the boxes `(n, k, 4)` at places `(n, k)` of boxes `(n, points, 4)`."""
    return graph.add("GatherND", boxes, graph.add("Unsqueeze", places, graph.constant(np.array([2]))), batch_dims=1)


def _serialised(graph: GraphBuilder, card: ModelCard, count: int) -> bytes:
    of_object: list[str | int] = ["n", count]
    return graph.serialised(
        card.preprocess,
        [
            ("boxes", TensorProto.FLOAT, [*of_object, 4]),
            ("scores", TensorProto.FLOAT, of_object),
            ("classes", TensorProto.INT64, of_object),
        ],
    )


#: By kind of output: the nodes behind the network.
DECODED = {"boxes": _boxes, "maps": _maps}
