"""Metrics of key points against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.core.errors import DataError
from hubel.data.annotation import Annotation
from hubel.inference.detections import Detections
from hubel.metrics.average_precision import measure_detections
from hubel.metrics.keypoints import (
    COCO_SIGMAS,
    correct_points,
    point_rules,
    point_similarity,
    share_correct,
    torso_diagonals,
)


def _person(points: np.ndarray, side: float = 100.0) -> Annotation:
    return Annotation(
        classes=np.array([0]), boxes=np.array([[0, 0, side, side]]), crowd=np.array([False]), points=points[None]
    )


def _pose(points: np.ndarray, score: float = 0.9) -> Detections:
    box = np.concatenate([points[:, :2].min(0), points[:, :2].max(0)])
    return Detections(classes=np.array([0]), scores=np.array([score]), boxes=box[None], points=points[None])


def test_similarity_is_the_mean_of_gaussians_of_the_given_points() -> None:
    rng = np.random.default_rng(0)
    truth = np.concatenate([rng.uniform(0, 100, (17, 2)), rng.integers(0, 3, (17, 1))], axis=1)
    found = truth + np.concatenate([rng.normal(0, 5, (17, 2)), np.zeros((17, 1))], axis=1)
    terms = [
        np.exp(-((fx - tx) ** 2 + (fy - ty) ** 2) / (2 * 100.0**2 * (2 * sigma) ** 2))
        for (tx, ty, seen), (fx, fy, _), sigma in zip(truth, found, COCO_SIGMAS, strict=True)
        if seen
    ]
    assert point_similarity(_pose(found), _person(truth), COCO_SIGMAS)[0, 0] == pytest.approx(np.mean(terms))


def test_people_without_points_are_ignored() -> None:
    points = np.concatenate([np.full((17, 2), 50.0), np.zeros((17, 1))], axis=1)
    metrics = measure_detections([_pose(points)], [_person(points)], ["person"], point_rules(COCO_SIGMAS))
    assert np.isnan(metrics.ap)


def test_a_perfect_pose_has_an_average_precision_of_1() -> None:
    points = np.concatenate([np.arange(34).reshape(17, 2) * 2.0, np.full((17, 1), 2)], axis=1)
    metrics = measure_detections([_pose(points)], [_person(points)], ["person"], point_rules(COCO_SIGMAS))
    assert metrics.ap == 1


def test_another_number_of_points_is_refused() -> None:
    with pytest.raises(DataError, match="3 sigmas belong to 3 key points"):
        point_similarity(_pose(np.ones((17, 3))), _person(np.ones((17, 3))), np.ones(3))


def test_points_are_correct_within_a_share_of_the_torso() -> None:
    truth = np.array([[[0, 0, 2], [30, 40, 1], [5, 5, 0]], [[0, 0, 2], [0, 0, 2], [0, 0, 2]]])
    scale = torso_diagonals(np.array([[[0, 0, 2], [30, 0, 2], [0, 40, 2], [30, 40, 2]]] * 2), (0, 1), (2, 3))
    assert scale.tolist() == [50, 50]
    found = truth[..., :2] + np.array([[[10, 0], [6, 9], [0, 0]], [[0, 0], [8, 8], [7.1, 7.1]]])
    correct = correct_points(found, truth, scale)
    np.testing.assert_array_equal(correct, [[1, 0, np.nan], [1, 0, 0]])
    overall, each = share_correct(correct)
    assert overall == pytest.approx(2 / 5)
    assert each.tolist() == [1, 0, 0]


def test_a_torso_of_one_given_diagonal_and_of_none() -> None:
    points = np.array([[[0, 0, 0], [30, 0, 2], [0, 40, 2], [30, 40, 2]], [[0, 0, 0]] * 4])
    assert torso_diagonals(points, (0, 1), (2, 3))[0] == 50
    nothing = torso_diagonals(points, (0, 1), (2, 3))[1]
    assert np.isnan(nothing)
    assert np.nansum(correct_points(points, points, np.array([nothing, nothing]))) == 0  # no scale, nothing is near
