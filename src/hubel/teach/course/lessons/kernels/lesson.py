"""Numbers of the lesson `kernels`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hubel.teach.convolution.arithmetic import ConvolutionSettings, make_convolution
from hubel.teach.convolution.image_kernels import IMAGE_KERNELS, NEGATIVES
from hubel.teach.convolution.steps import convolve
from hubel.teach.course.lesson import Lesson
from hubel.teach.course.lessons.kernels.scene import draw_scene

__all__ = ["LESSON", "compute_kernels"]

_ROW, _KERNEL = (0, 1, 2, 3, 4), (-1, 0, 1)
_EDGE = np.array([[0, 0, 0, 10, 10, 10]] * 5)  # a dark half beside a bright one


def compute_kernels() -> Mapping[str, Any]:
    """Compute what the page shows without a server."""
    return {
        "row": _ROW,
        "kernel": _KERNEL,
        "valid": _convolve(np.array(_ROW), np.array(_KERNEL), "valid"),
        "same": _convolve(np.array(_ROW), np.array(_KERNEL), "same"),
        "kernels": [
            {"name": kernel.name, "numbers": kernel.numbers, "divisor": kernel.divisor, "sum": kernel.values.sum()}
            for kernel in IMAGE_KERNELS.values()
        ],
        "displays": list(NEGATIVES),
        "scene": draw_scene(),
        "edge": _EDGE,
        "edge_x": _convolve(_EDGE, IMAGE_KERNELS["sobel_x"].values, "valid"),
        "edge_y": _convolve(_EDGE, IMAGE_KERNELS["sobel_y"].values, "valid"),
    }


def _convolve(values: np.ndarray, kernel: np.ndarray, padding: str) -> np.ndarray:
    layer = make_convolution(1, 1, values.shape, ConvolutionSettings(kernel.shape, padding=padding))
    return convolve(layer, values, kernel)


LESSON = Lesson(name="kernels", data=compute_kernels)
