"""Check that the graph of an exported file is one that hubel exports, for the card beside it, before an engine sees it.

An ONNX file can name other files and addresses in memory for its weights, hold programs with loops, and ask for any
amount of memory and time. Whatever hubel's own exports do not contain is refused: fields by their numbers in
onnx.proto, operators and their attributes by their names; and the sizes of all values are inferred, so that memory and
operations are known before an engine computes anything.
"""

from __future__ import annotations

from collections.abc import Mapping

from hubel.data.preprocess import Preprocess
from hubel.inference.engines.engine import maps_memory
from hubel.inference.onnx_cost import cost_of
from hubel.inference.onnx_nodes import FLOAT32, INT64, UINT8, Graph, Stated, Value, read_graph
from hubel.nn.points import STRIDES
from hubel.weights.card import ModelCard

__all__ = ["ANSWERS", "INPUT", "NOVELTY", "OUTPUTS", "check_graph"]

# Images uint8 `(n, height, width, channels)`; scores from 0 to 1 and the logits that they come from, `(n, classes)`.
INPUT, OUTPUTS = "images", ("scores", "logits")
# The outputs instead of these where the graph decodes them, by kind of output; see `hubel.inference.answers`.
ANSWERS = {"boxes": ("boxes", "scores", "classes"), "maps": ("classes", "scores")}
NOVELTY = "novelty"  # output `(n,)` of a classifier that has a rule for images of none of its classes

# See `hubel.inference.onnx_cost`. With three views, resnet1202 has 21 million a pixel of its 32x32; unet_2015 has 1.3.
_OPERATIONS, _OPERATIONS_A_PIXEL, _MOST_OPERATIONS = 2**36, 2**24, 2**42


def check_graph(model: memoryview, card: ModelCard) -> tuple[str, ...]:
    """Compare a serialised ONNX model with what hubel exports for a card, and return the names of its outputs.

    Raises:
        ValueError, LookupError: it contains something else, or has other inputs and outputs.
    """
    graph = read_graph(model)
    inputs, outputs = graph.inputs, graph.outputs
    p, stated = card.preprocess, outputs.get("scores", (0, list[int]()))[1]
    of_image = {
        "vector": (len(card.classes),),
        "image": (p.channels, p.height, p.width),
        "samples": (p.channels, p.height, p.width),
        "maps": (len(card.classes), p.height, p.width),
        "points": (len(card.classes), *_heat_map(stated, card)),
        "boxes": (1 if stated[1:2] == [1] else _points(card), 5 + len(card.classes)),
    }[card.output]
    _compare("input", inputs, {INPUT: (UINT8, (p.height, p.width, p.channels))})
    expected: dict[str, tuple[int, tuple[int, ...]]] = dict.fromkeys(OUTPUTS, (FLOAT32, of_image))
    if outputs.keys() == set(ANSWERS.get(card.dense, ())):
        expected = _answers(card)
    _compare("output", outputs, expected if card.novelty is None else {**expected, NOVELTY: (FLOAT32, ())})
    _check_cost(graph, p)
    return tuple(outputs)


def _check_cost(graph: Graph, p: Preprocess) -> None:
    cost = cost_of(graph, Value((1, p.height, p.width, p.channels), UINT8))
    if cost.bytes > (most := maps_memory()):
        raise ValueError(f"values of {cost.bytes:,} bytes for one image; {most:,} are the most")
    if cost.operations > (most := min(_OPERATIONS + _OPERATIONS_A_PIXEL * p.height * p.width, _MOST_OPERATIONS)):
        raise ValueError(f"{cost.operations:.1e} operations for one image; {most:.1e} are the most")


def _answers(card: ModelCard) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Return type and shape of each output of a graph that decodes what the network says; 0 for any size."""
    if card.dense == "boxes":
        return {"boxes": (FLOAT32, (0, 4)), "scores": (FLOAT32, (0,)), "classes": (INT64, (0,))}
    size = card.preprocess.height, card.preprocess.width
    return {"classes": (UINT8, size), "scores": (FLOAT32, size)}


def _heat_map(stated: list[int], card: ModelCard) -> tuple[int, ...]:
    """Return rows and columns of a heat map: those that the file states, but no more than the input's pixels."""
    sides = stated[2:4] if len(stated) == 4 else [1, 1]
    return tuple(min(pair) for pair in zip(sides, (card.preprocess.height, card.preprocess.width), strict=True))


def _points(card: ModelCard) -> int:
    """Return the number of points of a detector; a localiser has one."""
    height, width = card.preprocess.height, card.preprocess.width
    return sum(-(-height // stride) * -(-width // stride) for stride in STRIDES)


def _compare(kind: str, found: Mapping[str, Stated], expected: Mapping[str, tuple[int, tuple[int, ...]]]) -> None:
    if found.keys() != expected.keys():
        raise ValueError(f"the {kind}s {', '.join(found) or 'none'} instead of {', '.join(expected)}")
    for name, (elements, of_image) in expected.items():
        got, (_, *shape) = found[name][0], found[name][1] or [0]
        sizes = zip(shape, of_image, strict=False)
        if got != elements or (shape and (len(shape) != len(of_image) or any(a and b and a != b for a, b in sizes))):
            raise ValueError(f"an {kind} {name} of type {got} and shape {shape}, where its card has {list(of_image)}")
