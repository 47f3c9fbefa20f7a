"""Training for the network that only remembers."""

from __future__ import annotations

import numpy as np
import torch

from hubel.data.loading import Images, Labelled, network_input
from hubel.models.neighbours import Neighbours

__all__ = ["remember"]


def remember(network: Neighbours, train: Labelled[Images]) -> dict[str, int]:
    """Show every training image once; the options of the network that results."""
    pixels = train.images.pixels(np.arange(len(train.images)))
    return network.fit(network_input(pixels, train.images.preprocess), torch.from_numpy(train.targets))
