"""Images of grey noise with bright rectangles, whose boxes are known: a source of boxes in memory."""

from __future__ import annotations

import numpy as np

from hubel.data.annotation import BOXES, Annotation
from hubel.data.sources import ArraySource

__all__ = ["Rectangles"]

SIDE = 96


class Rectangles(ArraySource):
    """Red and blue rectangles, none to two an image.

    Args:
        n: number of images.
        seed: of all that is random.
    """

    annotated = (BOXES,)
    names = ("red", "blue")
    point_names: tuple[str, ...] = ()
    point_mirror: tuple[int, ...] = ()

    def __init__(self, n: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        pixels = rng.integers(90, 130, (n, SIDE, SIDE, 3), dtype=np.uint8)
        self.annotations = []
        for image in pixels:
            boxes, classes = [], []
            for half in rng.permutation(2)[: rng.integers(0, 3)]:  # one above, one below
                width, height = rng.integers(16, 80), rng.integers(16, 46)
                left, top = rng.integers(0, SIDE - width + 1), half * 48 + rng.integers(0, 48 - height + 1)
                number = int(rng.integers(0, 2))
                image[top : top + height, left : left + width] = (220, 40, 40) if number == 0 else (40, 40, 220)
                boxes.append([left, top, left + width, top + height])
                classes.append(number)
            self.annotations.append(
                Annotation(
                    classes=np.array(classes, np.int64),
                    boxes=np.array(boxes, np.float64).reshape(-1, 4),
                    crowd=np.zeros(len(boxes), bool),
                )
            )
        labels = ["|".join(sorted({self.names[c] for c in a.classes})) for a in self.annotations]
        super().__init__(pixels, labels, name="rectangles", multi_label=True)

    def annotation(self, row: int) -> Annotation:
        """Return the boxes of an image."""
        return self.annotations[row]
