"""Annotations: the marks on one image, and the sources that give it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the sources import this module
    from hubel.data.sources.listing import Listing

__all__ = ["BOXES", "IGNORED", "MASKS", "POINTS", "AnnotatedSource", "Annotation", "ImageFacts"]

#: The kinds of annotations.
BOXES, MASKS, POINTS = "boxes", "masks", "points"
#: The value of a mask's pixels that belong to no class: the loss and the metrics leave them out.
IGNORED = 255


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageFacts:
    """Facts of all images of a listing, one of each a row; 0 where an image cannot be read.

    Attributes:
        width: pixels, upright.
        height: likewise.
        orientation: of EXIF, 1 to 8.
    """

    width: NDArray[np.int32]
    height: NDArray[np.int32]
    orientation: NDArray[np.uint8]


@dataclass(frozen=True, eq=False, kw_only=True)
class Annotation:
    """The marks on one image.

    Positions are continuous, in pixels of the upright image: x to the right, y down; the first pixel covers 0 to 1.

    Attributes:
        classes: of each object, int64 `(k,)`, positions in the source's `names`.
        boxes: left, top, right, bottom of each object, float64 `(k, 4)`.
        crowd: whether a box holds a group whose members are not told apart, bool `(k,)`.
        points: x, y and visibility of each object's key points, float64 `(k, j, 3)`; visibility is 0 where a point is
            not given, 1 where it is hidden, 2 where it is visible.
        mask: the class of each pixel, uint8 `(h, w)`, or `IGNORED`; None without a mask.
    """

    classes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    crowd: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0, 3)))
    mask: NDArray[np.uint8] | None = None

    def object(self, number: int) -> Annotation:
        """Return the annotation of one object alone."""
        row = slice(number, number + 1)
        return Annotation(
            classes=self.classes[row], boxes=self.boxes[row], crowd=self.crowd[row], points=self.points[row]
        )

    def moved(self, right: float, down: float) -> Annotation:
        """Return the objects at other places, so many pixels away."""
        shift = np.array([right, down])
        given = self.points[..., 2:] > 0
        points = np.concatenate([np.where(given, self.points[..., :2] + shift, 0), self.points[..., 2:]], -1)
        return replace(self, boxes=self.boxes + np.tile(shift, 2), points=points)

    def mirrored(self, width: int, point_mirror: Sequence[int] = ()) -> Annotation:
        """Return the annotation of the mirror image.

        Args:
            width: of the image, in pixels.
            point_mirror: for each key point, the position of the one that it becomes; none change places if empty.
        """
        boxes, points = self.boxes.copy(), self.points.copy()
        boxes[:, [0, 2]] = width - self.boxes[:, [2, 0]]
        points[..., 0] = np.where(points[..., 2] > 0, width - points[..., 0], 0)
        if points.size and len(point_mirror):
            points = points[:, list(point_mirror)]
        mask = None if self.mask is None else np.ascontiguousarray(self.mask[:, ::-1])
        return replace(self, boxes=boxes, points=points, mask=mask)

    def resized(self, size: tuple[int, int], to: tuple[int, int]) -> Annotation:
        """Return the annotation of the image at another size.

        Args:
            size: height and width of the image.
            to: height and width that it is resized to.
        """
        down, across = to[0] / size[0], to[1] / size[1]
        mask = self.mask
        if mask is not None:
            rows, columns = (np.arange(n) * m // n for n, m in zip(to, mask.shape, strict=True))
            mask = mask[np.ix_(rows, columns)]
        return Annotation(
            classes=self.classes,
            boxes=self.boxes * (across, down, across, down),
            crowd=self.crowd,
            points=self.points * (across, down, 1.0),
            mask=mask,
        )


@runtime_checkable
class AnnotatedSource(Protocol):
    """A source whose images have annotations: a `Source` and more.

    The label text of an image names the classes that are on it, joined by "|": "" for an image with no object.

    Attributes:
        name: as that of a `Source`.
        location: likewise.
        annotated: the kinds of annotations that it has, of `BOXES`, `MASKS` and `POINTS`; the first is what it is for.
        names: of the classes of objects; of a source of masks alone, those of the classes of pixels.
        mask_names: of the classes of pixels: where they come from objects, "background" before `names`; empty without
            masks.
        point_names: of the key points of an object; empty without key points.
        point_mirror: for each key point, the position of the one that it becomes in a mirrored image.
        limbs: pairs of key points that a line joins where they are drawn.
    """

    name: str
    location: str
    annotated: tuple[str, ...]
    names: tuple[str, ...]
    mask_names: tuple[str, ...]
    point_names: tuple[str, ...]
    point_mirror: tuple[int, ...]
    limbs: tuple[tuple[int, int], ...]

    def listing(self) -> Listing:
        """Return all rows; no image is decoded, and no annotation repaired."""

    def read(self, row: int, path: str) -> bytes | NDArray[np.uint8]:
        """Return one image, as `Source.read` does."""

    def checked(self, listing: Listing, facts: ImageFacts) -> Listing:
        """Repair the annotations by the sizes of their images, and return the listing with their labels and notes.

        The scan calls this once it has decoded the images. Rows keep their numbers.
        """

    def annotation(self, row: int, *, masks: bool = True) -> Annotation:
        """Return the annotation of an image, in pixels of the upright image.

        Args:
            row: of the listing.
            masks: include the mask; False saves the time of reading or filling it.

        Raises:
            DecodeError: its mask can no longer be read.
        """
