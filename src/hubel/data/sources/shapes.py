"""Built-in images with everything marked: digits and geometric figures on canvases, each with its exact annotation.

`shapes` is the usual set, and `shapes:size=128,noise=0.2` one with other settings. Every image is a function of
`(seed, number)` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.random import bits, uniform
from hubel.data.annotation import BOXES, MASKS, POINTS, Annotation, ImageFacts
from hubel.data.sources.builtin import read_digits
from hubel.data.sources.figures import FIGURES, INSIDE, Inside, Plane
from hubel.data.sources.kind import SourceKind
from hubel.data.sources.listing import Listing, ListingBuilder, natural_key
from hubel.data.sources.objects import mirrored_points

__all__ = ["FIGURES", "KIND", "SHAPES", "Shapes", "ShapesSource", "draw_shapes"]

#: The name of the built-in dataset.
SHAPES = "shapes"
_POINTS = ("top", "right", "bottom", "left")
_PLACES = np.array([(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)])  # of the key points, in an object's own square
_LIMBS = ((0, 2), (1, 3))
_MOST_PIXELS = 2**30
_TRIES = 20  # at a place for an object
_FINE = 3  # points across a pixel, for smooth edges


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """Settings of the images: how many there are, and how difficult.

    Attributes:
        size: height and width in pixels.
        count: number of images.
        objects: the most on one image; from 1 on, and none on every twentieth image.
        smallest: side of the smallest object, as a share of the size.
        largest: likewise of the largest.
        digits: share of the objects that are handwritten digits; the others are geometric figures.
        rotate: the largest rotation either way, in degrees.
        overlap: the share of an object's box that a later one may cover, 0 to 1.
        clutter: strokes in the background.
        noise: standard deviation of the noise, as a share of the range from black to white.
        seed: another seed draws other images.
    """

    size: int = 96
    count: int = 1000
    objects: int = 4
    smallest: float = 0.2
    largest: float = 0.4
    digits: float = 0.0
    rotate: float = 15.0
    overlap: float = 0.0
    clutter: int = 4
    noise: float = 0.03
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = {
            "size": (16, 1024), "count": (2, 1_000_000), "objects": (1, 100), "smallest": (0.05, 0.9),
            "largest": (0.05, 0.9), "digits": (0, 1), "rotate": (0, 45), "overlap": (0, 1), "clutter": (0, 100),
            "noise": (0, 0.5), "seed": (0, 2**62),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise OptionError(f"the images of shapes take a {name} from {low} to {high}, not {value}")
        if self.smallest > self.largest:
            raise OptionError(f"the smallest object ({self.smallest}) is larger than the largest ({self.largest})")
        if self.count * self.size**2 > _MOST_PIXELS:
            raise OptionError(f"{self.count:,} images of {self.size}x{self.size} pixels are more than memory holds")

    @classmethod
    def parse(cls, text: str) -> Shapes:
        """Read settings such as "size=128,noise=0.2"; those that are not named are the usual ones.

        Raises:
            UnknownNameError: there is no such setting.
            OptionError: a value is no number, or out of range.
        """
        usual = {one.name: one.default for one in fields(cls)}
        found: dict[str, Any] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, sign, value = (piece.strip() for piece in part.partition("="))
            if name not in usual:
                raise UnknownNameError("setting of the images of shapes", name, usual)
            whole = isinstance(usual[name], int)
            try:
                found[name] = int(value) if whole else float(value)
            except ValueError:
                wanted = f"a {'whole ' if whole else ''}number for {name}, not {value if sign else part!r}"
                raise OptionError(f"the images of shapes take {wanted}") from None
        return cls(**found)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the classes that may occur."""
        figures = FIGURES if self.digits < 1 else ()
        return (*figures, *(map(str, range(10)) if self.digits > 0 else ()))


@cache
def _digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return scikit-learn's handwritten digits, 0 to 1 with a border of zeros, and their classes."""
    images, classes = read_digits()
    return np.pad(images / 16, ((0, 0), (1, 1), (1, 1))), classes


