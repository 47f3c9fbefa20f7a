"""Thresholds of prediction sets as a model's card keeps them: for any coverage that is asked for later.

`hubel.metrics.prediction_sets` computes them, and says where they come from. Importing this does not import torch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.core.ranges import check_range

__all__ = ["LEVELS", "CoverageTable"]

#: Coverages whose thresholds a card keeps. Of another one, that of the next higher coverage holds: a larger set.
LEVELS = (
    0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85,
    0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98, 0.99, 0.995, 0.999,
)  # fmt: skip

_MOST_LEVELS = 1000  # of a file


@dataclass(frozen=True, kw_only=True)
class CoverageTable:
    """The scores that a class needs at least to be in an image's prediction set.

    Attributes:
        levels: coverages, ascending, above 0 and below 1.
        images: number of calibration images.
        thresholds: scores for the first of the levels, from all calibration images; for the other levels there are too
            few images, so that every class would be in the set.
        class_thresholds: likewise for each class, empty for one that has those of all images; empty where no class has
            its own.

    Raises:
        OptionError: the numbers are no such table.
    """

    levels: tuple[float, ...]
    images: int
    thresholds: tuple[float, ...]
    class_thresholds: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        levels = self.levels
        if not 0 < len(levels) <= _MOST_LEVELS or not all(0 < level < 1 for level in levels) or not _ascend(levels):
            raise OptionError("the levels of coverage are no ascending numbers between 0 and 1")
        if isinstance(self.images, bool) or not isinstance(self.images, int) or self.images < 1:
            raise OptionError(f"a coverage has calibration images, not {self.images!r}")
        for row in (self.thresholds, *self.class_thresholds):
            if (
                len(row) not in (0, len(self.thresholds))
                or len(row) > len(levels)
                or not all(0 <= score <= 1 for score in row)
                or not _ascend(row[::-1])
            ):
                raise OptionError("the thresholds of a coverage are no descending scores from 0 to 1, one for a level")

    def at(self, coverage: float) -> NDArray[np.float64]:
        """Return the lowest score of each class with which it is in a set of this coverage, `(classes,)` or `(1,)`.

        Args:
            coverage: share of the images whose class is to be in the set, 0.5 to 0.999.

        Raises:
            OptionError: it is out of range, or there are too few calibration images for it.
        """
        check_range("coverage", coverage, 0.5, 0.999)
        place = bisect_left(self.levels, coverage)
        if place >= len(self.thresholds):
            most = self.levels[len(self.thresholds) - 1] if self.thresholds else 0
            raise OptionError(
                f"a coverage of {coverage:g} needs more calibration images than this model has, {self.images:,}; "
                f"the most that they allow is {most:g}"
            )
        return np.array([(row or self.thresholds)[place] for row in self.class_thresholds or ((),)])

    def sets(self, scores: NDArray[Any], coverage: float) -> NDArray[np.bool_]:
        """Return whether each class is in the set of each image, `(n, classes)`; arguments and errors as for `at`.

        A set that would be empty has the class with the highest score: by that the coverage can only grow.

        Args:
            scores: of images, `(n, classes)`.
            coverage: see `at`.
        """
        inside = np.asarray(scores >= self.at(coverage))
        empty = np.flatnonzero(~inside.any(1))
        inside[empty, scores[empty].argmax(1)] = True
        return inside

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Create a table from the JSON form of `dataclasses.asdict`.

        Raises:
            TypeError, ValueError, LookupError: the fields are not those of a table.
        """
        rows = {name: tuple(fields[name]) for name in ("levels", "thresholds")}
        return cls(**{**fields, **rows, "class_thresholds": tuple(tuple(row) for row in fields["class_thresholds"])})


def _ascend(numbers: tuple[float, ...]) -> bool:
    return all(one <= other for one, other in pairwise(numbers))
