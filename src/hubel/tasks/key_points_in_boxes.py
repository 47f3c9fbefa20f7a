"""Key points of objects whose boxes are given: each object is seen by itself, as large as the input."""

from __future__ import annotations

from typing import ClassVar

from hubel.tasks.key_points import KeyPoints

__all__ = ["KeyPointsInBoxes"]


class KeyPointsInBoxes(KeyPoints):
    """The key points of each object in its box, also where each image has one object: it is larger so."""

    name: ClassVar[str] = "key_points_in_boxes"
    summary: ClassVar[str] = "find the key points of each object, cut out of its image by its box; labels are points"
    boxed: ClassVar[bool] = True
