"""One score a class for a whole image from a network that scores each place, so that every method explains it."""

from __future__ import annotations

import math
import os
from dataclasses import replace

import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.inference.device import pick_device
from hubel.inference.point_decoding import NEAR_CELLS
from hubel.inference.predictor import Predictor, load_network

__all__ = ["PixelMeans", "PointScores", "load_explained"]

_BLOCK = 3  # points in the path of a block: backbone.stages.2.0


class _PlaceScores(nn.Module):
    """A score of each output for a whole image.

    Args:
        network: returns values of places, `(n, outputs, h, w)`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @property
    def layer(self) -> str:
        """The last block of the backbone, whose map the decoder only refines; the output where there is none."""
        names = [name for name, _ in self.network.named_modules() if name.startswith("backbone.stages.")]
        blocks = [name for name in names if name.count(".") == _BLOCK]
        return f"network.{blocks[-1]}" if blocks else "network"


class PointScores(_PlaceScores):
    """The logit of the score of each key point, `(n, points)`, as prediction has it.

    That is the probability of the cells around the most probable one; see `hubel.inference.point_decoding`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of images `(n, c, h, w)`."""
        logits: Tensor = self.network(x)
        height, width = logits.shape[2:]
        best = logits.flatten(2).argmax(2)[..., None, None]
        rows, columns = (torch.arange(side, device=logits.device) for side in (height, width))
        near = ((rows[:, None] - best // width).abs() <= NEAR_CELLS) & ((columns - best % width).abs() <= NEAR_CELLS)
        inside, outside = (logits.masked_fill(~part, -math.inf).flatten(2).logsumexp(2) for part in (near, ~near))
        return inside - outside.clamp(min=torch.finfo(logits.dtype).min)


class PixelMeans(_PlaceScores):
    """The mean logit of each class over the pixels that are predicted so, `(n, classes)`.

    Source: Vinogradova, Dibrov & Myers 2020, "Towards interpretable semantic segmentation via gradient-weighted class
    activation mapping", arXiv:2002.11434, Eq. 2; a mean instead of the sum, which does not depend on the class's size.
    A class that no pixel has counts by its highest logit.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of images `(n, c, h, w)`."""
        logits = self.network(x).flatten(2)
        classes = torch.arange(logits.shape[1], device=logits.device)
        predicted = logits.argmax(1, keepdim=True) == classes.view(1, -1, 1)
        count = predicted.sum(2)
        means = (logits * predicted).sum(2) / count.clamp(min=1)
        return torch.where(count > 0, means, logits.amax(2))


# By the kind of output: the network to explain, and how its scores are shown; None for those of the card.
_WHOLE: dict[str, tuple[type[_PlaceScores], str | None]] = {
    "maps": (PixelMeans, None),
    "points": (PointScores, "sigmoid"),
}


def load_explained(model: str | os.PathLike[str], *, device: str = "auto") -> Predictor:
    """Load a model to be explained: a classifier, or one that gives each pixel a class, or finds key points.

    Raises:
        OptionError: it does none of these.
        HubelError: see `hubel.load`.
    """
    network, card = load_network(model)
    if not card.dense:
        return Predictor(network.to(pick_device(device)), card)
    if card.dense not in _WHOLE:
        raise OptionError(
            f"{card.model} finds {card.dense}; maps of evidence are drawn for classes of images and pixels, and for "
            "key points"
        )
    whole, scores = _WHOLE[card.dense]
    shown = replace(card, dense="", skeleton=None, scores=scores or card.scores)
    return Predictor(whole(network).to(pick_device(device)), shown)
