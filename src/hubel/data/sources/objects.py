"""Objects on images as annotation files have them, and their repair once the sizes of the images are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hubel.core.notes import Caution
from hubel.data.annotation import Annotation
from hubel.data.sources.listing import PassedOver

__all__ = ["Flaws", "Frame", "MarkedImage", "MarkedObject", "frame_of", "mirrored_points", "repaired"]

_SMALLEST = 1e-3  # side of a box in pixels; one that is narrower has no area
_OVERHANG = 1.0  # pixels that a box may reach out of its image unmentioned: rounded numbers
_MOST_PIXELS = 2**28  # of an image that an annotation states
_SIDEWAYS = 5  # from this orientation of EXIF on, width and height are swapped


class MarkedObject(NamedTuple):
    """One object, as its file has it.

    Attributes:
        number: of its class.
        box: left, top, right, bottom; None where only a region or points are given.
        place: where it stands, for messages.
        crowd: the box holds a group.
        points: x, y, visibility of its key points, one after the other; None without any.
        region: polygons or run lengths, as `region_mask` takes them; None without one.
    """

    number: int
    box: Sequence[float] | None
    place: str = ""
    crowd: bool = False
    points: Sequence[float] | None = None
    region: Any = None


@dataclass(kw_only=True)
class MarkedImage:
    """One image with its objects, as the files have them.

    Attributes:
        path: of the image for the source and the user.
        split: code of its split.
        stamp: of the file; 0 where there is none.
        reason: why it cannot be read; empty where nothing is known.
        stated: width and height that the annotation says.
        objects: those on it.
        mask: path of the file of its mask; empty without one.
        relative: positions are shares of the sides of the image.
    """

    path: str
    split: int = 0
    stamp: int = 0
    reason: str = ""
    stated: tuple[int, int] | None = None
    objects: list[MarkedObject] = field(default_factory=list)
    mask: str = ""
    relative: bool = False


class Flaws(PassedOver):
    """Flaws of annotations: their number for each kind, with examples of the places."""

    def notes(self) -> list[str]:
        """Return a warning for each kind of flaw."""
        return [Caution(f"{what}: {n:,}{self._shown(what)}") for what, n in self._counts.items()]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The pixels that the positions of an annotation count, and the way to those of the upright image.

    Attributes:
        width: of the image as the annotation sees it.
        height: likewise.
        orientation: of EXIF, if the image is turned and the annotation is not; otherwise 1.
        scale: pixels of the upright image for one of the annotation, across and down.
    """

    width: int
    height: int
    orientation: int = 1
    scale: tuple[float, float] = (1.0, 1.0)

    def moved(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions `(..., 2)` in the upright image."""
        x, y = xy[..., 0], xy[..., 1]
        if self.orientation in (6, 7):  # a quarter turn to the right, or this and a mirror
            x, y = self.height - y, (x if self.orientation == 6 else self.width - x)
        elif self.orientation in (5, 8):
            x, y = y, (x if self.orientation == 5 else self.width - x)
        return np.stack([x * self.scale[0], y * self.scale[1]], -1)

    def moved_mask(self, mask: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        """Return a mask `(h, w)` of the annotation over the upright image of this width and height."""
        if self.orientation >= _SIDEWAYS:
            mask = mask.T
            mask = mask[:, ::-1] if self.orientation in (6, 7) else mask
            mask = mask[::-1] if self.orientation in (7, 8) else mask
        return resized_mask(mask, size)


def resized_mask(mask: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return a mask `(h, w)` at another width and height: each value is that of the nearest pixel."""
    width, height = size
    if mask.shape == (height, width):
        return mask
    row = ((np.arange(height) + 0.5) * (mask.shape[0] / height)).astype(np.int64)
    column = ((np.arange(width) + 0.5) * (mask.shape[1] / width)).astype(np.int64)
    return np.ascontiguousarray(mask[row[:, None], column])


def frame_of(stated: tuple[int, int] | None, size: tuple[int, int], orientation: int) -> tuple[Frame, str]:
    """Return the frame of an annotation that says a size, for an upright image of another, and the flaw in it.

    Args:
        stated: width and height; None if the annotation does not say them.
        size: those of the upright image.
        orientation: of EXIF.
    """
    width, height = size
    if stated is None or stated == size:
        return Frame(width=width, height=height), ""
    if stated == (height, width) and orientation >= _SIDEWAYS:
        return Frame(
            width=height, height=width, orientation=orientation
        ), "images that are annotated lying on their side; their annotations are turned as the camera says"
    alike = stated[0] * stated[1] <= _MOST_PIXELS and min(stated) > 0
    if alike and abs(stated[0] * height - stated[1] * width) <= max(*stated, *size):
        scale = width / stated[0], height / stated[1]
        return Frame(
            width=stated[0], height=stated[1], scale=scale
        ), "images of another size than their annotations say; these are scaled to it"
    return Frame(
        width=width, height=height
    ), "images of another shape than their annotations say; positions are taken as pixels of the image"


def repaired(
    image: MarkedImage, frame: Frame, size: tuple[int, int], joints: int, flaws: Flaws
) -> tuple[Annotation, list[Any]]:
    """Return what is marked on an image, without flaws, and the region of each object that is kept.

    Args:
        image: as the files have it.
        frame: of its annotation.
        size: width and height of the upright image.
        joints: key points of an object.
        flaws: counts what is repaired and left out.
    """
    kept: list[tuple[MarkedObject, list[float]]] = []
    points: list[NDArray[np.float64]] = []
    seen = set()
    scale = np.array(size if image.relative else (1.0, 1.0), np.float64)
    for one in image.objects:
        place = one.place or image.path
        joint = _points(one.points, scale, frame, size, joints, place, flaws)
        given = one.box if one.box is not None else _box_around(one, joints)
        box = None if given is None else _box(given, scale, frame, size, place, flaws)
        if given is None:
            flaws("objects without a box, which are left out", place)
        if box is None:
            continue
        key = (one.number, one.crowd, *box, *joint.ravel().tolist())
        if key in seen:
            flaws("objects that are there twice, which count once", place)
            continue
        seen.add(key)
        kept.append((one, box))
        points.append(joint)
    return Annotation(
        classes=np.array([one.number for one, _ in kept], np.int64),
        boxes=np.array([box for _, box in kept], np.float64).reshape(-1, 4),
        crowd=np.array([one.crowd for one, _ in kept], np.bool_),
        points=np.array(points, np.float64).reshape(len(kept), joints, 3),
    ), [one.region for one, _ in kept]


def _box(
    given: Sequence[float], scale: NDArray[np.float64], frame: Frame, size: tuple[int, int], place: str, flaws: Flaws
) -> list[float] | None:
    """Return a box in pixels of the upright image, or None where it is left out."""
    if len(given) != 4 or not all(map(math.isfinite, given)):
        flaws("boxes without four numbers, which are left out", place)
        return None
    corners = frame.moved(np.array(given, np.float64).reshape(2, 2) * scale)
    (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
    if right - left < _SMALLEST or bottom - top < _SMALLEST:
        flaws("boxes without area, which are left out", place)
        return None
    if given[0] > given[2] or given[1] > given[3]:
        flaws("boxes with swapped corners, which are put right", place)
    width, height = size
    cut = [max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))]
    if cut[2] - cut[0] < _SMALLEST or cut[3] - cut[1] < _SMALLEST:
        flaws("boxes outside of their image, which are left out", place)
        return None
    if max(-left, -top, right - width, bottom - height) > _OVERHANG:
        flaws("boxes that reach out of their image, which are cut at its edge", place)
    return cut


