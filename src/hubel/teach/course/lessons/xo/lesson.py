"""Numbers of the lesson `xo`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hubel.teach.course.lesson import Lesson
from hubel.teach.walkthrough.lesson import BATCH, DRAWINGS, RATE, REFERENCES, chosen_weights, xo_images
from hubel.teach.walkthrough.network import cross_entropies, gradient, step, trace_forward

__all__ = ["LESSON", "data", "train"]

_MOST_STEPS = 200


def data() -> Mapping[str, Any]:
    """Compute what the page shows without a server."""
    (x, o), _ = xo_images(REFERENCES)
    return {"x": x, "o": o, "patterns": chosen_weights().patterns[:, 0]}


def train(asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Train the network of the lesson; yield the loss of each step."""
    images, targets = xo_images(DRAWINGS)
    weights = chosen_weights()
    for number in range(_MOST_STEPS):
        drawn = slice(number * BATCH % len(images), number * BATCH % len(images) + BATCH)
        trace = trace_forward(weights, images[drawn])
        yield {"step": number, "loss": float(cross_entropies(trace.outputs, targets[drawn]).sum(1).mean())}
        weights = step(weights, gradient(weights, trace, targets[drawn]), RATE)


LESSON = Lesson(name="xo", data=data, live={"train": train})
