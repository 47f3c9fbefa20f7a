"""Numbers of the lesson `sizes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hubel.teach.convolution.alternatives import fully_connected
from hubel.teach.convolution.arithmetic import ConvolutionSettings, make_convolution
from hubel.teach.convolution.maps import convolve_maps, example_kernels, example_maps
from hubel.teach.course.lesson import Lesson, lesson_facts

__all__ = ["LESSON", "compute_sizes"]

_CHANNELS, _FILTERS, _SIDE, _KERNEL = 3, 3, 4, 3
_BIASES = (1, 0, -1)
_SEED = 5
# The 5x5 convolution after a 1x1 of 16 maps, in an Inception module (Szegedy et al. 2015, Table 1, inception 3a).
_LAYER = {"side": 28, "channels": 16, "filters": 32, "kernel": 5}
_SLIDING = {"length": 7, "kernel": 3, "stride": 2, "padding": 0, "dilation": 1}


def compute_sizes() -> Mapping[str, Any]:
    """Compute what the page shows without a server."""
    maps = example_maps(_CHANNELS, (_SIDE, _SIDE), seed=_SEED)
    kernels = example_kernels(_FILTERS, _CHANNELS, (_KERNEL, _KERNEL), seed=_SEED)
    layer = make_convolution(_CHANNELS, _FILTERS, (_SIDE, _SIDE), ConvolutionSettings((_KERNEL,)))
    return {
        "sliding": _SLIDING,
        "maps": maps,
        "kernels": kernels,
        "biases": _BIASES,
        "outputs": convolve_maps(layer, maps, kernels) + np.array(_BIASES)[:, None, None],
        "small": {"parameters": layer.parameters, "multiplications": layer.multiplications((_SIDE, _SIDE))},
        "layer": _LAYER,
        "cost": _cost(**_LAYER),
        "alexnet": _alexnet(),
    }


def _cost(side: int, channels: int, filters: int, kernel: int) -> Mapping[str, int]:
    """Return parameters and multiplications of a layer that keeps the size, and of the fully connected one."""
    size = (side, side)
    layer = make_convolution(channels, filters, size, ConvolutionSettings((kernel,), padding="same"))
    dense = fully_connected(layer, size)
    return {
        "parameters": layer.parameters,
        "multiplications": layer.multiplications(size),
        "dense_parameters": dense.parameters,
        "dense_multiplications": dense.multiplications(size),
    }


def _alexnet() -> Mapping[str, float]:
    """Return the side of the first map of AlexNet: by the formula before it is rounded, and as it is."""
    facts = {name: fact["value"] for name, fact in lesson_facts("sizes").items()}
    image, kernel, stride = (facts[f"alexnet_{name}"] for name in ("image", "kernel", "stride"))
    found = {
        f"{name}_{what}": value
        for name, side, padding in (("printed", image, 0), ("larger", image + 3, 0), ("padded", image, 2))
        for what, value in (
            ("exact", (side + 2 * padding - kernel) / stride + 1),
            ("side", make_convolution(3, 1, (side,), _settings(kernel, stride, padding)).output_size((side,))[0]),
        )
    }
    return {**found, "larger": image + 3, "padding": 2}


def _settings(kernel: int, stride: int, padding: int) -> ConvolutionSettings:
    return ConvolutionSettings((kernel,), (stride,), (padding,))


LESSON = Lesson(name="sizes", data=compute_sizes)
