"""Numbers of the lesson `xo`, computed in the order of its page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hubel.core.errors import OptionError
from hubel.teach.course.lesson import Lesson
from hubel.teach.course.lessons.xo.network import Weights
from hubel.teach.course.lessons.xo.training import (
    BATCH,
    DRAWINGS,
    RATE,
    chosen_weights,
    confusions,
    drawn_weights,
    gradient_step,
    references,
    train_drawings,
    xo_images,
)

__all__ = ["LESSON", "train_xo", "xo_data"]

_SAMPLES = 12  # drawings that the page shows
_RATES, _NOISES = (0.01, 10.0), (0.0, 0.1)
_STARTS = ("chosen", "random")
_SEEDS = (0.0, 9.0)


def xo_data() -> Mapping[str, Any]:
    """Compute what the page shows without a server."""
    x, o = references()
    weights = chosen_weights()
    step = gradient_step(weights, x, np.array([[1.0, 0.0]]))
    *_, last = train_drawings(weights, DRAWINGS, RATE)
    return {
        "x": x,
        "o": o,
        "weights": _json(weights),
        "step": {
            "gradient": _json(step.gradient),
            "loss": step.losses.sum(),
            "lossAfter": step.losses_after.sum(),
        },
        "training": {"batch": BATCH, "drawings": DRAWINGS.count, "rate": RATE, "samples": _samples(0)},
        "trained": {
            "weights": _json(last.weights),
            "steps": last.step,
            "confusions": confusions(last.weights, DRAWINGS),
        },
    }


def train_xo(asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Train the network of the lesson live.

    Args:
        asked: `rate`, 0.01 to 10; `noise`, the share of inverted pixels, 0 to 0.1; `start`, chosen or random,
            the latter with a `seed`, 0 to 9.

    Yields:
        `step`, `loss`, and now and then `right`, the number of training drawings that are classified correctly, with
        the `weights`; at the end the `confusions` on new drawings.

    Raises:
        OptionError: a value is out of its range.
    """
    rate = _number(asked, "rate", RATE, _RATES)
    noise = _number(asked, "noise", DRAWINGS.noise, _NOISES)
    start = asked.get("start", "chosen")
    if start not in _STARTS:
        raise OptionError(f"start is one of {', '.join(_STARTS)}, not {start!r}")
    weights = chosen_weights() if start == "chosen" else drawn_weights(int(_number(asked, "seed", 0.0, _SEEDS)))
    spec = replace(DRAWINGS, noise=noise)
    yield {"samples": _samples(noise)}
    for progress in train_drawings(weights, spec, rate):
        counted = {} if progress.right is None else {"right": progress.right, "weights": _json(progress.weights)}
        yield {"step": progress.step, "loss": progress.loss, **counted}
    yield {"weights": _json(progress.weights), "confusions": confusions(progress.weights, spec)}


def _number(asked: Mapping[str, Any], name: str, default: float, bounds: tuple[float, float]) -> float:
    value = asked.get(name, default)
    low, high = bounds
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or math.isnan(value):
        raise OptionError(f"{name} is a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def _samples(noise: float) -> Any:
    images, _ = xo_images(replace(DRAWINGS, count=_SAMPLES, noise=noise))
    return images


def _json(weights: Weights) -> dict[str, Any]:
    """Return the parts of the weights by name; patterns `(3, 3, 3)`, as the image has one channel."""
    return {
        "patterns": weights.patterns[:, 0],
        "arrangements": weights.arrangements,
        "output": weights.output,
        "bias": weights.bias,
    }


LESSON = Lesson(name="xo", data=xo_data, live={"train": train_xo})
