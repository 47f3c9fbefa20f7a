"""Tell images of no known class from those of the classes: a score of novelty beside the logits.

The score is that of virtual-logit matching (Wang et al. 2022, "ViM", arXiv:2203.10807, Equation 5): the norm of the
part of the features that the directions of most variance leave over, minus the energy of the logits (Liu et al. 2020,
arXiv:2010.03759, Equation 4). Deviations: features have length 1 first (Mueller & Hein 2025, "Mahalanobis++",
arXiv:2505.18032, Section 4), the directions are those around the mean, and the norm has half of ViM's weight: then the
two terms are about equally good at what they are good at, images far from all classes and images of a class between
the known ones. benchmarks/LOG.md has the numbers of the scores that it was compared with.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["NOVELTY_PREFIX", "Novelty"]

NOVELTY_PREFIX = "novelty."  # of its tensors' names in a model file
_SMALLEST = 1e-12  # length of features


class Novelty(nn.Module):
    """A score of novelty, from the input of the last layer and its output. It has no parameters that are trained.

    Args:
        features: number of features d.
        rank: number of directions whose part of the features is explained.

    Attributes:
        mean: of the features of length 1, `(d,)`.
        directions: orthonormal, those of the largest variance, `(d, rank)`.
        weight: of the norm of what is left over, `(1,)`.
        centre: the score that counts as 0, `(1,)`.
        scale: the score above it that counts as 1, `(1,)`; above 0.
    """

    mean: Tensor
    directions: Tensor
    weight: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(self, features: int, rank: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("directions", torch.zeros(features, rank))
        for name in ("weight", "centre", "scale"):
            self.register_buffer(name, torch.ones(1))

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """Return the novelty `(n,)` of features `(n, d)` with logits `(n, classes)`: about 0 for a typical image."""
        # Of the operators that exported files may have, none is a norm or a logsumexp.
        length = features.square().sum(1, keepdim=True).sqrt().clamp_min(_SMALLEST)
        centred = features / length - self.mean
        left_over = (centred.square().sum(1) - (centred @ self.directions).square().sum(1)).clamp_min(0).sqrt()
        highest = logits.amax(1, keepdim=True)
        energy = (logits - highest).exp().sum(1).log() + highest.squeeze(1)
        return (self.weight * left_over - energy - self.centre) / self.scale
