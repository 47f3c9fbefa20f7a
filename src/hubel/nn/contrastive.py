"""The contrastive loss of two towers whose outputs lie on one sphere, and its learnt temperature.

Radford et al. 2021, "Learning transferable visual models from natural language supervision", arXiv:2103.00020,
Section 2.3 and Figure 3; the loss is InfoNCE (van den Oord, Li & Vinyals 2018, arXiv:1807.03748) in both directions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LearntScale", "info_nce"]

_FIRST_TEMPERATURE = 0.07  # Section 2.5, likewise the largest scale
_LARGEST = 100.0


class LearntScale(nn.Module):
    """The factor of all similarities, one divided by the temperature; learnt as its logarithm, and at most 100."""

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(-math.log(_FIRST_TEMPERATURE)))

    def forward(self) -> Tensor:
        """Return the factor."""
        return self.log.clamp(max=math.log(_LARGEST)).exp()


def info_nce(images: Tensor, texts: Tensor, scale: Tensor | float, same: Tensor | None = None) -> Tensor:
    """Return the symmetric contrastive loss of a batch of pairs (Figure 3).

    Each image is classified among all texts of the batch, and each text among all images; the loss is the mean of both
    cross-entropies.

    Args:
        images: unit vectors `(n, d)`.
        texts: unit vectors `(n, d)`; row i belongs to row i of the images.
        scale: factor of the similarities.
        same: bool `(n, n)`, symmetric: whether image i also fits text j, as where captions are equal; an image's right
            texts then share its target evenly. None where each fits its own alone.
    """
    logits = scale * images @ texts.T
    targets = torch.arange(len(logits), device=logits.device) if same is None else same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
