"""Run an exported file on as many images at once as its values have memory for."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import ModelFileError
from hubel.data.reading import one_line
from hubel.inference.engines.engine import OnnxRunner
from hubel.inference.onnx_cost import cost_of
from hubel.inference.onnx_nodes import UINT8, Graph, Value

__all__ = ["within_memory"]


def within_memory(run: OnnxRunner, graph: Graph, most: int) -> OnnxRunner:
    """Return a runner that divides a batch whose values would take more than `most` bytes.

    The sizes are inferred anew for each number of images: a graph may compute its own from it, and its square, too.
    """

    @lru_cache(maxsize=64)
    def needed(shape: tuple[int, ...]) -> int:
        try:
            return cost_of(graph, Value(shape, UINT8)).bytes
        except (LookupError, ValueError) as error:
            raise ModelFileError(f"this file cannot run {shape[0]} images: {one_line(error)}") from None

    def bounded(images: NDArray[Any]) -> NDArray[np.float32]:
        if not len(images) or (size := needed(images.shape)) <= most:
            return run(images)
        if len(images) == 1:
            raise ModelFileError(f"this file needs {size:,} bytes for one image; {most:,} are the most")
        half = len(images) // 2
        return np.concatenate([bounded(images[:half]), bounded(images[half:])])

    return bounded
