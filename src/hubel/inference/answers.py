"""The answers of networks that annotate images: objects without their doubles, the class of each pixel.

They are computed from a network's outputs here, in NumPy, or by the graph of an exported file, which has an output for
each part of them. Both give one array for each image:

- boxes: left, top, right, bottom in shares of the input's width and height, score and class of each object, the surest
  first, `(k, 6)`; rows with a score of 0 fill up.
- maps: class and score of each pixel of the input, `(2, h, w)`.
- points: the scores themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from hubel.inference.box_decoding import MOST_OBJECTS, network_boxes
from hubel.inference.onnx_check import ANSWERS, NOVELTY, OUTPUTS
from hubel.weights.card import ModelCard

__all__ = ["ALL_OUTPUTS", "answers", "box_rows", "one_array", "read_outputs"]

#: The names of the outputs of exported files of all kinds.
ALL_OUTPUTS = frozenset({*OUTPUTS, NOVELTY, *(name for parts in ANSWERS.values() for name in parts)})


def answers(scores: NDArray[np.float32], card: ModelCard) -> NDArray[np.float32]:
    """Return the answers of a network to several images.

    Args:
        scores: of its outputs, `(n, ...)`; see `network_scores`.
        card: kind of output.
    """
    if card.dense == "maps":
        return np.stack([scores.argmax(1), scores.max(1)], axis=1, dtype=np.float32, casting="unsafe")
    return np.stack([box_rows(one) for one in scores]) if card.dense == "boxes" else scores


def box_rows(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the objects on one image as rows, from the outputs of a detector; see `network_boxes`."""
    found = network_boxes(output)
    most = 1 if len(output) == 1 else min(MOST_OBJECTS, output[:, 5:].size)  # as many as in a graph
    rows = np.zeros((most, 6), np.float32)
    rows[:, 5] = -1
    rows[: len(found)] = np.column_stack([found.boxes, found.scores, found.classes])
    return rows


def read_outputs(names: Collection[str]) -> tuple[str, ...]:
    """Return which outputs of an exported file are read, in the order in which `one_array` wants them.

    >>> read_outputs(["scores", "logits"])
    ('scores',)
    >>> read_outputs(["classes", "scores", "boxes"])
    ('boxes', 'scores', 'classes')
    """
    for parts in ANSWERS.values():
        if set(parts) == set(names):
            return parts
    return (OUTPUTS[0], NOVELTY) if NOVELTY in names else OUTPUTS[:1]


def one_array(parts: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    """Return outputs of an exported file as one array `(n, ...)`: the answers, or scores with the novelty behind."""
    names = tuple(parts)
    if names == ANSWERS["boxes"]:
        columns = [parts["boxes"], parts["scores"][..., None], parts["classes"][..., None]]
        return np.concatenate(columns, axis=-1, dtype=np.float32, casting="unsafe")
    if names == ANSWERS["maps"]:
        return np.stack([parts[name] for name in names], axis=1, dtype=np.float32, casting="unsafe")
    first, *others = parts.values()
    return np.column_stack([first, *others]) if others else np.asarray(first, np.float32)
