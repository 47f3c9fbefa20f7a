"""Metrics of key points: average precision by object key point similarity, and the share of correct key points."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import DataError
from hubel.data.annotation import Annotation
from hubel.inference.box_overlap import box_areas
from hubel.inference.detections import Detections
from hubel.metrics.average_precision import Rules

__all__ = [
    "COCO_SIGMAS",
    "correct_points",
    "point_rules",
    "point_sigmas",
    "point_similarity",
    "share_correct",
    "torso_diagonals",
    "torso_of",
]

#: Standard deviation of each of the 17 key points of COCO that annotators give, in roots of an object's area.
COCO_SIGMAS = (
    np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000  # nose, eyes, ..., ankles
)
_SIGMAS = {"nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062} | {
    "hip": 0.107, "knee": 0.087, "ankle": 0.089
}  # fmt: skip
_USUAL = 0.07  # about the mean of COCO's


def point_rules(sigmas: ArrayLike) -> Rules:
    """Return the rules of average precision for key points, which `measure_detections` takes.

    Objects without a key point are ignored, and 20 detections of an image count, as `pycocotools` has it.

    Args:
        sigmas: standard deviation of each key point, in roots of an object's area; `COCO_SIGMAS` for those of COCO.
    """
    return Rules(partial(point_similarity, sigmas=np.asarray(sigmas, np.float64)), _pointless, most=20)


def _pointless(truth: Annotation) -> NDArray[np.bool_]:
    given = (truth.points[..., 2] > 0).any(-1) if len(truth.points) else np.zeros(len(truth.classes), bool)
    return np.asarray(truth.crowd | ~given)


def point_similarity(found: Detections, truth: Annotation, sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return object key point similarity (OKS) of detections and objects, 0 to 1, `(k, m)`.

    OKS = mean of exp(-d_i² / (2 s² k_i²)) over the given key points, where d_i is the distance in pixels, s² the area
    of the object's box and k_i = 2 sigma_i (cocodataset.org, "Keypoint evaluation"; COCO has s² of the object's
    outline where there is one). For an object without a key point, distances are those to twice its box's sides.
    """
    if not len(found.points) or not len(truth.points):
        return np.zeros((len(found), len(truth.classes)))
    if found.points.shape[1] != len(sigmas) or truth.points.shape[1] != len(sigmas):
        shown = f"{found.points.shape[1]} found and {truth.points.shape[1]} true"
        raise DataError(f"{len(sigmas)} sigmas belong to {len(sigmas)} key points, not to {shown} ones")
    given = truth.points[..., 2] > 0
    some = np.asarray(given.any(1))[:, None]
    mine, theirs = found.points[:, None, :, :2], truth.points[None, :, :, :2]
    corners = truth.boxes.reshape(-1, 2, 2)
    sides = np.maximum(corners[:, 1] - corners[:, 0], 0)
    low, high = (corners[:, 0] - sides)[:, None], (corners[:, 0] + 2 * sides)[:, None]
    beyond = np.maximum(low - mine, 0) + np.maximum(mine - high, 0)
    offsets = np.where(some[..., None], mine - theirs, beyond)
    scale = box_areas(truth.boxes)[:, None] + np.spacing(1)
    likeness = np.exp(-(offsets**2).sum(-1) / (2 * (2 * sigmas) ** 2 * scale))
    counted = given | ~some
    return np.asarray((likeness * counted).sum(-1) / counted.sum(-1))


def correct_points(found: ArrayLike, truth: ArrayLike, scale: ArrayLike, *, alpha: float = 0.2) -> NDArray[np.float64]:
    """Return which key points are within alpha times a scale of the truth, 1 or 0, `(n, j)`; NaN where none is given.

    PCK@a of Yang & Ramanan 2013, "Articulated human detection with flexible mixtures of parts", Section 6.2; with the
    diagonal of the torso as the scale, it is the "percentage of detected joints" of Sapp & Taskar 2013, Section 5.

    Args:
        found: key points x, y of n people, `(n, j, 2 or more)`.
        truth: x, y and visibility, `(n, j, 3)`.
        scale: of each person, in pixels, `(n,)`; a person of no scale has no correct key point.
        alpha: share of the scale.
    """
    mine, theirs, sizes = np.asarray(found, np.float64), np.asarray(truth, np.float64), np.asarray(scale, np.float64)
    distances = np.hypot(*np.moveaxis(mine[..., :2] - theirs[..., :2], -1, 0))
    right = (distances <= alpha * sizes[:, None]) & (sizes[:, None] > 0)
    return np.where(theirs[..., 2] > 0, right, np.nan)


def share_correct(correct: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return the share of correct key points over all, and of each, `(j,)`; NaN where none is given.

    Args:
        correct: as `correct_points` returns it.
    """
    given = ~np.isnan(correct)
    hits = np.where(given, correct, 0)
    with np.errstate(invalid="ignore"):
        return float(np.float64(hits.sum()) / given.sum()), hits.sum(0) / given.sum(0)


def torso_diagonals(truth: NDArray[np.float64], shoulder: Sequence[int], hip: Sequence[int]) -> NDArray[np.float64]:
    """Return the mean distance of each person's shoulders to the opposite hips, in pixels, `(n,)`; NaN without any.

    Args:
        truth: x, y and visibility of key points, `(n, j, 3)`.
        shoulder: numbers of the left and the right shoulder.
        hip: numbers of the left and the right hip.
    """
    pairs = [(shoulder[0], hip[1]), (shoulder[1], hip[0])]
    lengths = np.stack([np.hypot(*np.moveaxis(truth[:, a, :2] - truth[:, b, :2], -1, 0)) for a, b in pairs], axis=1)
    given = np.stack([(truth[:, a, 2] > 0) & (truth[:, b, 2] > 0) for a, b in pairs], axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(given, lengths, 0).sum(1) / given.sum(1))


def point_sigmas(names: Sequence[str]) -> NDArray[np.float64]:
    """Return the standard deviation of each key point in roots of an object's area: COCO's by name, 0.07 for others.

    >>> point_sigmas(["left_ankle", "R-Wrist", "neck"]).tolist()
    [0.089, 0.062, 0.07]
    """
    return np.array([next((s for part, s in _SIGMAS.items() if part in name.lower()), _USUAL) for name in names])


def torso_of(names: Sequence[str], mirror: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return the numbers of both shoulders and of both hips, those of one side first; None where one is missing.

    Args:
        names: of the key points.
        mirror: for each one, the number of the one that it becomes in a mirrored image.

    >>> torso_of(["left_hip", "right_hip", "right_shoulder", "left_shoulder"], [1, 0, 3, 2])
    ((2, 3), (1, 0))
    """
    lower = [name.lower() for name in names]
    for i, name in enumerate(lower):
        hip = name.replace("shoulder", "hip")
        if hip != name and hip in lower and mirror[i] != i:
            return (i, mirror[i]), (lower.index(hip), mirror[lower.index(hip)])
    return None
