"""Class activation maps: weighted sums of a layer's feature maps `A_k`, which differ in the weights.

Each function takes any network, normalised images `(n, c, h, w)` and a class number for each image, and returns maps
`(n, h, w)` at the image's size. The layer is `default_layer` if None.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.explain.layers import default_layer, map_and_logits, target_logits
from hubel.explain.untouched import untouched

__all__ = ["cam", "eigen_cam", "grad_cam", "grad_cam_plus_plus", "layer_cam"]

_TOLERANCE = 1e-3  # relative difference up to which gradients count as equal


def grad_cam(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Compute Grad-CAM: maps weighted by their mean gradient (Selvaraju et al. 2017, arXiv:1610.02391, Eq. 1 and 2)."""

    def weigh(maps: Tensor, gradients: Tensor) -> Tensor:
        return (gradients.mean((2, 3), keepdim=True) * maps).sum(1).relu()

    return _weighted(network, x, targets, layer, weigh)


def grad_cam_plus_plus(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Compute Grad-CAM++: weights from positive gradients (Chattopadhyay et al. 2018, arXiv:1710.11063, Eq. 5 and 19).

    The score is the exponential of the logit, whose derivatives are powers of the logit's gradient g (Eq. 16 to 18).
    """

    def weigh(maps: Tensor, gradients: Tensor) -> Tensor:
        below = 2 + maps.sum((2, 3), keepdim=True) * gradients  # of Eq. 19, divided by g², which may vanish
        alpha = torch.where(below == 0, 0, 1 / below)
        return ((alpha * gradients.relu()).sum((2, 3), keepdim=True) * maps).sum(1).relu()

    return _weighted(network, x, targets, layer, weigh)


def layer_cam(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Compute Layer-CAM: each pixel weighted by its own positive gradient (Jiang et al. 2021, TIP 30, Eq. 6)."""

    def weigh(maps: Tensor, gradients: Tensor) -> Tensor:
        return (gradients.relu() * maps).sum(1).relu()

    return _weighted(network, x, targets, layer, weigh)


def eigen_cam(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Compute Eigen-CAM: the maps' first principal component (Muhammad & Yeasin 2020, arXiv:2008.00299).

    Section III: A = U S V^T over pixels and maps, not centred; the result is A v_1, with the sign that makes its sum
    positive. It does not depend on the class.
    """

    def weigh(maps: Tensor, gradients: Tensor) -> Tensor:
        flat = maps.flatten(2).transpose(1, 2)
        first = torch.linalg.svd(flat, full_matrices=False).Vh[:, 0]
        along = (flat @ first[:, :, None])[..., 0]
        sign = torch.where(along.sum(1, keepdim=True) < 0, -1, 1)
        signed: Tensor = (sign * along).reshape(-1, *maps.shape[2:])
        return signed

    return _weighted(network, x, targets, layer, weigh)


def cam(network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Compute CAM: each map weighted by the classifier's weight (Zhou et al. 2016, arXiv:1512.04150, Eq. 2), signed.

    The gradients of a network that ends in global average pooling and one linear layer are these weights, divided by
    the number of pixels: equal at every pixel, and independent of the map.

    Raises:
        OptionError: the network ends in other layers.
    """

    def weigh(maps: Tensor, gradients: Tensor) -> Tensor:
        weights = gradients.sum((2, 3), keepdim=True)
        even = (weights / maps[0, 0].numel()).expand_as(gradients)
        if not (_equal(gradients, even) and _equal(gradients, at_zero)):
            raise OptionError(
                "CAM needs a network that ends in global average pooling and one linear layer; take gradcam"
            )
        return (weights * maps).sum(1)

    with untouched(network) as frozen:
        layer = layer or default_layer(frozen, x)
        zero_map, logits = map_and_logits(frozen, x, layer, factor=0.0)
        at_zero = _gradients(target_logits(logits, targets), zero_map, layer)
        return _weighted(frozen, x, targets, layer, weigh)


def _weighted(
    network: nn.Module, x: Tensor, targets: Tensor, layer: str | None, weigh: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Apply `weigh` to a layer's maps `(n, k, h, w)` and their gradients; resize the result to the images."""
    with untouched(network) as frozen:
        layer = layer or default_layer(frozen, x)
        maps, logits = map_and_logits(frozen, x, layer)
        gradients = _gradients(target_logits(logits, targets), maps, layer)
        with torch.no_grad():
            coarse = weigh(maps.detach().float(), gradients.float())
            return F.interpolate(coarse[:, None], x.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def _gradients(logits: Tensor, maps: Tensor, layer: str) -> Tensor:
    gradients = torch.autograd.grad(logits.sum(), maps, allow_unused=True)[0] if logits.requires_grad else None
    if gradients is None:
        raise OptionError(f"the network's output does not depend on its layer {layer} by differentiable operations")
    return gradients


def _equal(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).abs().max() <= _TOLERANCE * a.abs().max())
