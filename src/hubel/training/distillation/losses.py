"""Distillation losses, each from its paper: the distance of a student's outputs from a teacher's, one number an image.

A teacher's answers are log-probabilities, which are logits but for a constant that softmax does not see: `z_t` below.
`z_s` are the student's logits, `p(T) = softmax(z / T)`. `n` images, `c` classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["DISTILLATION_LOSSES", "DistillationLoss", "correlation", "decoupled", "hint", "kl", "logit_regression"]

_NON_TARGET_WEIGHT = 2.0  # beta of DKD; its authors' for ResNet-56 to ResNet-20
_LEAST_NORM = 1e-8


def kl(student: Tensor, teacher: Tensor, classes: Tensor, temperature: float) -> Tensor:
    """Return T² KL(p_t(T) || p_s(T)), `(n,)`.

    Hinton, Vinyals & Dean 2015, arXiv:1503.02531, Section 2: the cross-entropy with soft targets (Equation 1), times
    T², since its gradients scale as 1/T² (Equation 4). The entropy of the targets, a constant, is subtracted, so that
    equal outputs have the loss 0.

    Args:
        student: logits `(n, c)`.
        teacher: log-probabilities `(n, c)`.
        classes: not looked at.
        temperature: T > 0.
    """
    aims, found = (F.log_softmax(z / temperature, 1) for z in (teacher, student))
    return temperature**2 * (aims.exp() * (aims - found)).sum(1)


def decoupled(student: Tensor, teacher: Tensor, classes: Tensor, temperature: float) -> Tensor:
    """Return T² (TCKD + beta NCKD), `(n,)`, beta = 2: the two parts of `kl`, the second one no longer suppressed.

    Zhao et al. 2022, arXiv:2203.08679, Equation 7 with alpha = 1. TCKD is the divergence of (p, 1 - p) of the target
    class, NCKD that of the distributions over all others; in `kl` the latter is multiplied by the teacher's 1 - p.

    Args:
        student: logits `(n, c)`.
        teacher: log-probabilities `(n, c)`.
        classes: the target classes `(n,)`.
        temperature: T > 0.
    """
    hot = F.one_hot(classes, student.shape[1]).bool()
    aims, found = (F.log_softmax(z / temperature, 1) for z in (teacher, student))
    target = [torch.stack([z[hot], _others(z, hot).logsumexp(1)], 1) for z in (aims, found)]
    rest = [F.log_softmax(_others(z, hot), 1) for z in (aims, found)]
    both, apart = ((p.exp() * (p - q)).sum(1) for p, q in (target, rest))
    return temperature**2 * (both + _NON_TARGET_WEIGHT * apart)


def _others(values: Tensor, hot: Tensor) -> Tensor:
    """Return the columns `(n, c - 1)` that are not the target's."""
    return values[~hot].reshape(len(values), -1)


def correlation(student: Tensor, teacher: Tensor, classes: Tensor, temperature: float) -> Tensor:
    """Return T² (1 - r of the image's classes + 1 - mean r of the classes' images), `(n,)`, r being Pearson's.

    DIST, Huang et al. 2022, arXiv:2205.10536, Equations 8 to 11 with beta = gamma = 1: the relations among the classes
    of an image, and those among the images of a batch in each class, rather than the probabilities themselves. The
    second part is the same for all images of a batch; of one image alone it is constant.

    Args:
        student: logits `(n, c)`.
        teacher: log-probabilities `(n, c)`.
        classes: not looked at.
        temperature: T > 0.
    """
    found, aims = (F.softmax(z / temperature, 1) for z in (student, teacher))
    inter, intra = 1 - _pearson(found, aims), 1 - _pearson(found.T, aims.T).mean()
    return temperature**2 * (inter + intra)


def _pearson(a: Tensor, b: Tensor) -> Tensor:
    """Return the correlation of each row of `a` with that of `b`; 0 where a row does not vary."""
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    norms: Tensor = a.norm(dim=1) * b.norm(dim=1)
    return (a * b).sum(1) / norms.clamp(min=_LEAST_NORM)


def logit_regression(student: Tensor, teacher: Tensor, classes: Tensor, temperature: float) -> Tensor:
    """Return half the mean squared difference of the logits, each less its mean over the classes, `(n,)`.

    Ba & Caruana 2014, arXiv:1312.6184, Equation 1. Deviations: the mean over the classes rather than the sum, so that
    the step does not grow with their number; and logits are centred, of which log-probabilities lack a constant.

    Args:
        student: logits `(n, c)`.
        teacher: log-probabilities `(n, c)`.
        classes: not looked at.
        temperature: not looked at.
    """
    found, aims = (z - z.mean(1, keepdim=True) for z in (student, teacher))
    return (found - aims).square().mean(1) / 2


def hint(student: Tensor, teacher: Tensor, classes: Tensor, temperature: float) -> Tensor:
    """Return half the mean squared difference of two maps, `(n,)`.

    FitNets, Romero et al. 2015, arXiv:1412.6550, Equation 3: the teacher's middle map, the hint, against the student's
    middle map behind a regressor (`hubel.training.distillation.hints`). Deviations: the mean over the map rather than
    the sum; and it is added to the loss of the labels in one training, which for the authors came after it.

    Args:
        student: the student's map behind the regressor, `(n, k)`.
        teacher: the teacher's map, `(n, k)`.
        classes: not looked at.
        temperature: not looked at.
    """
    return (student - teacher).square().mean(1) / 2


@dataclass(frozen=True, kw_only=True)
class DistillationLoss:
    """A distillation loss with its usual settings.

    Attributes:
        compute: takes the student's outputs, the teacher's answers, the target classes and the temperature.
        weight: the usual share of the whole loss, 0 to 1.
        temperature: the usual one; None for a loss without any.
        maps: compares maps rather than outputs.
    """

    compute: Callable[[Tensor, Tensor, Tensor, float], Tensor]
    weight: float
    temperature: float | None = None
    maps: bool = False


#: Distillation losses by the names that a recipe has for them.
DISTILLATION_LOSSES = {
    "kd": DistillationLoss(compute=kl, weight=0.9, temperature=4.0),
    "dkd": DistillationLoss(compute=decoupled, weight=0.5, temperature=4.0),
    "dist": DistillationLoss(compute=correlation, weight=0.5, temperature=1.0),
    "mse": DistillationLoss(compute=logit_regression, weight=0.9),
    "hint": DistillationLoss(compute=hint, weight=0.5, maps=True),
}
