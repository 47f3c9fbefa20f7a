"""Attribution to pixels by gradients with respect to the input."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.explain.layers import target_logits
from hubel.explain.untouched import untouched

__all__ = ["integrated_gradients", "smooth_grad"]

_PROBES = 32  # points of the path at which the logit is evaluated to choose the steps
_EVEN = 0.2  # share of the steps that are spaced evenly along the path


def integrated_gradients(
    network: nn.Module, x: Tensor, targets: Tensor, layer: str | None = None, *, steps: int = 64
) -> Tensor:
    """Compute integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365, Eq. 1 and 3), summed over the channels.

    The values of a map add up to the class's logit minus that of the baseline (completeness, Proposition 1), up to the
    error of `steps` steps. The baseline is all zeros, the mean colour. Deviation: the paper's is black. The sum of
    Equation 3 uses the midpoint of each step, and steps are shorter where the logit changes faster: most units of a
    network become active within a small part of the path.

    Args:
        network: any classifier with gradients.
        x: images `(n, c, h, w)`, normalised.
        targets: class numbers `(n,)`.
        layer: ignored.
        steps: steps from the baseline to the image.

    Returns:
        Maps `(n, h, w)`, positive where a pixel is evidence for the class.
    """
    with untouched(network) as frozen:
        x = x.detach().clone()
        total = torch.zeros_like(x)
        edges = _edges(frozen, x, targets, steps)
        for start, end in itertools.pairwise(edges):
            total += (end - start) * _input_gradients(frozen, x * (start + end) / 2, targets)
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
    """Compute SmoothGrad: the mean gradient over noisy copies (Smilkov et al. 2017, arXiv:1706.03825, Section 2).

    A pixel's value is the largest absolute value of its channels (Simonyan et al. 2013, arXiv:1312.6034, Section 3.1).

    Args:
        network: any classifier with gradients.
        x: images `(n, c, h, w)`, normalised.
        targets: class numbers `(n,)`.
        layer: ignored.
        samples: noisy copies per image.
        noise: standard deviation, as a share of each image's range; the paper finds 0.1 to 0.2 best (Section 3.2).

    Returns:
        Maps `(n, h, w)`, at least 0. The noise is the same at each call.
    """
    with untouched(network) as frozen:
        x = x.detach().clone()
        spread = noise * (x.amax((1, 2, 3), keepdim=True) - x.amin((1, 2, 3), keepdim=True))
        generator = torch.Generator().manual_seed(0)
        total = torch.zeros_like(x)
        for _ in range(samples):
            drawn = torch.randn(x.shape[1:], generator=generator).to(x)
            total += _input_gradients(frozen, x + spread * drawn, targets)
        return (total / samples).abs().amax(1).float()


def _edges(network: nn.Module, x: Tensor, targets: Tensor, steps: int) -> Tensor:
    """Return the ends of the steps from zero to each image, `(steps + 1, n, 1, 1, 1)`, by the logit's changes."""
    probes = torch.linspace(0, 1, _PROBES + 1)
    with torch.no_grad():
        values = torch.stack([target_logits(network(x * float(probe)), targets) for probe in probes]).cpu().double()
    change = values.diff(dim=0).abs()
    share = (1 - _EVEN) * change / change.sum(0).clamp_min(1e-12) + _EVEN / _PROBES
    cumulative = F.pad(share.cumsum(0), (0, 0, 1, 0))
    levels = np.linspace(0, 1, steps + 1)
    edges = [np.interp(levels, column / column[-1], probes.numpy()) for column in cumulative.numpy().T]
    return torch.from_numpy(np.stack(edges, 1)).to(x)[:, :, None, None, None]


def _input_gradients(network: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    x.requires_grad_()
    # A clone: the first layer may work in place.
    logits = target_logits(network(x.clone()), targets)
    if not logits.requires_grad:
        raise OptionError("the network's output has no gradient; occlusion needs none")
    return torch.autograd.grad(logits.sum(), x)[0]
