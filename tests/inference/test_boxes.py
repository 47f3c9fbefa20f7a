"""Overlaps, suppression and decoding of boxes, against loops over pixels and pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hubel.data.preprocess import Preprocess
from hubel.inference.answers import box_rows
from hubel.inference.box_decoding import decode_boxes, network_boxes
from hubel.inference.box_overlap import box_areas, box_iou
from hubel.inference.suppression import suppress

PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


def _boxes(rng: np.random.Generator, n: int, side: int = 12) -> NDArray[np.float64]:
    corners = np.sort(rng.integers(0, side + 1, (n, 2, 2)), axis=1)
    return corners.reshape(n, 4).astype(np.float64)


def _painted(box: NDArray[np.float64], side: int = 12) -> NDArray[np.bool_]:
    pixels = np.zeros((side, side), bool)
    left, top, right, bottom = box.astype(int)
    pixels[top:bottom, left:right] = True
    return pixels


def test_overlaps_are_those_of_painted_pixels() -> None:
    rng = np.random.default_rng(0)
    first, second = _boxes(rng, 20), _boxes(rng, 25)
    crowd = rng.random(25) < 0.3
    assert box_areas(first).tolist() == [_painted(box).sum() for box in first]
    plain, crowded = box_iou(first, second), box_iou(first, second, crowd)
    for i, j in np.ndindex(20, 25):
        a, b = _painted(first[i]), _painted(second[j])
        common, union = (a & b).sum(), (a | b).sum()
        assert plain[i, j] == pytest.approx(common / union if union else 0)
        of_crowd = common / a.sum() if a.any() else 0
        assert crowded[i, j] == pytest.approx(of_crowd if crowd[j] else plain[i, j])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 15), st.sampled_from([0.0, 0.3, 0.6, 1.0]), st.integers(1, 8))
def test_suppression_is_greedy_within_each_class(seed: int, n: int, overlap: float, most: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores, classes = _boxes(rng, n) - 3, rng.integers(0, 5, n) / 4, rng.integers(0, 3, n)
    kept: list[int] = []
    for row in sorted(range(n), key=lambda row: -scores[row]):
        rivals = [k for k in kept if classes[k] == classes[row]]
        if all(box_iou(boxes[[row]], boxes[[k]])[0, 0] <= overlap for k in rivals):
            kept.append(row)
    assert suppress(boxes, scores, classes, overlap=overlap, most=most).tolist() == kept[:most]


def test_a_point_says_box_centerness_and_classes() -> None:
    output = np.full((3, 7), -20.0, np.float32)
    output[0] = [0.1, 0.2, 0.6, 0.7, 1.0, 2.0, -3.0]
    found = network_boxes(output)
    assert found.classes.tolist() == [0, 1]
    assert found.boxes == pytest.approx(np.tile(output[:1, :4], (2, 1)))
    sigmoid = [1 / (1 + np.exp(-x)) for x in (1.0, 2.0, -3.0)]
    assert found.scores == pytest.approx([(sigmoid[0] * sigmoid[1]) ** 0.5, (sigmoid[0] * sigmoid[2]) ** 0.5])
    assert network_boxes(output, least_score=0.5).classes.tolist() == [0]
    assert len(network_boxes(output[1:])) == 0


def test_only_the_surest_thousand_points_are_compared() -> None:
    rng = np.random.default_rng(0)
    corner = rng.random((1500, 2)) * 100
    output = np.concatenate([corner, corner + 1e-3, rng.normal(3, 1, (1500, 2))], axis=1).astype(np.float32)
    found = network_boxes(output)
    assert len(found) == 100
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores[0] == pytest.approx(np.sqrt(np.prod(1 / (1 + np.exp(-output[:, 4:])), axis=1)).max())


@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
def test_boxes_come_back_in_pixels_of_the_image(resize: str) -> None:
    """A rectangle that is painted on an image, and found on the resized one."""
    preprocess = Preprocess(64, 96, 3, resize, **PLAIN)  # type: ignore[arg-type]
    height, width = 300, 200
    image = np.zeros((height, width, 3), np.uint8)
    shown = np.array([50, 130, 150, 170])  # which a crop shows, too
    image[130:170, 50:150] = 255
    share = preprocess.apply(image)[..., 0] / 255  # of each pixel of the input that is painted
    rows, columns = share.max(1), share.max(0)
    corners = []
    for shares in (columns, rows):  # from the sum of the shares: its edges lie between pixels
        middle = (shares * (np.arange(len(shares)) + 0.5)).sum() / shares.sum()
        corners.append((middle - shares.sum() / 2, middle + shares.sum() / 2))
    (left, right), (top, bottom) = corners
    rows = np.array([[left / 96, top / 64, right / 96, bottom / 64, 1, 0]], np.float32)
    found = decode_boxes(rows, preprocess, (height, width))
    assert found.boxes[0] == pytest.approx(shown, abs=2.0)
    assert found.scores[0] == pytest.approx(1)


def test_boxes_are_cut_at_the_edges_of_the_image() -> None:
    preprocess = Preprocess(100, 100, 3, "squash", **PLAIN)
    output = np.array([[-0.5, 0.2, 0.5, 1.7, 20, 20], [1.1, 0.2, 1.4, 0.4, 20, 20]], np.float32)
    assert decode_boxes(box_rows(output), preprocess, (50, 200)).boxes.round(3).tolist() == [[0, 10, 100, 50]]
