"""The loss of an anchor-free detector, and which point is to find which object.

FCOS: Tian et al. 2019, "FCOS: Fully convolutional one-stage object detection", arXiv:1904.01355.
Focal loss: Lin et al. 2017, "Focal loss for dense object detection", arXiv:1708.02002.
GIoU: Rezatofighi et al. 2019, "Generalized intersection over union", arXiv:1902.09630.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Assigned", "assign_points", "centerness", "detection_losses", "focal_loss", "generalised_iou"]

_ALPHA, _GAMMA = 0.25, 2.0  # Lin 2017, Section 5.1
_RADIUS = 1.5  # in strides, of centre sampling: the authors' later code, "FCOS_imprv"
_REACH = (0.0, 8.0)  # in strides: the greatest distance to a side that a level's points are for (Section 3.2)
_TINY = 1e-7


def focal_loss(logits: Tensor, hot: Tensor) -> Tensor:
    """Return the focal loss of each logit: -alpha_t (1 - p_t)^gamma log(p_t) (Lin 2017, Equation 5).

    Args:
        logits: of any shape.
        hot: 0 or 1, of the same shape: p_t is p where it is 1, and 1 - p elsewhere (Equation 2); alpha_t likewise.
    """
    p = torch.sigmoid(logits)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, hot, reduction="none")  # -log(p_t), Equation 1
    wrong = p + hot - 2 * p * hot  # 1 - p_t
    alpha = (1 - _ALPHA) + (2 * _ALPHA - 1) * hot
    return alpha * wrong**_GAMMA * cross_entropy


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return GIoU = IoU - |C - (A + B)| / |C| of pairs of boxes `(..., 4)`, -1 to 1 (Rezatofighi 2019, Algorithm 1).

    C is the smallest box around both. Boxes are left, top, right, bottom, the first ones maybe with swapped corners.
    """
    a, b = _areas(first), _areas(second)
    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    common = (high - low).clamp(min=0).prod(-1)
    union = a + b - common
    hull = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    around = hull.clamp(min=0).prod(-1)
    return common / (union + _TINY) - (around - union) / (around + _TINY)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def centerness(distances: Tensor) -> Tensor:
    """Return sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)) of distances l, t, r, b `(..., 4)` (FCOS, Equation 3).

    It is 1 in the centre of a box and falls to 0 at its sides.
    """
    pairs = distances.reshape(*distances.shape[:-1], 2, 2)  # (l, t), (r, b)
    least, most = pairs.amin(-2), pairs.amax(-2)
    return (least.clamp(min=0) / most.clamp(min=_TINY)).prod(-1).sqrt()


class Assigned(NamedTuple):
    """The objects of an image by point.

    Attributes:
        object: number of the object that a point is to find, int64 `(p,)`; -1 for none.
        counts: whether the point counts: those in a crowd do not, bool `(p,)`.
    """

    object: Tensor
    counts: Tensor


def assign_points(points: Tensor, strides: Tensor, boxes: Tensor, crowd: Tensor) -> Assigned:
    """Assign to each point the object that it is to find (FCOS, Sections 3.1 and 3.2).

    A point may find an object if it lies in its box, within 1.5 strides of its centre, and if the greatest of its
    distances l = x - x0, t = y - y0, r = x1 - x, b = y1 - y (Equation 1) is in the range of its level: 4 to 8 strides,
    from 0 for the finest level, without limit for the coarsest. Of several objects, it finds the smallest. An object
    that no point may find by these rules, since it is too small to hold one, goes to the point nearest to its centre,
    of the level that its size suits. Deviation: the paper leaves such objects out.

    Args:
        points: x, y in pixels, `(p, 2)`.
        strides: of each point, `(p,)`, the finest first.
        boxes: left, top, right, bottom of the objects in pixels, `(m, 4)`.
        crowd: which of them hold a crowd, bool `(m,)`.
    """
    if not len(boxes):
        nothing = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
        return Assigned(nothing, torch.ones_like(nothing, dtype=torch.bool))
    sides = torch.cat([points[:, None] - boxes[None, :, :2], boxes[None, :, 2:] - points[:, None]], -1)  # Equation 1
    inside = sides.amin(-1) > 0
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    offsets = (points[:, None] - centres).abs().amax(-1) / strides[:, None]
    reach = sides.amax(-1) / strides[:, None]
    least = torch.where(strides == strides[0], 0.0, _REACH[1] / 2)[:, None]
    most = torch.where(strides == strides[-1], torch.inf, _REACH[1])[:, None]
    fits = inside & (offsets < _RADIUS) & (reach > least) & (reach <= most) & ~crowd
    lost = ~fits.any(0) & ~crowd
    if lost.any():
        level = (boxes[:, 2:] - boxes[:, :2]).amax(-1) / 2
        suited = (level > least * strides[:, None]) & (level <= most * strides[:, None])
        nearest = offsets.masked_fill(~suited, torch.inf).argmin(0)
        fits[nearest[lost], lost.nonzero()[:, 0]] = True
    areas = torch.where(fits, _areas(boxes), torch.inf)
    smallest, number = areas.min(1)
    taken = torch.isfinite(smallest)
    return Assigned(torch.where(taken, number, -1), taken | ~(inside & crowd).any(1))


def detection_losses(outputs: Tensor, targets: Tensor, points: Tensor, strides: Tensor, size: Tensor) -> Tensor:
    """Return the loss of each image `(n,)`, whose mean is that of FCOS, Equation 2.

    Focal loss of classes over all points, GIoU of boxes and binary cross-entropy of centerness over the points with an
    object, each divided by their number; GIoU is weighted by centerness as in the authors' code.

    Args:
        outputs: see `hubel.inference.box_decoding.network_boxes`, `(n, p, 5 + classes)`.
        targets: left, top, right, bottom in pixels of the input, class, crowd, `(n, m, 6)`; class -1 pads.
        points: x, y in pixels, `(p, 2)`.
        strides: of each point, `(p,)`.
        size: width, height, width, height of the input in pixels, `(4,)`.
    """
    found, goals, numbers, counts = [], [], [], []
    for image in targets:
        real = image[image[:, 4] >= 0]
        assigned = assign_points(points, strides, real[:, :4], real[:, 5] > 0)
        at = assigned.object.clamp(min=0)
        found.append(assigned.object >= 0)
        counts.append(assigned.counts)
        padded = real if len(real) else image.new_zeros(1, 6)
        goals.append(padded[at, :4])
        numbers.append(padded[at, 4].long())
    taken, boxes, number, counted = torch.stack(found), torch.stack(goals), torch.stack(numbers), torch.stack(counts)
    logits = outputs[..., 5:]
    hot = F.one_hot(number, logits.shape[2]).to(logits.dtype) * taken[..., None]
    classes = (focal_loss(logits, hot).sum(2) * counted).sum(1)
    centre = centerness(torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], -1)) * taken
    places = (1 - generalised_iou(outputs[..., :4], boxes / size)) * centre
    middles = F.binary_cross_entropy_with_logits(outputs[..., 4], centre, reduction="none") * taken
    n = len(outputs)
    positives, weights = (values.sum().clamp(min=1) / n for values in (taken.to(centre.dtype), centre))
    return (classes + middles.sum(1)) / positives + places.sum(1) / weights
