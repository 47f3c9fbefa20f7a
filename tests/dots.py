"""A small source of images with key points: a red, a green and a blue dot on noise, which lines join."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import BOXES, POINTS, Annotation, ImageFacts
from hubel.data.sources.listing import Listing, ListingBuilder

SIDE = 64
_RADIUS = 4


class Dots:
    """`n` images of 64x64 pixels, each with one object of three points; every fifth has no green point, one has none.

    Beside the object there is a smaller one without points, which does not count.
    """

    annotated = (POINTS, BOXES)
    names: tuple[str, ...] = ("figure",)
    mask_names: tuple[str, ...] = ()
    point_names: tuple[str, ...] = ("red", "green", "blue")
    point_mirror: tuple[int, ...] = (0, 1, 2)
    limbs: tuple[tuple[int, int], ...] = ((0, 1), (1, 2))

    def __init__(self, n: int = 12, seed: int = 0) -> None:
        self.name, self.location, self.n, self.seed = "dots", "", n, seed

    def listing(self) -> Listing:
        rows = ListingBuilder()
        for row in range(self.n):
            rows.add(f"{row:03}.png", "figure" if row != 3 else "")
        return rows.build()

    def read(self, row: int, path: str) -> NDArray[np.uint8]:
        pixels = np.random.default_rng((self.seed, row, 1)).integers(100, 156, (SIDE, SIDE, 3), np.uint8)
        y, x = np.mgrid[:SIDE, :SIDE] + 0.5
        for one in self.annotation(row).points[:1]:
            for channel, (left, top, visible) in enumerate(one):
                if visible:
                    pixels[np.hypot(x - left, y - top) <= _RADIUS] = 255 * np.eye(3, dtype=np.uint8)[channel]
        return pixels

    def checked(self, listing: Listing, facts: ImageFacts) -> Listing:
        return listing

    def annotation(self, row: int, *, masks: bool = True) -> Annotation:
        if row == 3:
            return Annotation(points=np.zeros((0, 3, 3)))
        random = np.random.default_rng((self.seed, row, 2))
        centre, angle = random.uniform(22, 42, 2), random.uniform(0, 2 * np.pi)
        turned = np.array([(-16, 0), (0, 0), (16, 0)]) @ [
            (np.cos(angle), np.sin(angle)),
            (-np.sin(angle), np.cos(angle)),
        ]
        points = np.concatenate([turned + centre, np.full((3, 1), 2.0)], 1)
        if row % 5 == 4:
            points[1] = 0
        given = points[points[:, 2] > 0, :2]
        box = np.concatenate([given.min(0) - 4, given.max(0) + 4])
        return Annotation(
            classes=np.zeros(2, np.int64),
            boxes=np.array([box, [1, 1, 5, 5]]),
            crowd=np.zeros(2, np.bool_),
            points=np.stack([points, np.zeros((3, 3))]),
        )
