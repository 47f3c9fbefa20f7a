"""Metrics of segmentation against scikit-learn, SciPy's distances, and masks that are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score

from hubel.core.errors import DataError
from hubel.metrics.segmentation import boundary_f1, measure_segmentation, pixel_confusion, segmentation_intervals

CLASSES = 4


def _masks(seed: int, shape: tuple[int, int] = (30, 40)) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return smooth random masks; the truth has a corner that is ignored."""
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(rng.normal(size=(CLASSES, *shape)), (0, 3, 3))
    truth = fields.argmax(0).astype(np.uint8)
    found = (fields + 0.05 * ndimage.gaussian_filter(rng.normal(size=fields.shape), (0, 1, 1))).argmax(0)
    truth[:5, :7] = 255
    return found.astype(np.uint8), truth


def test_equals_scikit_learn_over_all_images() -> None:
    pairs = [_masks(seed) for seed in range(5)]
    metrics = measure_segmentation(np.stack([pixel_confusion(*pair, CLASSES) for pair in pairs]), list("abcd"))
    flat = [np.concatenate([mask.ravel() for mask in masks]) for masks in zip(*pairs, strict=True)]
    found, truth = (values[flat[1] != 255] for values in flat)
    np.testing.assert_array_equal(metrics.confusion, confusion_matrix(truth, found, labels=range(CLASSES)))
    np.testing.assert_allclose(metrics.iou, jaccard_score(truth, found, average=None))
    assert metrics.mean_iou == pytest.approx(jaccard_score(truth, found, average="macro"))
    assert metrics.pixel_accuracy == pytest.approx(accuracy_score(truth, found))
    interval = segmentation_intervals(np.stack([pixel_confusion(*pair, CLASSES) for pair in pairs]))["mean_iou"]
    assert interval.low < metrics.mean_iou < interval.high


def test_intervals_of_images_without_pixels_that_count() -> None:
    """Draws of such images alone have no number; a perfect one of four images is not certain."""
    zero, nothing = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    counts = np.stack([pixel_confusion(zero, truth, 2) for truth in (zero, nothing, nothing, nothing)])
    wilson = pytest.approx((4 / (4 + 1.959964**2), 1))
    assert segmentation_intervals(counts) == {"mean_iou": wilson, "pixel_accuracy": wilson}
    assert segmentation_intervals(counts[1:]) == {}


def test_classes_without_pixels_are_left_out_of_the_mean() -> None:
    mask = np.uint8([[0, 0], [1, 1]])
    metrics = measure_segmentation(pixel_confusion(mask, mask, 3)[None], ["a", "b", "c"])
    assert metrics.mean_iou == 1
    assert np.isnan(metrics.iou[2])
    assert metrics.to_json()["per_class"][2]["iou"] is None
    nothing = measure_segmentation(pixel_confusion(mask, np.full_like(mask, 255), 3)[None], ["a", "b", "c"])
    assert nothing.to_json()["mean_iou"] is None


def test_wrong_masks_are_refused() -> None:
    mask = np.zeros((2, 3), np.uint8)
    with pytest.raises(DataError, match="does not match"):
        pixel_confusion(mask, mask.T, 2)
    with pytest.raises(DataError, match="a true mask has the value 7, but there are 2 classes"):
        pixel_confusion(mask, mask + 7, 2)


def _reference(found: NDArray[np.uint8], truth: NDArray[np.uint8], reach: float) -> float:
    """Csurka's F1 by distance transforms, pixel by pixel."""
    counted, scores = truth != 255, []
    for number in range(CLASSES):
        masks = [(found == number) & counted, truth == number]
        if not any(mask.any() for mask in masks):
            continue
        edges = []
        for mask in masks:
            edge = np.zeros_like(mask)
            for y, x in np.argwhere(mask):
                for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                    if 0 <= v < len(mask) and 0 <= u < mask.shape[1] and counted[v, u] and not mask[v, u]:
                        edge[y, x] = True
            edges.append(edge)
        if not edges[0].any() and not edges[1].any():
            scores.append(float(masks[0].any() and masks[1].any()))
            continue
        if not edges[0].any() or not edges[1].any():
            scores.append(0.0)
            continue
        near = [ndimage.distance_transform_edt(~edge) <= reach for edge in edges]
        precision, recall = near[1][edges[0]].mean(), near[0][edges[1]].mean()
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return float(np.mean(scores))


@pytest.mark.parametrize("reach", [0.0, 1.0, 1.5, 2.9, 6.0])
def test_boundary_f1_equals_distance_transforms(reach: float) -> None:
    for seed in range(4):
        found, truth = _masks(seed)
        assert boundary_f1(found, truth, CLASSES, tolerance=reach) == pytest.approx(_reference(found, truth, reach))


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 2)), st.data())
def test_boundary_f1_of_small_masks(truth: NDArray[np.uint8], data: st.DataObject) -> None:
    found = data.draw(arrays(np.uint8, truth.shape, elements=st.integers(0, 2)))
    reach = data.draw(st.sampled_from([0.0, 1.0, 9.0]))
    assert boundary_f1(found, truth, 3, tolerance=reach) == pytest.approx(_reference(found, truth, reach))
    assert boundary_f1(truth, truth, 3, tolerance=reach) == 1


def test_boundary_f1_takes_a_share_of_the_diagonal() -> None:
    truth = np.zeros((300, 400), np.uint8)  # a diagonal of 500, so that boundaries within 3.75 pixels agree
    truth[:, 200:] = 1
    scores = [boundary_f1(np.roll(truth, shift, axis=1) * (np.arange(400) > 99), truth, 2) for shift in (0, 3, 4)]
    assert scores == [1, 1, 0]
    assert np.isnan(boundary_f1(truth, np.full_like(truth, 255), 2))
