"""Training by gradient descent: steps on a surface of two weights, and the same on a small CNN, live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hubel.core.random import permutation
from hubel.teach.course.digit_pictures import LEVELS, SIDE, digit_pictures, packed
from hubel.teach.course.lesson import Lesson
from hubel.teach.course.lessons.training.initial import LARGE, LAYERS, UNITS, root_mean_squares
from hubel.teach.course.lessons.training.two_weights import BLOCK_SIDE, BLOCKS, CLASSES, bowl, inputs

__all__ = ["LESSON", "compute_training"]

_ORDERS = 40  # epochs of the order in which the pictures come


def compute_training() -> dict[str, Any]:
    """Compute all numbers of the page that need no server."""
    train, test = digit_pictures()
    x, targets, chosen = inputs(train)
    raw, centred = bowl(x, targets), bowl(x - x.mean(0), targets)
    flat = train.levels.reshape(len(train.levels), -1) / LEVELS
    return {
        "side": SIDE,
        "levels": LEVELS,
        "classes": CLASSES,
        "blocks": BLOCKS,
        "block_side": BLOCK_SIDE,
        "examples": packed(train.levels[chosen[_one_of_each(targets)]]),
        "example_rows": _one_of_each(targets),
        "x": x,
        "targets": targets,
        "mean": x.mean(0),
        "raw": _bowl_json(raw),
        "centred": _bowl_json(centred),
        "orders": np.concatenate([permutation(len(x), 0, epoch) for epoch in range(_ORDERS)]),
        "layers": LAYERS,
        "units": UNITS,
        "sizes": root_mean_squares((flat - flat.mean()) / flat.std()),
        "pictures": {"train": len(train.labels), "test": len(test.labels), "classes": len(np.unique(train.labels))},
        "grey_mean": flat.mean(),
        "large": LARGE,
        "guess_loss": np.log(len(np.unique(train.labels))),
    }


def _one_of_each(targets: Any) -> list[int]:
    """Return the first row of either class."""
    return [int(np.flatnonzero(targets == target)[0]) for target in (1, -1)]


def _bowl_json(found: Any) -> dict[str, Any]:
    return {
        "curvature": found.curvature,
        "minimum": found.minimum,
        "lowest": found.lowest,
        "eigenvalues": found.eigenvalues,
        "largest_rate": found.largest_rate,
        "condition": found.condition,
    }


def _train(request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    from hubel.teach.course.lessons.training.networks import read_runs, train_side_by_side  # imports torch

    settings, epochs, pictures = read_runs(request)
    train, test = digit_pictures()
    chosen = slice(pictures)
    yield from train_side_by_side(
        settings,
        (train.levels[chosen] / LEVELS, train.labels[chosen]),
        (test.levels / LEVELS, test.labels),
        epochs=epochs,
    )


LESSON = Lesson(name="training", data=compute_training, live={"train": _train})
