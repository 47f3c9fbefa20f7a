"""The losses of detection against their formulas, one number at a time, and against torchvision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hubel.nn.points import pyramid_points
from hubel.tasks.detection_losses import assign_points, centerness, detection_losses, focal_loss, generalised_iou
from peers import torchvision

POINTS, LEVELS = (torch.from_numpy(values) for values in pyramid_points(128, 160))
SIZE = torch.tensor([160.0, 128.0, 160.0, 128.0])


def _boxes(n: int, seed: int = 0) -> Tensor:
    low = torch.rand(n, 2, generator=torch.Generator().manual_seed(seed)) * 100
    return torch.cat([low, low + 1 + torch.rand(n, 2, generator=torch.Generator().manual_seed(seed + 1)) * 60], 1)


def test_focal_loss_is_equation_5() -> None:
    for logit in (-30.0, -2.0, 0.0, 0.5, 9.0):
        p = 1 / (1 + math.exp(-logit))
        expected = {1.0: -0.25 * (1 - p) ** 2 * math.log(p), 0.0: -0.75 * p**2 * math.log(1 - p)}
        for hot, loss in expected.items():
            assert focal_loss(torch.tensor(logit), torch.tensor(hot)).item() == pytest.approx(loss, rel=1e-4, abs=1e-6)


def test_giou_is_algorithm_1() -> None:
    for a, b in zip(_boxes(20).tolist(), _boxes(20, seed=7).tolist(), strict=True):
        width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        common = width * height if width > 0 and height > 0 else 0.0
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
        hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
        expected = common / union - (hull - union) / hull
        assert generalised_iou(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.peer
def test_losses_equal_torchvision() -> None:
    ops = torchvision().ops
    first, second = _boxes(200), _boxes(200, seed=5)
    theirs = ops.generalized_box_iou_loss(first, second)
    torch.testing.assert_close(1 - generalised_iou(first, second), theirs, atol=1e-5, rtol=1e-5)
    logits, hot = torch.randn(50, 4) * 4, (torch.rand(50, 4) < 0.3).float()
    torch.testing.assert_close(focal_loss(logits, hot), ops.sigmoid_focal_loss(logits, hot, alpha=0.25, gamma=2.0))


def test_centerness_is_equation_3() -> None:
    sides = torch.tensor([[10.0, 10, 10, 10], [2, 5, 8, 20], [0, 5, 8, 5], [-1, -1, 5, 5]])  # left, top, right, bottom
    expected = [1, math.sqrt(2 / 8 * 5 / 20), 0, 0]
    assert centerness(sides).tolist() == pytest.approx(expected)


def test_points_look_at_the_middle_of_their_pixels() -> None:
    points, strides = pyramid_points(100, 130, (8, 64))
    assert len(points) == 13 * 17 + 2 * 3
    assert points[:2].tolist() == [[4, 4], [12, 4]]
    assert points[17].tolist() == [4, 12]
    assert points[-1].tolist() == [160, 96]
    assert strides.tolist() == [8] * 221 + [64] * 6


def test_assignment_is_that_of_the_paper() -> None:
    """For each pair of a point and a box, the rules one after the other; of several boxes the smallest."""
    boxes = torch.cat([_boxes(12, seed=3), torch.tensor([[10.0, 10, 150, 120], [40, 40, 60, 60], [42, 42, 58, 58]])])
    assigned = assign_points(POINTS, LEVELS, boxes, torch.zeros(len(boxes), dtype=torch.bool))
    ranges = {8: (0, 64), 16: (64, 128), 32: (128, 256), 64: (256, math.inf)}
    fallback = set()
    for k, box in enumerate(boxes.tolist()):
        if not any(_fits(point, stride, box, ranges) for point, stride in zip(POINTS, LEVELS, strict=True)):
            fallback.add(k)
    for point, stride, chosen in zip(POINTS, LEVELS, assigned.object.tolist(), strict=True):
        fitting = [k for k, box in enumerate(boxes.tolist()) if _fits(point, stride, box, ranges)]
        if chosen in fallback:
            continue
        sizes = {k: (boxes[k, 2] - boxes[k, 0]) * (boxes[k, 3] - boxes[k, 1]) for k in fitting}
        assert chosen == (min(sizes, key=lambda k: sizes[k]) if sizes else -1)
    assert assigned.counts.all()


def _fits(point: Tensor, stride: Tensor, box: list[float], ranges: dict[int, tuple[float, float]]) -> bool:
    (x, y), s = point.tolist(), stride.item()
    sides = (x - box[0], y - box[1], box[2] - x, box[3] - y)
    near = max(abs(x - (box[0] + box[2]) / 2), abs(y - (box[1] + box[3]) / 2)) < 1.5 * s
    low, high = ranges[int(s)]
    return min(sides) > 0 and near and low < max(sides) <= high


def test_an_object_smaller_than_the_grid_has_a_point() -> None:
    box = torch.tensor([[41.0, 33.0, 43.0, 35.0]])
    assigned = assign_points(POINTS, LEVELS, box, torch.tensor([False]))
    (row,) = (assigned.object == 0).nonzero()
    assert LEVELS[row].item() == 8
    assert (POINTS[row[0]] - torch.tensor([42.0, 34.0])).abs().max() <= 4


def test_points_in_a_crowd_do_not_count() -> None:
    boxes = torch.tensor([[0.0, 0, 80, 128], [10, 10, 50, 50]])
    assigned = assign_points(POINTS, LEVELS, boxes, torch.tensor([True, False]))
    assert set(assigned.object.tolist()) == {-1, 1}
    inside = (POINTS > 0).all(1) & (POINTS[:, 0] < 80) & (POINTS[:, 1] < 128)
    assert torch.equal(assigned.counts, ~inside | (assigned.object == 1))


def _perfect(targets: Tensor, classes: int) -> Tensor:
    """The outputs that have no loss but for the entropy of centerness."""
    outputs = torch.full((len(targets), len(POINTS), 5 + classes), -30.0)
    for output, image in zip(outputs, targets, strict=True):
        real = image[image[:, 4] >= 0]
        chosen = assign_points(POINTS, LEVELS, real[:, :4], real[:, 5] > 0).object
        for row in (chosen >= 0).nonzero()[:, 0].tolist():
            box = real[chosen[row]]
            output[row, :4] = box[:4] / SIZE
            point = POINTS[row]
            centre = centerness(torch.cat([point - box[:2], box[2:4] - point]))
            output[row, 4] = torch.logit(centre.clamp(1e-6, 1 - 1e-6))
            output[row, 5 + int(box[4])] = 30
    return outputs


def test_the_loss_is_least_for_the_truth() -> None:
    targets = torch.full((3, 2, 6), -1.0)
    targets[0] = torch.tensor([[10.0, 10, 70, 60, 0, 0], [80, 20, 150, 120, 2, 0]])
    targets[1, 0] = torch.tensor([30.0, 30, 90, 90, 1, 0])
    outputs = _perfect(targets, 3)
    losses = detection_losses(outputs, targets, POINTS, LEVELS, SIZE)
    assert losses[2] == pytest.approx(0, abs=1e-6)  # an image without objects
    taken = outputs[..., 5:].amax(2) > 0
    middles = torch.sigmoid(outputs[..., 4])
    entropy = torch.special.entr(middles) + torch.special.entr(1 - middles)
    expected = (entropy * taken).sum(1) * 3 / taken.sum()
    torch.testing.assert_close(losses, expected, atol=1e-4, rtol=1e-4)
    for column, change in ((2, 0.05), (4, 1.0), (5, 35.0)):
        worse = outputs.clone()
        worse[..., column] += change
        assert detection_losses(worse, targets, POINTS, LEVELS, SIZE).mean() > losses.mean() + 0.01


def test_gradients_are_finite_where_boxes_are_nothing() -> None:
    targets = torch.tensor([[[20.0, 20, 20, 20, 0, 0], [5, 5, 9, 9, 0, 0]]])
    outputs = torch.zeros(1, len(POINTS), 6, requires_grad=True)
    detection_losses(outputs, targets, POINTS, LEVELS, SIZE).sum().backward()
    assert outputs.grad is not None
    assert np.isfinite(outputs.grad.numpy()).all()
