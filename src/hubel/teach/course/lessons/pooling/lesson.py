"""Numbers of the lesson `pooling`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core import random
from hubel.core.errors import OptionError
from hubel.teach.convolution.arithmetic import ConvolutionSettings
from hubel.teach.convolution.effective import effective_field, effective_size, mean_squared_gradient
from hubel.teach.convolution.pooling import POOLINGS, make_pooling, pool_map
from hubel.teach.convolution.stack import (
    StackLayer,
    count_paths,
    list_equal_stacks,
    parse_stack,
    seen_places,
    stack_fields,
)
from hubel.teach.course.lesson import Lesson, lesson_facts
from hubel.teach.course.lessons.kernels.scene import draw_scene

__all__ = ["LESSON", "compute_pooling", "measure_field"]

_MEANS = (7, 4, 8, 6, 3, 5)  # of the six maps of the note
_CLASSES = 10
_STACK = "3x3,3x3,pool2"
_DEPTHS = (2, 4, 8, 16)
_VGG16 = ",".join(["3x3,3x3,pool2"] * 2 + ["3x3,3x3,3x3,pool2"] * 3)  # Simonyan & Zisserman 2014, Table 1, column D
_BATCHES, _BATCH = 8, 8  # random networks of a live computation


def compute_pooling() -> Mapping[str, Any]:
    """Compute what the page shows without a server."""
    values = np.floor(10 * random.uniform(3, np.arange(16))).reshape(4, 4)
    layer = make_pooling(1, (4, 4), ConvolutionSettings((2,), (2,)))
    convolutions = [layer for layer in parse_stack("stack", _VGG16) if not layer.pooling]
    return {
        "map": values,
        **{name: pool_map(layer, values, name) for name in POOLINGS},
        "maps": [_map_of_mean(mean, seed) for seed, mean in enumerate(_MEANS)],
        "classes": _CLASSES,
        "threes": [field.size[0] for field in stack_fields(parse_stack("stack", "3x3,3x3,3x3,3x3"))],
        "stack": _STACK,
        "equal": {str(field): [_describe(stack) for stack in list_equal_stacks(field)] for field in (5, 7)},
        "paths": count_paths(parse_stack("stack", "3x3,3x3")),
        "effective": [_effective(depth) for depth in _DEPTHS],
        "vgg": {
            "stack": _VGG16,
            "field": _field(parse_stack("stack", _VGG16)),
            "convolutions": len(convolutions),
            "alone": _field(convolutions),
            "needed": -(-(int(lesson_facts("pooling")["vgg_image"]["value"]) - 1) // 2),
        },
        "scene": draw_scene(),
    }


def measure_field(asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Measure the effective field of a stack; yield the mean over more and more random networks."""
    text = asked.get("stack")
    if not isinstance(text, str):
        raise OptionError("the request names its layers as text: stack")
    layers, total = parse_stack("stack", text), np.zeros(())
    for batch in range(_BATCHES):
        total = total + mean_squared_gradient(layers, channels=8, draws=_BATCH, seed=batch)
        gradient = np.sqrt(total / max(total.max(), np.finfo(float).tiny))
        yield {
            "networks": (batch + 1) * _BATCH,
            "field": _field(layers),
            "size": effective_size(gradient),
            "gradient": np.round(gradient, 3),
        }


def _map_of_mean(mean: int, seed: int) -> NDArray[np.float64]:
    """Return a 3x3 map of whole numbers from 0 to 9 with a given mean."""
    low = max(-mean, mean - 9)
    steps = np.round((2 * random.uniform(7, seed, np.arange(4)) - 1) * abs(low))
    return mean + np.concatenate([steps, [0], -steps[::-1]]).reshape(3, 3)


def _field(layers: Sequence[StackLayer]) -> int:
    return stack_fields(layers)[-1].size[0]


def _describe(stack: Sequence[StackLayer]) -> Mapping[str, Any]:
    return {
        "name": ",".join(map(str, stack)),
        "weights": sum(layer.weights for layer in stack),
        "layers": len(stack),
        "seen": len(seen_places(stack)[0]) ** 2,
    }


def _effective(depth: int) -> Mapping[str, Any]:
    layers = parse_stack("stack", ",".join(["3x3"] * depth))
    gradient = effective_field(layers, draws=16)
    return {
        "depth": depth,
        "field": _field(layers),
        "size": effective_size(gradient),
        "gradient": np.round(gradient, 3),
    }


LESSON = Lesson(name="pooling", data=compute_pooling, live={"field": measure_field})
