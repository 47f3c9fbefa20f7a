"""The loss of heat maps of key points."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hubel.inference.point_decoding import heat_map_stride

__all__ = ["SIGMA", "heat_map_targets", "point_losses"]

#: Standard deviation of the target around a point, in cells of the heat map.
SIGMA = 1.0


def heat_map_targets(points: Tensor, rows: int, columns: int, size: tuple[int, int], sigma: float = SIGMA) -> Tensor:
    """Return the probability of each cell to hold a point, `(n, j, rows * columns)`: a Gaussian around it, sum 1.

    Args:
        points: x, y and visibility in pixels of the input, `(n, j, 3)`.
        rows: of the heat maps.
        columns: likewise.
        size: height and width of the input.
        sigma: standard deviation in cells.
    """
    strides = heat_map_stride(size[1], columns), heat_map_stride(size[0], rows)
    x, y = (points[..., axis, None] / stride for axis, stride in enumerate(strides))
    across = -((torch.arange(columns, device=points.device) + 0.5 - x) ** 2) / (2 * sigma**2)
    down = -((torch.arange(rows, device=points.device) + 0.5 - y) ** 2) / (2 * sigma**2)
    return (torch.softmax(down, -1)[..., :, None] * torch.softmax(across, -1)[..., None, :]).flatten(2)


def point_losses(logits: Tensor, points: Tensor, size: tuple[int, int], sigma: float = SIGMA) -> Tensor:
    """Return cross-entropy between targets and softmax of heat maps, mean over the given points, `(n,)`; 0 for none.

    Deviation from Xiao et al. 2018, arXiv:1804.06208, Section 2, whose loss is the mean squared error to a Gaussian of
    height 1: nearly all of its cells are 0, whose error hides that of the few around the point.

    Args:
        logits: heat maps `(n, j, rows, columns)`.
        points: x, y and visibility in pixels of the input, `(n, j, 3)`; visibility 0 does not count.
        size: height and width of the input.
        sigma: see `heat_map_targets`.
    """
    targets = heat_map_targets(points, logits.shape[2], logits.shape[3], size, sigma)
    each = -(targets * F.log_softmax(logits.flatten(2), 2)).sum(2)
    given = (points[..., 2] > 0).to(each.dtype)
    return (each * given).sum(1) / given.sum(1).clamp(min=1)
