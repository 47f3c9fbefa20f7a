"""Numbers of the lesson `seeing`: a trained X/O network to look into, and explanations of the learner's own photo."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.data.preprocess import Preprocess
from hubel.data.sources.shapes import Shapes, draw_shapes
from hubel.teach.course.lesson import Lesson
from hubel.teach.course.lessons.xo.training import (
    DRAWINGS,
    RATE,
    chosen_weights,
    confusions,
    references,
    train_drawings,
)
from hubel.teach.course.photos import pack, read_photo

if TYPE_CHECKING:
    from hubel.inference.predictor import Predictor

__all__ = ["LESSON", "MODEL", "look_into", "seeing_numbers"]

MODEL = "efficientnet_lite0"

_TOP = 5
_MAPS = 6  # of each layer, those of the highest variance
_SIDE = 56  # of attribution maps on the page
_CANVAS = Shapes(size=192, objects=4, clutter=2)


def seeing_numbers() -> Mapping[str, Any]:
    """Compute what the page shows without a server."""
    x, o = references()
    *_, trained = train_drawings(chosen_weights(), DRAWINGS, RATE)
    counts = confusions(trained.weights, DRAWINGS)["drawn"]["network"]
    return {
        "x": x,
        "o": o,
        "weights": asdict(trained.weights),
        "accuracy": counts.trace() / counts.sum(),
        "canvas": pack(draw_shapes(_CANVAS, 8)[0]),
        "model": MODEL,
    }


def look_into(asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Look into a pretrained network with the learner's photo, one kind of picture after the other.

    Args:
        asked: `photo`, see `read_photo`; `label`, a class to explain, the predicted one if empty; `tiled`, to show
            the photo four times, in two rows of two.

    Raises:
        OptionError: a value is of another kind.
        UnknownNameError: there is no such class.
        DecodeError: the photo cannot be read.
    """
    photo, label = read_photo(asked.get("photo")), asked.get("label") or None
    if label is not None and not isinstance(label, str):
        raise OptionError("a label is the name of a class")
    if asked.get("tiled"):
        photo = np.tile(photo, (2, 2, 1))
    from hubel.explain import activation_maps, explain, first_filters, prepare_images
    from hubel.explain.filters import weights_to_image

    predictor = _predictor()
    scores = predictor.predict_proba([photo])[0]
    best = np.argsort(-scores)[:_TOP]
    yield {
        "kind": "classes",
        "top": [{"label": predictor.classes[number], "score": scores[number]} for number in best],
        "names": predictor.classes,
    }
    (image,) = prepare_images(predictor, [photo])
    small = Preprocess(_SIDE * 2, _SIDE * 2, mean=(0.0,) * 3, std=(1.0,) * 3).apply(image.pixels)
    yield {"kind": "input", "picture": pack(small), "side": len(image.pixels)}
    filters = first_filters(predictor.network)
    yield {"kind": "filters", "pictures": [pack(weights_to_image(weights)) for weights in filters]}
    for layer, maps in activation_maps(predictor, image).items():
        chosen = np.argsort(-maps.std((1, 2)), kind="stable")[:_MAPS]
        largest = float(np.abs(maps).max()) or 1.0
        yield {
            "kind": "maps",
            "layer": layer,
            "count": len(maps),
            "side": maps.shape[1],
            # Grey at zero, so that negative values of linear layers are seen.
            "maps": [pack(_at_most(0.5 + maps[number] / largest / 2, _SIDE)) for number in chosen.tolist()],
        }
    for method in ("gradcam", "occlusion"):
        (found,) = explain(predictor, [photo], method=method, label=label)
        positive = np.clip(found.map, 0, None)
        yield {
            "kind": method,
            "label": found.label,
            "score": found.score,
            "largest": float(found.map.max()),
            "map": pack(_at_most(positive / (float(positive.max()) or 1.0), _SIDE)),
        }


@cache
def _predictor() -> Predictor:
    from hubel.inference.predictor import load_predictor

    return load_predictor(MODEL, device="cpu")


def _at_most(values: NDArray[Any], side: int) -> NDArray[Any]:
    """Return a square map as means of blocks, at most `side` pixels wide; smaller ones as they are."""
    block = -(-len(values) // side)
    rows = len(values) // block * block
    return np.asarray(values[:rows, :rows].reshape(rows // block, block, rows // block, block).mean((1, 3)))


LESSON = Lesson(name="seeing", data=seeing_numbers, live={"look": look_into})
