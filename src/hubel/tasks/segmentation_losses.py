"""Losses of classes of pixels, one number for each image, so that batches of any size can be summed exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hubel.core.errors import UnknownNameError
from hubel.data.annotation import IGNORED

__all__ = ["PIXEL_LOSSES", "VOID", "PixelLoss", "dice", "pixel_cross_entropy"]

#: The class number of pixels that count for nothing.
VOID = IGNORED


def pixel_cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor | None = None, void: int = VOID, smoothing: float = 0.0
) -> Tensor:
    """Compute the mean over an image's labelled pixels of w_t * -log softmax(z)_t, where t is the class of a pixel.

    Args:
        logits: `(n, classes, h, w)`.
        targets: class numbers `(n, h, w)`, or `void`.
        weights: of the classes `(classes,)`, 1 in the mean over the pixels of the training; None where all are 1.
        void: class number of the pixels that count for nothing.
        smoothing: share of the target that is spread over all classes (Szegedy et al. 2015, Section 7), 0 to 1.

    Returns:
        Losses `(n,)`; 0 for an image without labelled pixels.
    """
    losses = F.cross_entropy(logits, targets, weights, ignore_index=void, reduction="none", label_smoothing=smoothing)
    return losses.sum((1, 2)) / (targets != void).sum((1, 2)).clamp(min=1)


def dice(logits: Tensor, targets: Tensor, void: int = VOID) -> Tensor:
    """Compute 1 - D for each image, with D = 2 sum(p g) / (sum(p^2) + sum(g^2)) (Milletari et al. 2016, Section 3).

    The sums run over the labelled pixels; p is the softmax of a class, and g is 1 for pixels of this class, else 0. D
    is the mean over the classes that an image has; the paper has two classes and takes that of the foreground.

    Args:
        logits: `(n, classes, h, w)`.
        targets: class numbers `(n, h, w)`, or `void`.
        void: class number of the pixels that count for nothing.

    Returns:
        Losses `(n,)`, from 0 to 1; 0 for an image without labelled pixels.
    """
    labelled = targets != void
    p = logits.softmax(1) * labelled[:, None]
    pixel_class = torch.where(labelled, targets, 0)
    # g is its own square, and p g is p at the class of each pixel: sums by class need no ones and zeros.
    nothing = p.new_zeros(p.shape[:2])
    overlap = nothing.scatter_add(1, pixel_class.flatten(1), p.gather(1, pixel_class[:, None]).flatten(1))
    sizes = nothing.scatter_add(1, pixel_class.flatten(1), labelled.flatten(1).to(p.dtype))
    coefficients = 2 * overlap / (p.square().sum((2, 3)) + sizes).clamp(min=torch.finfo(p.dtype).tiny)
    present = sizes > 0
    return ((1 - coefficients) * present).sum(1) / present.sum(1).clamp(min=1)


def _both(logits: Tensor, targets: Tensor, weights: Tensor | None, void: int) -> Tensor:
    return pixel_cross_entropy(logits, targets, weights, void) + dice(logits, targets, void)


#: Losses of pixels by name; each takes logits, targets, weights of the classes, and the class number that is ignored.
PIXEL_LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor | None, int], Tensor]] = {
    "cross_entropy": pixel_cross_entropy,
    "dice": lambda logits, targets, weights, void: dice(logits, targets, void),
    "cross_entropy_dice": _both,
}


@dataclass(frozen=True)
class PixelLoss:
    """A loss of classes of pixels, ready to compute.

    Attributes:
        name: a key of `PIXEL_LOSSES`.
        weights: of the classes in the cross-entropy `(classes,)`, or None.
        void: class number of the pixels that count for nothing.

    Raises:
        UnknownNameError: there is no such loss.
    """

    name: str = "cross_entropy"
    weights: Tensor | None = None
    void: int = VOID

    def __post_init__(self) -> None:
        if self.name not in PIXEL_LOSSES:
            raise UnknownNameError("loss of pixels", self.name, PIXEL_LOSSES)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return losses `(n,)` of logits `(n, classes, h, w)` for class numbers `(n, h, w)`."""
        weights = None if self.weights is None else self.weights.to(logits.device)
        return PIXEL_LOSSES[self.name](logits.float(), targets, weights, self.void)
