"""Which pixels a class depends on, by gradients at the image itself; no layer is involved."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.explain.layer import target_logits
from hubel.explain.untouched import untouched

__all__ = ["integrated_gradients", "smooth_grad"]

_PROBES = 32  # places at which the logit is looked at before the steps are chosen
_EVEN = 0.2  # share of the steps that are spread evenly, whatever the logit does


def integrated_gradients(
    network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None, *, steps: int = 64
) -> Tensor:
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365, Eq. 1 and 3), summed over the channels.

    The values of a map add up to the class's logit less that of the baseline (completeness, Proposition 1), as nearly
    as `steps` go. The baseline is all zeros: the mean colour, where the paper has black (Deviation). Equation 3's sum
    takes the middle of each step, and steps are shorter where the logit changes faster: networks turn most of their
    units on within a small part of the way.

    Args:
        network: any classifier with gradients.
        x: images `(n, c, h, w)`, normalised.
        targets: class numbers `(n,)`.
        layer: has no meaning here.
        steps: on the way from the baseline to the image.

    Returns:
        Maps `(n, h, w)`, positive where a pixel speaks for the class.
    """
    with untouched(network) as quiet:
        x = x.detach().clone()
        total = torch.zeros_like(x)
        edges = _edges(quiet, x, targets, steps)
        for start, end in itertools.pairwise(edges):
            total += (end - start) * _input_gradients(quiet, x * (start + end) / 2, targets)
        return (x * total).sum(1).float()


def smooth_grad(
    network: nn.Module,
    x: Tensor,
    targets: Tensor,
    layer: str | None = None,
    *,
    samples: int = 25,
    noise: float = 0.15,
) -> Tensor:
    """SmoothGrad: the mean gradient over noisy copies (Smilkov et al. 2017, arXiv:1706.03825, Section 2).

    Of the three channels the largest absolute value counts (Simonyan et al. 2013, arXiv:1312.6034, Section 3.1).

    Args:
        network: any classifier with gradients.
        x: images `(n, c, h, w)`, normalised.
        targets: class numbers `(n,)`.
        layer: has no meaning here.
        samples: copies.
        noise: standard deviation, as a share of each image's range; the paper finds 0.1 to 0.2 best (Section 3.2).

    Returns:
        Maps `(n, h, w)`, at least 0. The noise is the same each time.
    """
    with untouched(network) as quiet:
        x = x.detach().clone()
        spread = noise * (x.amax((1, 2, 3), keepdim=True) - x.amin((1, 2, 3), keepdim=True))
        generator = torch.Generator().manual_seed(0)
        total = torch.zeros_like(x)
        for _ in range(samples):
            drawn = torch.randn(x.shape[1:], generator=generator).to(x)
            total += _input_gradients(quiet, x + spread * drawn, targets)
        return (total / samples).abs().amax(1).float()


def _edges(network: nn.Module, x: Tensor, targets: Tensor, steps: int) -> Tensor:
    """Where steps from zero to each image begin and end, `(steps + 1, n, 1, 1, 1)`, so that the logit varies evenly."""
    probes = torch.linspace(0, 1, _PROBES + 1)
    with torch.no_grad():
        values = torch.stack([target_logits(network(x * float(probe)), targets) for probe in probes]).cpu().double()
    change = values.diff(dim=0).abs()
    share = (1 - _EVEN) * change / change.sum(0).clamp_min(1e-12) + _EVEN / _PROBES
    so_far = F.pad(share.cumsum(0), (0, 0, 1, 0))
    wanted = np.linspace(0, 1, steps + 1)
    found = [np.interp(wanted, column / column[-1], probes.numpy()) for column in so_far.numpy().T]
    return torch.from_numpy(np.stack(found, 1)).to(x)[:, :, None, None, None]


def _input_gradients(network: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    x.requires_grad_()
    # A clone: the first layer may write into what it gets.
    chosen = target_logits(network(x.clone()), targets)
    if not chosen.requires_grad:
        raise OptionError("the network's output has no gradient; occlusion needs none")
    return torch.autograd.grad(chosen.sum(), x)[0]
