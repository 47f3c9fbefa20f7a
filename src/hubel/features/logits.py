"""What the last layer of a network sees of images, and what the network says of them where much of it is frozen."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import OptionError
from hubel.data.loading import Images, blank_input
from hubel.features.extractor import FeatureExtractor
from hubel.inference.device import device_of
from hubel.inference.forward import outputs
from hubel.nn.evaluating import evaluating
from hubel.nn.freezing import ALL, NONE, between, boundaries, last_linear, last_stages
from hubel.nn.network import Network
from hubel.weights.card import ModelCard

__all__ = ["features", "head_logits", "kept_logits"]


def features(network: nn.Module, images: Images, *, card: ModelCard, engine: str = "auto") -> NDArray[np.float32]:
    """What a network's last linear layer sees of images, `(n, d)`; from the cache where it has been computed before.

    Args:
        network: one that ends in a linear layer.
        images: what to look at.
        card: of the network.
        engine: what runs it; "auto" is the fastest, which may round.

    Raises:
        OptionError: the network does not end in a linear layer.
        DecodeError: a file that the index knows as good can no longer be read.
    """
    if not isinstance(network, Network) or ALL not in boundaries(network):
        raise OptionError(f"{card.model} does not end in a linear layer, so it has no features to hand out")
    found = FeatureExtractor(network, card, ALL, engine=engine).maps(images)
    return found.take(np.arange(len(images))).astype(np.float32)


def head_logits(network: Network, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the last layer says of features `(n, d)`."""
    layer = last_linear(network)
    assert layer is not None, "boundaries() has found one"
    with torch.inference_mode():
        said: NDArray[np.float32] = layer(torch.from_numpy(features).to(layer.weight.device)).cpu().numpy()
    return said


def kept_logits(network: Network, images: Images, *, card: ModelCard, boundary: str) -> NDArray[np.float32]:
    """What a network says of images, computed in float32, `(n, classes)`.

    What its layers up to a boundary make of them is kept, for other networks that share these layers.

    Args:
        network: the layers above the boundary may be anything.
        images: what to look at.
        card: of the network.
        boundary: one of `boundaries(network)`.

    Raises:
        DecodeError: a file that the index knows as good can no longer be read.
    """

    def frozen(boundary: str) -> FeatureExtractor:
        return FeatureExtractor(network, card, boundary, engine="torch", exact=True)

    if boundary == NONE or not (part := frozen(boundary)).room_for([images], 1):
        return outputs(network, images)
    if boundary == ALL and not part.has(images):
        with evaluating(network):
            lower = last_stages(network, blank_input(card.preprocess, device_of(network)))
        # Where more than the last layer was tuned, the maps below what was tuned are there already.
        if lower != NONE and (below := frozen(lower)).has(images):
            maps = part.maps_above(below.maps(images), between(network, lower, ALL))
            return outputs(between(network, ALL), maps)
    return outputs(between(network, boundary), part.maps(images))