def _points(
    given: Sequence[float] | None,
    scale: NDArray[np.float64],
    frame: Frame,
    size: tuple[int, int],
    joints: int,
    place: str,
    flaws: Flaws,
) -> NDArray[np.float64]:
    """Return key points `(joints, 3)` in pixels of the upright image; zeros for those that are not given."""
    out = np.zeros((joints, 3))
    if given is None or not joints:
        return out
    if len(given) != 3 * joints or not all(map(math.isfinite, given)):
        flaws(f"objects with other than {joints} key points of x, y and visibility, which count as not given", place)
        return out
    out[:] = np.array(given, np.float64).reshape(joints, 3)
    out[:, :2] = frame.moved(out[:, :2] * scale)
    out[:, 2] = np.clip(np.rint(out[:, 2]), 0, 2)
    beyond = (out[:, :2] < -_OVERHANG) | (out[:, :2] > np.array(size) + _OVERHANG)
    outside = beyond.any(1) & (out[:, 2] > 0)
    if outside.any():
        flaws("key points outside of their image, which count as not given", place, int(outside.sum()))
    out[outside | (out[:, 2] == 0)] = 0
    out[:, :2] = np.clip(out[:, :2], 0, size)
    return out


def _box_around(one: MarkedObject, joints: int) -> list[float] | None:
    """Return the box around the polygons of an object, or around its key points; None where there are neither."""
    corners: list[Sequence[float]] = []
    if isinstance(one.region, list):
        parts = one.region if one.region and isinstance(one.region[0], list | tuple) else [one.region]
        corners = [part[i : i + 2] for part in parts for i in range(0, len(part) - 1, 2)]
    elif one.points is not None and len(one.points) == 3 * joints:
        corners = [one.points[i : i + 2] for i in range(0, 3 * joints, 3) if one.points[i + 2] > 0]
    if not corners:
        return None
    xs, ys = zip(*corners, strict=True)
    return [min(xs), min(ys), max(xs), max(ys)]


_SIDES = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"), ("l", "r"), ("L", "R"))


def mirrored_points(names: Sequence[str]) -> tuple[int, ...]:
    """Return, for each key point, the position of the one that it becomes in a mirrored image, by their names.

    >>> mirrored_points(["nose", "left_eye", "right_eye", "l-ear", "r-ear"])
    (0, 2, 1, 4, 3)
    """
    known = {name: i for i, name in enumerate(names)}
    return tuple(
        next((known[other] for other in _other_side(name) if other in known and other != name), i)
        for i, name in enumerate(names)
    )


def _other_side(name: str) -> list[str]:
    """Return the names that a key point may have on the other side."""
    found = []
    for one, other in (*_SIDES, *((b, a) for a, b in _SIDES)):
        if len(one) > 1:
            found.append(name.replace(one, other))
            continue
        for mark in "_- .":
            if name.startswith(one + mark):
                found.append(other + name[1:])
            if name.endswith(mark + one):
                found.append(name[:-1] + other)
    return found
