"""The key points of an object as a model's card describes them. Importing this does not import torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from hubel.core.errors import OptionError

__all__ = ["Skeleton"]


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """Facts of key points beside their names: what they are on, and where they are in the mean.

    Attributes:
        object: the name of what the points are on, such as "person".
        limbs: pairs of points, by their number, that a line joins where they are drawn.
        crops: the model sees each object by itself, cut out of its image; otherwise whole images.
        mean: x and y of each point, its mean over the training images, in shares of their width and height.

    Raises:
        OptionError: the values are no such description.
    """

    object: str
    limbs: tuple[tuple[int, int], ...]
    crops: bool
    mean: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not isinstance(self.object, str):
            raise OptionError(f"skeleton: object is a text, not {self.object!r:.100}")
        if not isinstance(self.crops, bool):
            raise OptionError(f"skeleton: crops is true or false, not {self.crops!r:.100}")
        if not all(_is_pair(limb) and all(_is_number(i, self.mean) for i in limb) for limb in self.limbs):
            raise OptionError(f"skeleton: limbs are pairs of numbers of {len(self.mean)} points")
        if not all(_is_pair(place) and all(_is_finite(value) for value in place) for place in self.mean):
            raise OptionError("skeleton: mean is a pair of finite numbers for each point")

    @classmethod
    def from_json(cls, values: Any) -> Skeleton:
        """Create a skeleton from the JSON form of its fields.

        Raises:
            OptionError: they are not those of a skeleton.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping) or sorted(values) != sorted(names):
            raise OptionError(f"skeleton is a table of {', '.join(names)}, not {values!r:.100}")
        if not all(isinstance(values[name], list | tuple) for name in ("limbs", "mean")):
            raise OptionError("skeleton: limbs and mean are lists")
        pairs = {
            name: tuple(tuple(one) if _is_pair(one) else one for one in values[name]) for name in ("limbs", "mean")
        }
        return cls(object=values["object"], crops=values["crops"], **pairs)


def _is_pair(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _is_number(value: object, points: Sequence[object]) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(points)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
