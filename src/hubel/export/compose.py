"""Composition of exported graphs: the mean over several of them, and the mean over views of an image.

Each part is a graph that `onnx_network` or the quantiser has made, and stays as it is; what is added are a few nodes
around it. So float32 and int8 compose alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from hubel.export.graph_builder import GraphBuilder, GraphOutput
from hubel.inference.onnx_file import INPUT, NOVELTY, OUTPUTS
from hubel.inference.quiet import undisturbed
from hubel.inference.tta import view_indices
from hubel.weights.card import ModelCard

with undisturbed():
    import onnx

__all__ = ["mean_of_graphs", "with_views"]

# Pillow enlarges with weights in units of 2^-22 and rounds after each axis (ImagingResampleHorizontal_8bpc). A weight
# times a byte has 30 bits, and float32 holds 24: each weight is divided into two halves of 11 bits, all of whose sums
# are whole numbers that float32 holds exactly.
_WEIGHT_BITS, _HALF_BITS = 22, 11
_LEAST = float(np.finfo(np.float32).tiny)  # of a score whose logarithm is taken
_SURE = 1e-7  # distance to 0 and 1 of a score that becomes the logit of a sigmoid


def mean_of_graphs(models: Sequence[bytes], orders: Sequence[Sequence[int]], card: ModelCard) -> bytes:
    """Return one graph whose scores are the mean over those of several graphs.

    Args:
        models: serialised graphs of classifiers with inputs of one size.
        orders: for each graph, the position among its classes of each class of `card`.
        card: of the result: size of the input, classes, kind of scores, temperature and offset.
    """
    graph = _Graph(card)
    members = []
    for number, (model, order) in enumerate(zip(models, orders, strict=True), 1):
        (scores,) = graph.include(model, f"member {number}/", INPUT, OUTPUTS[:1])
        if list(order) != list(range(len(order))):
            scores = graph.add("Gather", scores, graph.constant(np.asarray(order, np.int64)), axis=1)
        members.append(scores)
    total = reduce(lambda one, other: graph.add("Add", one, other), members)
    return graph.finished(graph.add("Mul", total, graph.constant(np.float32(1 / len(members)))))


def with_views(model: bytes, card: ModelCard) -> bytes:
    """Return a graph whose scores are the mean over the views of `hubel.inference.tta`, bit for bit the same views.

    The views are one batch, so the graph's maps take as many times the memory.

    Args:
        model: serialised graph of a classifier.
        card: its card.
    """
    graph, p = _Graph(card), card.preprocess
    indices = view_indices(p.height, p.width, p.channels)
    views = [graph.view(rows, columns) for rows, columns in indices]
    wanted = OUTPUTS[:1] if card.novelty is None else (OUTPUTS[0], NOVELTY)
    scores, *novelty = graph.include(model, "network/", graph.add("Concat", *views, axis=0), wanted)

    def by_view(values: str, *shape: int) -> str:
        return graph.add("Reshape", values, graph.constant(np.array([len(views), -1, *shape], np.int64)))

    mean = graph.add("ReduceMean", by_view(scores, len(card.classes)), axes=[0], keepdims=0)
    # The novelty is that of the image itself: its threshold was chosen for this.
    unchanged = [graph.add("Gather", by_view(one), graph.constant(np.int64(0)), axis=0) for one in novelty]
    return graph.finished(mean, *unchanged)


class _Graph(GraphBuilder):
    """A graph from images to scores, while it is put together.

    Args:
        card: size of the input, classes, kind of scores.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self._card = card

    def view(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> str:
        """Add what shows these rows and columns of the images, enlarged if they are fewer; return its name."""
        p, view = self._card.preprocess, INPUT
        if len(rows) == p.height and len(columns) == p.width:
            for axis, chosen in ((1, rows), (2, columns)):
                if not np.array_equal(chosen, np.arange(len(chosen))):
                    view = self.add("Gather", view, self.constant(chosen), axis=axis)
            return view
        view = self.add("Cast", view, to=onnx.TensorProto.FLOAT)
        for axis, chosen, size in ((2, columns, p.width), (1, rows, p.height)):  # in the order of Pillow
            view = self._enlarged(view, axis, chosen, size)
        return self.add("Cast", view, to=onnx.TensorProto.UINT8)

    def _enlarged(self, x: str, axis: int, chosen: NDArray[np.int64], size: int) -> str:
        """Add what makes `size` positions of the chosen ones, rounded to whole numbers as Pillow does."""
        taps, weights = _bilinear(len(chosen), size)
        shape = (1, size, 1, 1) if axis == 1 else (1, 1, size, 1)
        parts = [self.add("Gather", x, self.constant(chosen[taps[:, i]]), axis=axis) for i in (0, 1)]

        def weighted(halves: NDArray[np.int64]) -> str:
            products = [
                self.add("Mul", part, self.constant(halves[:, i].reshape(shape).astype(np.float32)))
                for i, part in enumerate(parts)
            ]
            return self.add("Add", *products)

        unit = self.constant(np.float32(2.0**-_HALF_BITS))
        low = self.add("Floor", self.add("Mul", weighted(weights % 2**_HALF_BITS), unit))
        half = self.constant(np.float32(2 ** (_WEIGHT_BITS - _HALF_BITS - 1)))  # rounds to the nearest
        total = self.add("Add", self.add("Add", weighted(weights >> _HALF_BITS), low), half)
        return self.add("Floor", self.add("Mul", total, unit))

    def finished(self, scores: str, novelty: str = "") -> bytes:
        """Return the serialised graph with these scores, the logits that they would come from, and novelty if any."""
        card = self._card
        self.add("Identity", scores, output=OUTPUTS[0])
        self.add("Identity", self._logits(scores), output=OUTPUTS[1])
        outputs: list[GraphOutput] = [(name, onnx.TensorProto.FLOAT, ["n", len(card.classes)]) for name in OUTPUTS]
        if novelty:
            self.add("Identity", novelty, output=NOVELTY)
            outputs.append((NOVELTY, onnx.TensorProto.FLOAT, ["n"]))
        return self.serialised(card.preprocess, outputs)

    def _logits(self, scores: str) -> str:
        card = self._card
        if card.scores == "identity":
            centred = self.add("Sub", scores, self.constant(np.float32(card.offset)))
            return self.add("Mul", centred, self.constant(np.float32(card.temperature)))
        least, most = (_LEAST, 1.0) if card.scores == "softmax" else (_SURE, 1 - _SURE)
        bounded = self.add("Clip", scores, self.constant(np.float32(least)), self.constant(np.float32(most)))
        logs = self.add("Log", bounded)
        if card.scores == "softmax":
            return self.add("Mul", logs, self.constant(np.float32(card.temperature)))
        others = self.add("Sub", self.constant(np.float32(1)), bounded)
        return self.add("Sub", logs, self.add("Log", others))


def _bilinear(source: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what Pillow makes each of `size` positions of, when it enlarges `source` of them linearly.

    Returns:
        The two positions that count, and their weights in units of 2^-22, both `(size, 2)`; see `precompute_coeffs` in
        Pillow's Resample.c.
    """
    centres = (np.arange(size) + 0.5) * source / size
    first = np.maximum(0, (centres - 0.5).astype(np.int64))
    taps = np.stack([first, np.minimum(first + 1, source - 1)], 1)
    weights = np.maximum(0.0, 1 - np.abs(taps + 0.5 - centres[:, None]))
    weights[taps[:, 0] == taps[:, 1], 1] = 0  # at the edge
    weights /= weights.sum(1, keepdims=True)
    return taps, (0.5 + weights * 2**_WEIGHT_BITS).astype(np.int64)
