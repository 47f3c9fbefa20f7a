"""Mosaics: an image beside three others of the data set, in one input.

Bochkovskiy et al. 2020, "YOLOv4: Optimal speed and accuracy of object detection", arXiv:2004.10934, Section 3.4. Four
images meet in a random point; each is augmented by itself, and covers its part of the input: resized with its shape
kept, and cut around its centre. Positions are exact, since the parts are whole pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import IGNORED, Annotation
from hubel.data.augment.draws import Augmentation, draw_augmentations, draw_parameters
from hubel.data.augment.mosaic_operation import MOSAIC, MosaicDraw
from hubel.data.augment.policy import Policy
from hubel.data.preprocess import Preprocess

__all__ = ["PlacedImage", "draw_placed_images", "join_annotations"]

Place = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False, kw_only=True)
class PlacedImage:
    """An image, and the part of the network's input that shows it.

    Attributes:
        position: of the image among all.
        place: left, top, right and bottom of the part, in pixels of the input.
        preprocess: the part as an input of its own.
        augmentation: of the image, within the part.
    """

    position: int
    place: Place
    preprocess: Preprocess
    augmentation: Augmentation


def draw_placed_images(
    policy: Policy,
    preprocess: Preprocess,
    seed: int,
    epochs: NDArray[np.int64],
    positions: NDArray[np.int64],
    samples: NDArray[np.int64],
) -> list[tuple[PlacedImage, ...]]:
    """Draw what the input shows for each image of a batch: one tile, the image; or the four of a mosaic.

    Args:
        policy: the policy.
        preprocess: of the whole input.
        seed: of the run.
        epochs: of each image of the batch, `(n,)`.
        positions: of each image of the batch among all, `(n,)`.
        samples: numbers of all images in the data set, of which the draws are functions.
    """
    own = draw_augmentations(policy, seed, epochs, samples[positions])
    whole = (0, 0, preprocess.width, preprocess.height)
    tiles: list[tuple[PlacedImage, ...]] = [
        (PlacedImage(position=position, place=whole, preprocess=preprocess, augmentation=augmentation),)
        for position, augmentation in zip(positions.tolist(), own, strict=True)
    ]
    drawn = draw_parameters(policy, (MOSAIC,), seed, epochs, samples[positions]).get(MOSAIC, ())
    for i, mosaic in enumerate(drawn):
        if mosaic is not None:
            keys = seed, int(epochs[i]), int(samples[positions[i]])
            others = draw_augmentations(policy, *keys, np.arange(1, 4))
            shown = (int(positions[i]), *(int(share * len(samples)) for share in mosaic.others))
            parts = _parts(mosaic, preprocess)
            tiles[i] = tuple(map(_placed, shown, parts, [preprocess] * 4, (own[i], *others)))
    return tiles


def _parts(mosaic: MosaicDraw, preprocess: Preprocess) -> tuple[Place, Place, Place, Place]:
    """Return the places of the four tiles, around the point where they meet."""
    width, height = preprocess.width, preprocess.height
    x, y = (
        min(max(1, round(side * share)), side - 1) for side, share in zip((width, height), mosaic.meet, strict=True)
    )
    return (0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)


def _placed(position: int, place: Place, preprocess: Preprocess, augmentation: Augmentation) -> PlacedImage:
    left, top, right, bottom = place
    part = replace(preprocess, height=bottom - top, width=right - left, resize="crop")
    return PlacedImage(position=position, place=place, preprocess=part, augmentation=augmentation)


def join_annotations(parts: Sequence[tuple[Annotation, Place]], preprocess: Preprocess) -> Annotation:
    """Return what is marked on the tiles of an input as the annotation of the whole.

    Args:
        parts: of each tile its annotation, in its own pixels, and its place.
        preprocess: of the whole input.
    """
    if len(parts) == 1:
        return parts[0][0]
    boxes, points = [], []
    mask: NDArray[np.uint8] | None = None
    for one, (left, top, right, bottom) in parts:
        boxes.append(one.boxes + np.array([left, top, left, top]))
        given = one.points[..., 2:] > 0  # 0, 0, 0 stays where a point is not given
        points.append(one.points + np.where(given, np.array([left, top, 0.0]), 0.0))
        if one.mask is not None:
            if mask is None:
                mask = np.full((preprocess.height, preprocess.width), IGNORED, np.uint8)
            mask[top:bottom, left:right] = one.mask
    return Annotation(
        classes=_joined([one.classes for one, _ in parts]),
        boxes=_joined(boxes),
        crowd=_joined([one.crowd for one, _ in parts]),
        points=_joined([some for some in points if some.size]) if any(some.size for some in points) else points[0],
        mask=mask,
    )


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(arrays)
