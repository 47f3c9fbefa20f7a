"""Class-activation maps: where on the image the last map speaks for a class.

All of them weigh the maps `A_k` of one layer and add them up; they differ in the weights. Each function takes any
network, normalised images `(n, c, h, w)` and a class number for each, and gives maps `(n, h, w)` at the image's size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.explain.layer import default_layer, map_and_logits, target_logits
from hubel.explain.untouched import untouched

__all__ = ["cam", "eigen_cam", "grad_cam", "grad_cam_plus_plus", "layer_cam"]

_TINY = 1e-12
_LIKE = 1e-3  # relative difference up to which gradients count as equal


def grad_cam(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Grad-CAM: the mean gradient of a map is its weight (Selvaraju et al. 2017, arXiv:1610.02391, Eq. 1 and 2)."""

    def weigh(maps: Tensor, gradients: Tensor) -> Tensor:
        return (gradients.mean((2, 3), keepdim=True) * maps).sum(1).relu()

    return _weighed(network, x, targets, layer, weigh)


def grad_cam_plus_plus(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Grad-CAM++: positive gradients, weighed by pixel (Chattopadhyay et al. 2018, arXiv:1710.11063, Eq. 5 and 19).

    With the exponential of the logit as score, whose derivatives are powers of the logit's gradient g (Eq. 16 to 18).
    """

    def weigh(maps: Tensor, gradients: Tensor) -> Tensor:
        square, total = gradients.square(), maps.sum((2, 3), keepdim=True)
        below = 2 * square + total * gradients * square
        alpha = torch.where(below.abs() > _TINY, square / below.where(below.abs() > _TINY, 1), 0)
        return ((alpha * gradients.relu()).sum((2, 3), keepdim=True) * maps).sum(1).relu()

    return _weighed(network, x, targets, layer, weigh)


def layer_cam(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Layer-CAM: each pixel of a map has its own positive gradient for weight (Jiang et al. 2021, TIP 30, Eq. 6)."""

    def weigh(maps: Tensor, gradients: Tensor) -> Tensor:
        return (gradients.relu() * maps).sum(1).relu()

    return _weighed(network, x, targets, layer, weigh)


def eigen_cam(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Eigen-CAM: the maps' first principal component; no class has a say (Muhammad & Yeasin 2020, arXiv:2008.00299).

    Section III: A = U S V^T over pixels and maps, not centred; the map is A v_1, with the sign that makes its sum
    positive.
    """

    def weigh(maps: Tensor, gradients: Tensor) -> Tensor:
        flat = maps.flatten(2).transpose(1, 2)
        first = torch.linalg.svd(flat, full_matrices=False).Vh[:, 0]
        along = (flat @ first[:, :, None])[..., 0]
        sign = torch.where(along.sum(1, keepdim=True) < 0, -1, 1)
        signed: Tensor = (sign * along).reshape(-1, *maps.shape[2:])
        return signed

    return _weighed(network, x, targets, layer, weigh)


def cam(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """CAM: the class's own weight of each map (Zhou et al. 2016, arXiv:1512.04150, Eq. 2); negative values stay.

    The gradients of a network that ends in global average pooling and one linear layer are these weights, divided by
    the number of pixels: equal at every pixel, whatever the map.

    Raises:
        OptionError: the network ends otherwise.
    """

    def weigh(maps: Tensor, gradients: Tensor) -> Tensor:
        weights = gradients.sum((2, 3), keepdim=True)
        even = (weights / maps[0, 0].numel()).expand_as(gradients)
        if not (_alike(gradients, even) and _alike(gradients, without)):
            raise OptionError(
                "CAM needs a network that ends in global average pooling and one linear layer; take gradcam"
            )
        return (weights * maps).sum(1)

    with untouched(network) as quiet:
        layer = layer or default_layer(quiet, x)
        nothing, logits = map_and_logits(quiet, x, layer, factor=0.0)
        without = _gradients(target_logits(logits, targets), nothing, layer)
        return _weighed(quiet, x, targets, layer, weigh)


def _weighed(
    network: nn.Module, x: Tensor, targets: Tensor, layer: str | None, weigh: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """What `weigh` makes of the maps `(n, k, h, w)` of a layer and the gradients there, at the size of the images."""
    with untouched(network) as quiet:
        layer = layer or default_layer(quiet, x)
        maps, logits = map_and_logits(quiet, x, layer)
        gradients = _gradients(target_logits(logits, targets), maps, layer)
        with torch.no_grad():
            coarse = weigh(maps.detach().float(), gradients.float())
            return F.interpolate(coarse[:, None], x.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def _gradients(chosen: Tensor, maps: Tensor, layer: str) -> Tensor:
    gradients = torch.autograd.grad(chosen.sum(), maps, allow_unused=True)[0] if chosen.requires_grad else None
    if gradients is None:
        raise OptionError(f"the network's output does not depend on its layer {layer} by anything with a gradient")
    return gradients


def _alike(some: Tensor, others: Tensor) -> bool:
    return bool((some - others).abs().max() <= _LIKE * some.abs().max())
