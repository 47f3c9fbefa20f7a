"""Counts of what is marked in a dataset: objects by class and size, pixels by class, key points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import MASKS, AnnotatedSource
from hubel.data.dataset import Dataset
from hubel.data.sources.listing import SPLITS

__all__ = ["SIZES", "AnnotationCounts", "count_annotations", "count_pixels"]

#: Areas of boxes in pixels, as COCO divides them: small below the first, large from the second on.
SIZES = (32**2, 96**2)
_MOST_MASKS = 500  # whose pixels are counted


@dataclass(frozen=True, eq=False, kw_only=True)
class AnnotationCounts:
    """Numbers of objects, pixels and key points on the usable images of a dataset.

    Attributes:
        kinds: of annotations, the first is what the data is for.
        splits: those that the data itself has; "" for images that it puts into none.
        names: of the classes of objects; empty where there are none.
        objects: of each class in each split, `(classes, splits)`.
        images: with each class, `(classes,)`.
        sizes: small, medium and large objects of each class by `SIZES`, `(classes, 3)`.
        on_image: number of objects on each image, sorted, `(n,)`.
        crowds: boxes that hold a group.
        mask_names: of the classes of pixels; empty without masks.
        pixels: share of each class among the pixels that are of a class, `(mask classes,)`.
        mask_images: images with each class of pixels, `(mask classes,)`.
        masks: masks whose pixels were counted.
        ignored: share of all pixels that are of no class.
        point_names: of key points; empty without any.
        points: key points that are not given, hidden and visible, of objects that have any, `(points, 3)`.
    """

    kinds: tuple[str, ...]
    splits: tuple[str, ...]
    names: tuple[str, ...]
    objects: NDArray[np.int64]
    images: NDArray[np.int64]
    sizes: NDArray[np.int64]
    on_image: NDArray[np.int64]
    crowds: int
    mask_names: tuple[str, ...]
    pixels: NDArray[np.float64]
    mask_images: NDArray[np.int64]
    masks: int
    ignored: float
    point_names: tuple[str, ...]
    points: NDArray[np.int64]


def count_annotations(dataset: Dataset) -> AnnotationCounts:
    """Count what is marked on the usable images of a dataset; the pixels of at most 500 masks, evenly spread.

    Raises:
        DecodeError: a mask can no longer be read.
    """
    source, rows = dataset.source, dataset.rows()
    assert isinstance(source, AnnotatedSource), "the data has no annotations"
    codes = dataset.split_codes(rows)
    present = sorted(set(codes.tolist()))
    names = () if source.annotated == (MASKS,) else source.names
    objects, sizes = np.zeros((len(names), len(present)), np.int64), np.zeros((len(names), 3), np.int64)
    images, on_image = np.zeros(len(names), np.int64), np.zeros(len(rows), np.int64)
    points, crowds = np.zeros((len(source.point_names), 3), np.int64), 0
    for at, row in enumerate(rows.tolist()):
        found = source.annotation(row, masks=False)
        area = np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1)
        objects[:, present.index(int(codes[at]))] += np.bincount(found.classes, minlength=len(names))
        np.add.at(sizes, (found.classes, np.digitize(area, SIZES)), 1)
        images[np.unique(found.classes)] += 1
        on_image[at], crowds = len(found.classes), crowds + int(found.crowd.sum())
        for one in found.points[(found.points[..., 2] > 0).any(1)]:
            np.add.at(points, (np.arange(len(points)), one[:, 2].astype(np.int64)), 1)
    counts = count_pixels(source, rows if MASKS in source.annotated else rows[:0])
    pixels, mask_images = counts.sum(0), (counts > 0).sum(0)
    n = len(source.mask_names)
    return AnnotationCounts(
        kinds=source.annotated,
        splits=tuple(SPLITS[code] for code in present),
        names=names,
        objects=objects,
        images=images,
        sizes=sizes,
        on_image=np.sort(on_image),
        crowds=crowds,
        mask_names=source.mask_names,
        pixels=pixels[:n] / max(1, int(pixels[:n].sum())),
        mask_images=mask_images[:n],
        masks=len(counts),
        ignored=float(1 - pixels[:n].sum() / max(1, int(pixels.sum()))),
        point_names=source.point_names,
        points=points,
    )


def count_pixels(source: AnnotatedSource, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the pixels of each value in the masks of at most 500 of some rows, evenly spread, `(masks, 256)`.

    Raises:
        DecodeError: a mask can no longer be read.
    """
    spread = rows[:: max(1, -(-len(rows) // _MOST_MASKS))]
    counts = np.zeros((len(spread), 256), np.int64)
    for found, row in zip(counts, spread.tolist(), strict=True):
        mask = source.annotation(row).mask
        if mask is not None:
            found += np.bincount(mask.ravel(), minlength=256)
    return counts
