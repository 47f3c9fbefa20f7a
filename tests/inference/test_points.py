"""Decoding of heat maps into key points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.data.preprocess import Preprocess
from hubel.inference.point_decoding import annotate_points, heat_map_stride, network_points, with_visibility


def _gaussians(points: np.ndarray, rows: int, columns: int, stride: int, sigma: float) -> np.ndarray:
    """Return logarithms of Gaussians around points in pixels, whatever their height."""
    y, x = (np.mgrid[:rows, :columns] + 0.5) * stride
    squared = (x - points[:, 0, None, None]) ** 2 + (y - points[:, 1, None, None]) ** 2
    return (3.0 - squared / (2 * (sigma * stride) ** 2)).astype(np.float32)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(4, 12), st.integers(4, 12), st.sampled_from([2, 4, 8]), st.floats(0.6, 3), st.floats(0, 1),
    st.floats(0, 1), st.integers(1, 3),
)  # fmt: skip
def test_the_centre_of_a_gaussian_is_found_exactly(
    rows: int, columns: int, stride: int, sigma: float, right: float, down: float, number: int
) -> None:
    # From the middle of the first cell but one on: of the cells at the edges, one neighbour is missing.
    x, y = (stride * (1.5 + share * (cells - 3)) for share, cells in ((right, columns), (down, rows)))
    wanted = np.array([[x, y]] * number)
    found = network_points(_gaussians(wanted, rows, columns, stride, sigma), rows * stride, columns * stride)
    np.testing.assert_allclose(found[:, :2], wanted, atol=2e-3 * stride)
    assert ((found[:, 2] > 0) & (found[:, 2] <= 1)).all()


def test_the_score_is_the_probability_around_the_point() -> None:
    logits = np.zeros((2, 16, 16), np.float32)
    logits[0, 0, 0] = 50
    found = network_points(logits, 64, 64)
    assert found[0].tolist() == pytest.approx([2, 2, 1])
    assert found[1, 2] == pytest.approx(9 / 256)  # of a flat map the first cell, which is in a corner


@pytest.mark.parametrize(("side", "cells", "stride"), [(64, 16, 4), (33, 16, 4), (100, 32, 4), (32, 32, 1), (7, 8, 1)])
def test_the_stride_is_the_least_power_of_two_that_covers_the_input(side: int, cells: int, stride: int) -> None:
    assert heat_map_stride(side, cells) == stride


@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
def test_points_are_in_pixels_of_the_image(resize: str) -> None:
    preprocess = Preprocess(64, 64, resize=resize)  # type: ignore[arg-type]
    inputs = np.array([[20.0, 30.0], [40.0, 36.0]])
    annotation, scores = annotate_points(_gaussians(inputs, 16, 16, 4, 1.0), preprocess, (100, 200))
    if resize == "squash":
        wanted = inputs * (200 / 64, 100 / 64)
    elif resize == "pad":
        wanted = (inputs - (0, 16)) * (200 / 64)
    else:
        wanted = (inputs - (-32, 0)) * (100 / 64)
    np.testing.assert_allclose(annotation.points[0, :, :2], wanted, atol=0.02)
    np.testing.assert_allclose(annotation.boxes[0], [*wanted.min(0), *wanted.max(0)], atol=0.02)
    assert scores == pytest.approx(annotation.points[0, :, 2].mean())
    assert annotation.classes.tolist() == [0]


def test_points_stay_in_the_image() -> None:
    logits = _gaussians(np.array([[2.0, 2.0], [62.0, 62.0]]), 16, 16, 4, 1.0)
    annotation, _ = annotate_points(logits, Preprocess(64, 64, resize="pad"), (32, 64))
    assert annotation.points[0, :, :2].tolist() == [pytest.approx([2, 0], abs=0.01), pytest.approx([62, 32], abs=0.01)]


def test_unsure_points_count_as_hidden() -> None:
    annotation, _ = annotate_points(np.zeros((3, 8, 8), np.float32), Preprocess(32, 32), (32, 32))
    assert with_visibility(annotation).points[0, :, 2].tolist() == [1, 1, 1]
