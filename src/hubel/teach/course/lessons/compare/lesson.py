"""Compare pictures, or connect everything: k-NN and its cost, templates of a linear classifier, shared weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.teach.course.digit_pictures import LEVELS, SIDE, Digits, digit_pictures, packed
from hubel.teach.course.lesson import Lesson
from hubel.teach.course.lessons.compare.neighbours import classify, nearest_first, squared_distances
from hubel.teach.course.lessons.compare.settings import FILTERS, parameters
from hubel.teach.course.lessons.compare.templates import class_averages, learn_templates
from hubel.teach.course.lessons.compare.views import CANVAS, MARGIN, VIEWS, on_canvas

__all__ = ["LESSON", "compute_compare"]

Floats = NDArray[np.float64]

_K = (1, 3, 5, 7, 9, 15, 25, 51, 101)
_STORED = (10, 20, 50, 100, 200, 500, 1000)  # pictures
_VOTERS = 5
_SIDES = (8, 12, 28, 32, 64, 224)  # of pictures whose cost is computed
_CLEARLY = 1.2  # times as far away


def compute_compare() -> dict[str, Any]:
    """Compute all numbers of the page that need no server."""
    train, test = digit_pictures()
    pictures, others = train.levels / LEVELS, test.levels / LEVELS
    classes = len(np.unique(train.labels))
    distances = squared_distances(others, pictures)
    order = nearest_first(distances)
    canvases = on_canvas(pictures)
    templates, averages = learn_templates(canvases, train.labels), class_averages(canvases, train.labels)
    return {
        "side": SIDE,
        "canvas": CANVAS,
        "margin": MARGIN,
        "levels": LEVELS,
        "classes": classes,
        "number_bytes": np.dtype(np.float32).itemsize,
        "train": _packed(train),
        "test": _packed(test),
        "moved": _moved_example(others, test.labels),
        "voters": _VOTERS,
        "contested": int(np.flatnonzero(np.ptp(train.labels[order[:, :_VOTERS]], axis=1))[0]),
        "votes": [{"k": k, "accuracy": _share(classify(order, train.labels, k), test.labels)} for k in _K],
        "growth": [
            {"n": n, "accuracy": _share(train.labels[distances[:, :n].argmin(1)], test.labels)} for n in _STORED
        ],
        "sides": _SIDES,
        "templates": {"weights": templates.weights, "bias": templates.bias},
        "averages": {"weights": averages.weights, "bias": averages.bias},
        "network": {"filters": FILTERS, "parameters": parameters(classes)},
        "views": [
            {
                "name": name,
                "knn": _share(
                    classify(nearest_first(squared_distances(view(others), canvases)), train.labels, _VOTERS),
                    test.labels,
                ),
                "templates": _share(templates.classify(view(others)), test.labels),
                "averages": _share(averages.classify(view(others)), test.labels),
            }
            for name, view in VIEWS.items()
        ],
    }


def _packed(pictures: Digits) -> dict[str, Any]:
    return {"pictures": packed(pictures.levels), "labels": "".join(map(str, pictures.labels))}


def _share(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    return float((predicted == labels).mean())


def _moved_example(others: Floats, labels: NDArray[np.int64]) -> dict[str, int]:
    """Return a picture that is clearly nearer to one of another class than to itself, shifted right by a pixel.

    The number of the picture, and of the nearest one of another class.
    """
    canvases, moved = on_canvas(others), on_canvas(others, 0, 1)
    to_itself = ((canvases - moved) ** 2).sum((1, 2))
    among = squared_distances(canvases, canvases)
    among[labels[:, None] == labels] = np.inf
    other = among.argmin(1)
    nearer = np.sqrt(to_itself / among[np.arange(len(labels)), other]) > _CLEARLY
    picture = int(np.flatnonzero(nearer)[0])
    return {"picture": picture, "other": int(other[picture])}


def _cost(_: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    from hubel.teach.course.lessons.compare.cost import measure_answers  # imports torch

    train, _test = digit_pictures()
    yield from measure_answers(on_canvas(train.levels / LEVELS), train.labels)


def _network(_: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    from hubel.teach.course.lessons.compare.network import train_network  # imports torch

    train, test = digit_pictures()
    yield from train_network((train.levels / LEVELS, train.labels), (test.levels / LEVELS, test.labels))


LESSON = Lesson(name="compare", data=compute_compare, live={"cost": _cost, "network": _network})
