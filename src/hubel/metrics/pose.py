"""Metrics of a model that finds the key points of one object an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.data.annotation import Annotation
from hubel.inference.detections import Detections
from hubel.metrics.average_precision import measure_detections
from hubel.metrics.intervals import Interval, bootstrap, score_interval
from hubel.metrics.keypoints import (
    correct_points,
    point_rules,
    point_sigmas,
    point_similarity,
    share_correct,
    torso_diagonals,
    torso_of,
)

__all__ = ["PoseMetrics", "Scale", "measure_pose", "point_scale"]

_OF_TORSO, _OF_BOX = 0.2, 0.1


@dataclass(frozen=True, eq=False, kw_only=True)
class Scale:
    """The length of each object that distances are compared with.

    Attributes:
        name: "torso", or "box" for key points that are not those of a person.
        alpha: the share of it within which a key point is right.
        lengths: in pixels, `(n,)`; NaN for an object whose length is not known.
    """

    name: str
    alpha: float
    lengths: NDArray[np.float64]

    @property
    def words(self) -> str:
        """The length in words."""
        return "the torso's diagonal" if self.name == "torso" else "the longer side of the box around the points"


def point_scale(truth: NDArray[np.float64], names: Sequence[str], mirror: Sequence[int]) -> Scale:
    """Return the length of each object: the diagonal of a person's torso, or the longer side of the points' box.

    Args:
        truth: x, y and visibility in pixels, `(n, j, 3)`.
        names: of the key points.
        mirror: for each one, the number of the one that it becomes in a mirrored image.
    """
    torso = torso_of(names, mirror)
    if torso is not None:
        return Scale(name="torso", alpha=_OF_TORSO, lengths=torso_diagonals(truth, *torso))
    given = truth[..., 2:] > 0
    low = np.where(given, truth[..., :2], np.inf).min(1)
    high = np.where(given, truth[..., :2], -np.inf).max(1)
    sides = (high - low).max(1)
    return Scale(name="box", alpha=_OF_BOX, lengths=np.where(sides > 0, sides, np.nan))


@dataclass(frozen=True, eq=False, kw_only=True)
class PoseMetrics:
    """Accuracy of the key points that a model finds.

    Attributes:
        names: of the key points.
        scale: name of the length, see `Scale`.
        alpha: share of that length within which a key point is right.
        correct: which ones are right, 1 or 0, `(n, j)`; NaN where none is given.
        baseline: likewise for the mean pose of the training images, put into each image; None where it is unknown.
        similarity: OKS of each object, `(n,)`.
        ap: average precision at OKS of 0.50 to 0.95.
        ap50: likewise at 0.50.
    """

    names: tuple[str, ...]
    scale: str
    alpha: float
    correct: NDArray[np.float64]
    baseline: NDArray[np.float64] | None
    similarity: NDArray[np.float64]
    ap: float
    ap50: float

    @property
    def name(self) -> str:
        """PCK with its share of the length."""
        return f"PCK@{self.alpha:g}"

    @cached_property
    def pck(self) -> float:
        """The share of given key points that are right, 0 to 1."""
        return share_correct(self.correct)[0]

    @cached_property
    def mean_pose(self) -> float | None:
        """PCK of the mean pose of the training images; None where it is unknown."""
        return None if self.baseline is None else share_correct(self.baseline)[0]

    @cached_property
    def by_point(self) -> dict[str, float]:
        """PCK of each key point; NaN for one that is never given."""
        return dict(zip(self.names, share_correct(self.correct)[1].tolist(), strict=True))

    @cached_property
    def by_object(self) -> NDArray[np.float64]:
        """PCK of each object, `(n,)`."""
        return np.asarray(np.nanmean(self.correct, axis=1))

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """The 95 % interval of PCK, over objects."""
        if len(self.correct) < 2:
            return {}
        given = ~np.isnan(self.correct)
        hits, counts = np.where(given, self.correct, 0).sum(1), given.sum(1)
        values = bootstrap(lambda weights: weights @ hits / (weights @ counts), np.ones(len(hits), np.int64))
        return {"pck": score_interval(self.pck, float(values.std()), len(hits))}

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        return {
            "n": len(self.correct),
            "pck": self.pck,
            "pck_mean_pose": self.mean_pose,
            "of": f"{self.alpha:g} {self.scale}",
            "oks_ap": self.ap,
            "oks_ap50": self.ap50,
            "oks": float(self.similarity.mean()),
            "by_point": {name: None if np.isnan(value) else value for name, value in self.by_point.items()},
        }


def measure_pose(
    found: Sequence[Detections],
    truth: Sequence[Annotation],
    names: Sequence[str],
    mirror: Sequence[int],
    baseline: NDArray[np.float64] | None = None,
) -> PoseMetrics:
    """Compare the key points of one object an image with the true ones, in pixels of the image.

    Args:
        found: one object an image.
        truth: likewise; objects of another class count as those of the first.
        names: of the key points.
        mirror: for each one, the number of the one that it becomes in a mirrored image.
        baseline: x and y of the points of another prediction to compare with, `(n, j, 2)`.

    Raises:
        DataError: no object has a length to compare with.
    """
    points = np.concatenate([one.points for one in truth])
    scale = point_scale(points, names, mirror)
    if not np.isfinite(scale.lengths).all():
        raise DataError(f"{scale.words} is not known of every object")
    sigmas = point_sigmas(names)
    mine = np.concatenate([one.points for one in found])
    same = [
        Annotation(classes=np.zeros(1, np.int64), boxes=one.boxes, crowd=one.crowd, points=one.points) for one in truth
    ]
    precision = measure_detections(found, same, ["object"], point_rules(sigmas))
    return PoseMetrics(
        names=tuple(names),
        scale=scale.name,
        alpha=scale.alpha,
        correct=correct_points(mine, points, scale.lengths, alpha=scale.alpha),
        baseline=None if baseline is None else correct_points(baseline, points, scale.lengths, alpha=scale.alpha),
        similarity=np.array(
            [float(point_similarity(one, two, sigmas)[0, 0]) for one, two in zip(found, same, strict=True)]
        ),
        ap=precision.ap,
        ap50=precision.ap50,
    )