def _digit_at(image: NDArray[np.float64], x: Plane, y: Plane) -> NDArray[np.bool_]:
    """Return where a digit is darker than half, between its 8x8 pixels, at positions from -1 to 1."""
    column, row = (np.clip((value + 1) * 4 + 0.5, 0, 8.999) for value in (x, y))
    j, i = column.astype(np.int64), row.astype(np.int64)
    u, v = column - j, row - i
    upper = image[i, j] * (1 - u) + image[i, j + 1] * u
    lower = image[i + 1, j] * (1 - u) + image[i + 1, j + 1] * u
    return np.asarray((upper * (1 - v) + lower * v > 0.4) & (np.maximum(abs(x), abs(y)) <= 1))


def draw_shapes(spec: Shapes, number: int) -> tuple[NDArray[np.uint8], Annotation]:
    """Draw one image, uint8 `(size, size, 3)`, and return it with its annotation.

    A pixel belongs to an object if its centre lies in it, and to the last one that is drawn there. A box is that of all
    pixels of its object, those included that a later one covers.
    """
    size = spec.size
    image = _ground(spec, number)
    mask = np.zeros((size, size), np.uint8)
    some, many = uniform(spec.seed, number, np.arange(2)).tolist()
    n = 0 if some < 0.05 else 1 + int(many * spec.objects)
    draws = uniform(spec.seed, number, 2, np.arange(n)[:, None], np.arange(7 + 2 * _TRIES)).tolist()
    boxes: list[tuple[float, ...]] = []
    classes: list[int] = []
    points: list[NDArray[np.float64]] = []
    for side, angle, kind, which, red, green, blue, *places in draws:
        half = size * (spec.smallest + (spec.largest - spec.smallest) * side) / 2
        turn = np.radians((2 * angle - 1) * spec.rotate)
        name, inside = _object(spec, kind, which)
        reach = half * (abs(np.cos(turn)) + abs(np.sin(turn)))
        for place in zip(places[::2], places[1::2], strict=True):
            x, y = (reach + (size - 2 * reach) * share for share in place)
            low, high = np.floor([x - reach, y - reach]).astype(int), np.ceil([x + reach, y + reach]).astype(int)
            if reach < size / 2 and all(_share(box, (*low, *high)) <= spec.overlap for box in boxes):
                break
        else:
            continue

        def own(fine: int) -> tuple[Plane, Plane]:
            """Return the positions of the window's pixels in the object's own square, -1 to 1."""
            across = (np.arange((high[0] - low[0]) * fine) + 0.5) / fine + low[0] - x  # noqa: B023
            down = (np.arange((high[1] - low[1]) * fine) + 0.5)[:, None] / fine + low[1] - y  # noqa: B023
            cos, sin = np.cos(turn) / half, np.sin(turn) / half  # noqa: B023
            return across * cos + down * sin, down * cos - across * sin

        covered = inside(*own(1))
        if not covered.any():
            continue
        rows, columns = np.nonzero(covered)
        boxes.append((low[0] + columns.min(), low[1] + rows.min(), low[0] + columns.max() + 1, low[1] + rows.max() + 1))
        classes.append(spec.names.index(name))
        turned = _PLACES @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        points.append(np.concatenate([turned * half + (x, y), np.full((len(_PLACES), 1), 2.0)], 1))
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        mask[window][covered] = classes[-1] + 1
        fine = inside(*own(_FINE)).reshape(covered.shape[0], _FINE, covered.shape[1], _FINE).mean((1, 3))[..., None]
        colour = _colour(image[window].mean((0, 1)), red, green, blue)
        image[window] = image[window] * (1 - fine) + colour * fine
    pixel = np.arange(size * size * 3).reshape(size, size, 3)
    if spec.noise:  # the sum of four uniform numbers, 16 bits of a word each, is nearly normal, and the same everywhere
        words = bits(spec.seed, number, 9, pixel)
        noise = np.sum(words[..., None].view(np.uint16), axis=-1, dtype=np.float64) / 65_536 - 2
        image = image + noise * (spec.noise * 255 * np.sqrt(3))
    annotation = Annotation(
        classes=np.array(classes, np.int64),
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        crowd=np.zeros(len(boxes), np.bool_),
        points=np.array(points, np.float64).reshape(len(boxes), len(_PLACES), 3),
        mask=mask,
    )
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), annotation


