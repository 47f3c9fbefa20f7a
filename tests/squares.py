"""A small source of annotated images: bright and dark squares on noise, with masks and boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import BOXES, IGNORED, MASKS, Annotation, ImageFacts
from hubel.data.sources.listing import Listing, ListingBuilder

SIDE = 32


class Squares:
    """`n` images of 32x32 pixels, each with a bright square (class 1) or a dark one (class 2), or both, or none."""

    annotated = (MASKS, BOXES)
    names = ("background", "bright", "dark")
    point_names: tuple[str, ...] = ()
    point_mirror: tuple[int, ...] = ()
    mask_names = names
    limbs: tuple[tuple[int, int], ...] = ()

    def __init__(self, n: int = 12, seed: int = 0) -> None:
        self.name, self.location, self.n, self.seed = "squares", "", n, seed

    def listing(self) -> Listing:
        rows = ListingBuilder()
        for row in range(self.n):
            found = self.annotation(row).classes
            rows.add(f"{row:03}.png", "|".join(self.names[number] for number in sorted({*found.tolist()})))
        return rows.build()

    def read(self, row: int, path: str) -> NDArray[np.uint8]:
        random = np.random.default_rng((self.seed, row, 1))
        pixels = random.integers(100, 156, (SIDE, SIDE, 3), np.uint8)
        annotation = self.annotation(row)
        for number, box in zip(annotation.classes, annotation.boxes.astype(int), strict=True):
            left, top, right, bottom = box
            pixels[top:bottom, left:right] = 240 if number == 1 else 16
        return pixels

    def checked(self, listing: Listing, facts: ImageFacts) -> Listing:
        return listing

    def annotation(self, row: int, *, masks: bool = True) -> Annotation:
        random = np.random.default_rng((self.seed, row, 2))
        mask, boxes, classes = np.zeros((SIDE, SIDE), np.uint8), [], []
        for number in (1, 2):
            if row % 4 in (0, number):
                side = int(random.integers(8, 14))
                left = int(random.integers(0, SIDE // 2 - side if side < SIDE // 2 else 1)) + (number - 1) * SIDE // 2
                top = int(random.integers(0, SIDE - side))
                mask[top : top + side, left : left + side] = number
                boxes.append((left, top, left + side, top + side))
                classes.append(number)
        mask[:1] = IGNORED
        return Annotation(
            classes=np.array(classes, np.int64),
            boxes=np.array(boxes, np.float64).reshape(-1, 4),
            crowd=np.zeros(len(classes), np.bool_),
            mask=mask,
        )
