"""A first layer that whitens patches of the images: filters from principal components instead of from training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PatchWhitening", "whitening_filters"]

_EPS = 5e-4  # added to the variances, so that components without any are not blown up (Jordan 2024, Section 3.1)


def whitening_filters(images: Tensor, kernel: int, eps: float = _EPS) -> Tensor:
    """Return filters `(c k k, c, k, k)` that make patches uncorrelated with variance 1, largest component first.

    With C the mean of p p^T over all patches p, and C = V diag(l) V^T, the filters are diag(l + eps)^-1/2 V^T.

    Args:
        images: normalised, `(n, c, h, w)`.
        kernel: side k of a patch, in pixels.
        eps: added to the variances l.
    """
    patches = F.unfold(images.float(), kernel)  # (n, c k k, positions)
    variances, components = torch.linalg.eigh((patches @ patches.mT).mean(0) / patches.shape[2])
    filters: Tensor = components / torch.sqrt(variances + eps)
    ordered: Tensor = filters.T.flip(0)  # from the largest variance on
    return ordered.reshape(-1, images.shape[1], kernel, kernel)


class PatchWhitening(nn.Conv2d):
    """A convolution with frozen whitening filters, then their negatives, and a bias that learns.

    Args:
        in_channels: of the images, c.
        kernel: side k of a patch, in pixels; there are 2 c k k filters.
        fitted: the filters are those of `fit`; otherwise random ones, which learn.
    """

    def __init__(self, in_channels: int, kernel: int, *, fitted: bool = True) -> None:
        super().__init__(in_channels, 2 * in_channels * kernel**2, kernel)
        self.fitted = fitted
        self.weight.requires_grad_(not fitted)
        if self.bias is not None and not self.bias.is_meta:
            nn.init.zeros_(self.bias)

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Take the filters from normalised images `(n, c, h, w)`; nothing, if the filters are to learn."""
        if self.fitted:
            filters = whitening_filters(images, self.kernel_size[0])
            self.weight.copy_(torch.cat([filters, -filters]))
