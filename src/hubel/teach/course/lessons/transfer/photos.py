"""The images of the lesson `transfer`: the learner's photos, or drawn shapes in their place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import permutation
from hubel.data.preprocess import Preprocess
from hubel.data.sources.shapes import Shapes, draw_shapes
from hubel.teach.course.lesson import RefusedError
from hubel.teach.course.photos import read_photo

__all__ = ["FewPhotos", "drawn_photos", "own_photos"]

_MOST, _MOST_CLASSES = 60, 6
_HELD_OUT = 3  # every third photo of a class is not learned from
_DRAWN = Shapes(size=128, objects=1, smallest=0.2, largest=0.35, clutter=12, noise=0.1, count=1000)
_KINDS = 3
_TRAINING, _TEST = 30, 45


@dataclass(frozen=True, eq=False, kw_only=True)
class FewPhotos:
    """Images to learn from, and others to be tested on.

    Attributes:
        classes: names of the classes.
        training: uint8 `(n, h, w, 3)`.
        targets: class numbers `(n,)`.
        test: uint8 `(m, h, w, 3)`.
        test_targets: class numbers `(m,)`.
    """

    classes: tuple[str, ...]
    training: NDArray[np.uint8]
    targets: NDArray[np.int64]
    test: NDArray[np.uint8]
    test_targets: NDArray[np.int64]


def drawn_photos(preprocess: Preprocess) -> FewPhotos:
    """Return 30 drawn images of three figures to learn from, and 45 to test on."""
    each = (_TRAINING + _TEST) // _KINDS
    kept: list[list[NDArray[np.uint8]]] = [[] for _ in range(_KINDS)]
    for pixels, target in _one_figure():
        if target < _KINDS and len(kept[target]) < each:
            kept[target].append(preprocess.apply(pixels))
        if all(len(images) == each for images in kept):
            break
    first = _TRAINING // _KINDS
    return FewPhotos(
        classes=_DRAWN.names[:_KINDS],
        training=np.stack([image for images in kept for image in images[:first]]),
        targets=np.repeat(np.arange(_KINDS), first),
        test=np.stack([image for images in kept for image in images[first:]]),
        test_targets=np.repeat(np.arange(_KINDS), each - first),
    )


def own_photos(sent: Any, preprocess: Preprocess) -> FewPhotos:
    """Return the learner's photos, every third of a class held out.

    Args:
        sent: a list of `{"label": ..., "photo": ...}`; see `read_photo`.
        preprocess: of the network's input.

    Raises:
        RefusedError: there are too few or too many photos or classes, or an entry is of another form.
        DecodeError: a photo cannot be read.
    """
    entries = sent if isinstance(sent, list) and all(isinstance(one, dict) for one in sent) else []
    if not 0 < len(entries) <= _MOST:
        raise RefusedError("transfer", "train.error.photos", most=_MOST, count=len(entries))
    labels = [str(one.get("label", ""))[:40] for one in entries]
    classes = tuple(sorted(set(labels)))
    if not 2 <= len(classes) <= _MOST_CLASSES:
        raise RefusedError("transfer", "train.error.classes", most=_MOST_CLASSES, count=len(classes))
    few = [name for name in classes if labels.count(name) < _HELD_OUT]
    if few:
        count = labels.count(few[0])
        raise RefusedError("transfer", "train.error.few", least=_HELD_OUT, name=few[0], count=count)
    images = [
        preprocess.apply(read_photo(one.get("photo"), f"photo {number} of {label}"))
        for number, (one, label) in enumerate(zip(entries, labels, strict=True), start=1)
    ]
    targets = np.array([classes.index(label) for label in labels])
    order = permutation(len(images), 0)
    held = np.zeros(len(images), np.bool_)
    for number in range(len(classes)):
        held[order[targets[order] == number][::_HELD_OUT]] = True
    pixels = np.stack(images)
    return FewPhotos(
        classes=classes, training=pixels[~held], targets=targets[~held], test=pixels[held], test_targets=targets[held]
    )


def _one_figure() -> Iterator[tuple[NDArray[np.uint8], int]]:
    for number in range(_DRAWN.count):
        pixels, annotation = draw_shapes(_DRAWN, number)
        if len(annotation.classes) == 1:
            yield pixels, int(annotation.classes[0])
