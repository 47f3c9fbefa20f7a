"""Check the graph of a network of a user's own class, whose code may do what no graph can repeat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import HubelError, OptionError
from hubel.inference.engines.registry import open_onnx
from hubel.inference.onnx_check import check_graph
from hubel.weights.card import ModelCard

__all__ = ["check_own_graph"]


def check_own_graph(model: bytes, card: ModelCard, pixels: NDArray[np.uint8]) -> None:
    """Refuse a graph that takes one number of images only, or has operators that hubel refuses to run.

    Args:
        model: a serialised ONNX model.
        card: of its network.
        pixels: resized images uint8 `(n, h, w, c)`.

    Raises:
        OptionError: it is such a graph.
    """
    try:
        check_graph(memoryview(model), card)
    except (LookupError, ValueError) as error:
        raise OptionError(
            f"{card.model} cannot be exported: its graph has {error}, which hubel runs in no exported file"
        ) from None
    run = open_onnx("onnxruntime", model, lanes=1)
    for images in (1, 3):
        batch = np.resize(pixels, (images, *pixels.shape[1:]))
        try:
            answered = len(run(batch))
        except HubelError:
            answered = 0
        if answered != images:
            raise OptionError(
                f"{card.model} cannot be exported: its graph only takes as many images as it was traced with; in its "
                "forward(), write x.flatten(1) or x.shape[0] instead of len(x) and other numbers of Python"
            )
