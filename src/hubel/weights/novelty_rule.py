"""The rule by which a model answers "none of these", as its card states it. Importing this does not import torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from hubel.core.errors import OptionError

__all__ = ["NoveltyRule"]


@dataclass(frozen=True, kw_only=True)
class NoveltyRule:
    """The rule by which an image is unknown: its novelty is above the threshold.

    Attributes:
        reject: share of the images of the known classes that may be above the threshold, above 0 and at most 0.5.
        threshold: of the novelty.
        rank: number of directions of `hubel.nn.novelty.Novelty`, at least 1.
        images: number of images, held out from training, that the threshold was chosen on.

    Raises:
        OptionError: a value is out of range.
    """

    reject: float
    threshold: float
    rank: int
    images: int

    def __post_init__(self) -> None:
        for name in ("reject", "threshold"):
            if not _is_number(getattr(self, name)):
                raise OptionError(f"novelty: {name} is a finite number, not {getattr(self, name)!r}")
        if not 0 < self.reject <= 0.5:
            raise OptionError(f"novelty: reject is above 0 and at most 0.5, not {self.reject!r}")
        for name in ("rank", "images"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
                raise OptionError(f"novelty: {name} is a whole number from 1 on, not {value!r}")

    @classmethod
    def from_json(cls, values: Any) -> NoveltyRule:
        """Create a rule from the JSON form of its fields.

        Raises:
            OptionError: they are not those of a rule.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping) or sorted(values) != sorted(names):
            raise OptionError(f"novelty is a table of {', '.join(names)}, not {values!r:.100}")
        return cls(**values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