def _object(spec: Shapes, kind: float, which: float) -> tuple[str, Inside]:
    """Return the name of an object and its inside, by two draws."""
    if kind < spec.digits:
        images, targets = _digits()
        at = int(which * len(images))
        return str(targets[at]), lambda x, y: _digit_at(images[at], x, y)
    name = FIGURES[int(which * len(FIGURES))]
    return name, INSIDE[name]


def _share(box: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return the share of a box that another covers."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(0.0, width) * max(0.0, height) / ((box[2] - box[0]) * (box[3] - box[1]))


def _ground(spec: Shapes, number: int) -> NDArray[np.float64]:
    """Return the background: a slanting course of colour, and strokes."""
    size = spec.size
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    ends = 60 + 140 * uniform(spec.seed, number, 10, np.arange(6)).reshape(2, 3)
    angle = 2 * np.pi * float(uniform(spec.seed, number, 11))
    course = (0.5 + ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)) / 1.5)[..., None]
    image = ends[0] * (1 - course) + ends[1] * course
    for i in range(spec.clutter):
        draws = uniform(spec.seed, number, 12, i, np.arange(8))
        start, end = draws[:2], draws[:2] + (draws[2:4] - 0.5) * 0.8
        along = end - start
        t = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(along @ along, 1e-9), 0, 1)
        near = np.hypot(x - start[0] - t * along[0], y - start[1] - t * along[1]) < (0.5 + draws[4]) / 96
        image[near] = 40 + 170 * draws[5:8]
    return np.asarray(image)


def _colour(ground: NDArray[np.float64], *draws: float) -> NDArray[np.float64]:
    """Return a colour far from that of the ground: 90 grey levels or more brighter or darker."""
    wanted = 255 * np.array(draws)
    far = np.where(ground.mean() > 128, wanted * 0.3, 255 - wanted * 0.3)
    apart = float(far.mean() - ground.mean())
    return np.asarray(far + np.sign(apart) * max(0.0, 90 - abs(apart)))


class ShapesSource:
    """The images of shapes, each drawn once.

    Args:
        spec: their settings.
    """

    def __init__(self, spec: Shapes | None = None) -> None:
        self.spec = spec or Shapes()
        self.name, self.location = SHAPES, ""
        self.annotated = (BOXES, MASKS, POINTS)
        self.names = self.spec.names
        self.mask_names = ("background", *self.names)
        self.point_names, self.point_mirror, self.limbs = _POINTS, mirrored_points(_POINTS), _LIMBS
        self._drawn: dict[int, tuple[NDArray[np.uint8], Annotation]] = {}

    def _image(self, row: int) -> tuple[NDArray[np.uint8], Annotation]:
        if row not in self._drawn:
            self._drawn[row] = draw_shapes(self.spec, row)
        return self._drawn[row]

    def listing(self) -> Listing:
        """Return one row an image; the labels follow with `checked`, once the images are drawn."""
        rows = ListingBuilder()
        for row in range(self.spec.count):
            rows.add(f"{row:06d}", "")
        return rows.build()

    def read(self, row: int, path: str) -> NDArray[np.uint8]:
        """Return the pixels of one image."""
        return self._image(row)[0]

    def checked(self, listing: Listing, facts: ImageFacts) -> Listing:
        """Return the listing with the labels; see `AnnotatedSource`."""
        rows = ListingBuilder()
        for row in range(self.spec.count):
            present = {self.names[i] for i in self._image(row)[1].classes.tolist()}
            rows.add(f"{row:06d}", "|".join(sorted(present, key=natural_key)))
        return rows.build()

    def annotation(self, row: int, *, masks: bool = True) -> Annotation:
        """Return the annotation of an image; see `AnnotatedSource`."""
        found = self._image(row)[1]
        return found if masks else replace(found, mask=None)


def _open(text: str) -> ShapesSource:
    return ShapesSource(Shapes.parse(text.partition(":")[2]))


KIND = SourceKind(
    name=f"the built-in dataset {SHAPES}, or {SHAPES}:SETTING=NUMBER,...",
    recognises=lambda request: (
        isinstance(request.data, str | Path)
        and str(request.data).partition(":")[0] == SHAPES
        and not request.path.exists()
    ),
    open=lambda request: _open(str(request.data)),
    multi_label=True,
)
