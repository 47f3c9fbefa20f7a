"""What the last layer of a network sees of images, and what it says of that."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import OptionError
from hubel.data.loading import Images
from hubel.nn.freezing import ALL, boundaries, last_linear
from hubel.nn.network import Network
from hubel.runtime.activations import Frozen
from hubel.weights.card import ModelCard

__all__ = ["features", "head_logits"]


def features(
    network: nn.Module, images: Images, *, card: ModelCard, engine: str = "auto", exact: bool = False
) -> NDArray[np.float32]:
    """What a network's last linear layer sees of images, `(n, d)`; from the cache where it has been computed before.

    Args:
        network: one that ends in a linear layer.
        images: what to look at.
        card: of the network.
        engine: what runs it; "auto" is the fastest, which may round.
        exact: compute and keep in float32, as the network itself does.

    Raises:
        OptionError: the network does not end in a linear layer.
        DecodeError: a file that the index knows as good can no longer be read.
    """
    if not isinstance(network, Network) or ALL not in boundaries(network):
        raise OptionError(f"{card.model} does not end in a linear layer, so it has no features to hand out")
    found = Frozen(network, card, ALL, engine="torch" if exact else engine, exact=exact).maps(images)
    return found.take(np.arange(len(images))).astype(np.float32)


def head_logits(network: Network, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the last layer says of features `(n, d)`."""
    layer = last_linear(network)
    assert layer is not None, "boundaries() has found one"
    with torch.inference_mode():
        said: NDArray[np.float32] = layer(torch.from_numpy(features).to(layer.weight.device)).cpu().numpy()
    return said
