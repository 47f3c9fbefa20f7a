"""One score a class for a whole image from a network that scores each pixel, so that every method explains it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.inference.device import pick_device
from hubel.inference.predictor import Predictor, load_network

__all__ = ["PixelMeans", "load_explained"]


_BLOCK = 3  # points in the path of a block: backbone.stages.2.0


class PixelMeans(nn.Module):
    """The mean logit of each class over the pixels that are predicted so, `(n, classes)`.

    Source: Vinogradova, Dibrov & Myers 2020, "Towards interpretable semantic segmentation via gradient-weighted class
    activation mapping", arXiv:2002.11434, Eq. 2; a mean instead of the sum, which does not depend on the class's size.
    A class that no pixel has counts by its highest logit.

    Args:
        network: returns logits `(n, classes, h, w)`.
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

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of images `(n, c, h, w)`."""
        logits = self.network(x).flatten(2)
        classes = torch.arange(logits.shape[1], device=logits.device)
        predicted = logits.argmax(1, keepdim=True) == classes.view(1, -1, 1)
        count = predicted.sum(2)
        means = (logits * predicted).sum(2) / count.clamp(min=1)
        return torch.where(count > 0, means, logits.amax(2))


def load_explained(model: str | Path, *, device: str = "auto") -> Predictor:
    """Load a model to be explained: a classifier, or one that gives each pixel a class.

    Raises:
        OptionError: it gives neither.
        HubelError: see `hubel.load`.
    """
    network, card = load_network(model)
    if card.dense not in ("", "maps"):
        raise OptionError(
            f"{card.model} finds {card.dense}; maps of evidence are drawn for classes of images and pixels"
        )
    whole = PixelMeans(network) if card.dense else network
    return Predictor(whole.to(pick_device(device)), replace(card, dense=""))
