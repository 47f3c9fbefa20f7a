"""Numbers of the lesson on kernels against sums written out."""

from __future__ import annotations

import json

import numpy as np

from hubel.teach.course.lesson import lesson_data
from hubel.teach.course.lessons.kernels.lesson import LESSON


def test_numbers() -> None:
    data = lesson_data(LESSON)
    row, kernel = data["row"], data["kernel"]
    assert data["valid"] == [sum(row[i + k] * kernel[k] for k in range(3)) for i in range(3)] == [2, 2, 2]
    padded = [0, *row, 0]
    assert data["same"] == [sum(padded[i + k] * kernel[k] for k in range(3)) for i in range(5)]
    for one in data["kernels"]:
        assert abs(np.sum(one["numbers"]) / one["divisor"] - one["sum"]) < 1e-6
        assert round(one["sum"], 6) == (0 if one["name"] in ("sobel_x", "sobel_y", "laplacian") else 1)


def test_an_upright_edge_is_found_by_the_kernel_across_only() -> None:
    data = lesson_data(LESSON)
    edge = np.array(data["edge"])
    smoothed = edge[:-2] + 2 * edge[1:-1] + edge[2:]  # down
    np.testing.assert_array_equal(data["edge_x"], smoothed[:, 2:] - smoothed[:, :-2])
    assert np.max(data["edge_x"]) == 4 * (edge.max() - edge.min())
    assert not np.any(data["edge_y"])


def test_the_picture_has_what_the_lesson_points_at() -> None:
    """Grain in the meadow, a flat wall, and upright bars in the fence."""
    scene = np.array(lesson_data(LESSON)["scene"], float)
    assert scene.shape == (84, 112, 3)
    assert scene.min() >= 0
    assert scene.max() <= 255
    assert scene[76:, :60].std((0, 1)).min() > 5
    assert scene[61:70, 27:47].std((0, 1)).max() == 0
    fence = np.abs(np.diff(scene[69:72, 75:110].mean(2), axis=1)).sum()
    assert fence > 10 * np.abs(np.diff(scene[69:72, 27:47].mean(2), axis=1)).sum() + 1
    assert len(json.dumps(lesson_data(LESSON))) < 400_000
