"""Features and logits of images from the cache of a network's frozen part."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import OptionError
from hubel.data.loading import Images
from hubel.data.samples import blank_input
from hubel.features.extractor import ExtractorSettings, FeatureExtractor
from hubel.inference.device import device_of
from hubel.inference.engines.registry import EngineChoice
from hubel.inference.forward import outputs
from hubel.nn.evaluating import evaluating
from hubel.nn.freezing import ALL, NONE, between, boundaries, last_linear, last_stages, with_novelty
from hubel.nn.network import Network
from hubel.weights.card import ModelCard

__all__ = ["cached_logits", "head_logits", "last_layer_features"]


def last_layer_features(
    network: nn.Module, images: Images, *, card: ModelCard, engine: EngineChoice | None = None
) -> NDArray[np.float32]:
    """Return the inputs of a network's last linear layer, `(n, d)`; from the cache where they are there.

    Args:
        network: one that ends in a linear layer.
        images: to compute them from.
        card: of the network.
        engine: that runs it; None for the fastest, which may round.

    Raises:
        OptionError: the network does not end in a linear layer.
        DecodeError: a file that the index knows as good can no longer be read.
    """
    if not isinstance(network, Network) or ALL not in boundaries(network):
        raise OptionError(f"{card.model} does not end in a linear layer, so it has no features to hand out")
    maps = FeatureExtractor(network, card, ALL, settings=ExtractorSettings(engine=engine)).maps(images)
    return maps.take(np.arange(len(images))).astype(np.float32)


def head_logits(network: Network, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits `(n, classes)` that the last layer computes from features `(n, d)`."""
    layer = last_linear(network)
    assert layer is not None, "boundaries() has found one"
    with torch.inference_mode():
        logits: NDArray[np.float32] = layer(torch.from_numpy(features).to(layer.weight.device)).cpu().numpy()
    return logits


def cached_logits(network: Network, images: Images, *, card: ModelCard, boundary: str) -> NDArray[np.float32]:
    """Return the logits of images, computed in float32, `(n, classes)`; with the novelty behind them if there is one.

    The maps at the boundary are cached, for other networks that share the layers below.

    Args:
        network: the layers above the boundary may be anything.
        images: to compute them from.
        card: of the network.
        boundary: one of `boundaries(network)`.

    Raises:
        DecodeError: a file that the index knows as good can no longer be read.
    """

    def frozen(boundary: str) -> FeatureExtractor:
        settings = ExtractorSettings(engine=EngineChoice("torch"), exact=True)
        return FeatureExtractor(network, card, boundary, settings=settings)

    if boundary == NONE or not (part := frozen(boundary)).room_for([images], 1):
        return outputs(with_novelty(network), images)
    if boundary == ALL and not part.has(images):
        with evaluating(network):
            lower = last_stages(network, blank_input(card.preprocess, device_of(network)))
        # Where more than the last layer was tuned, the maps below what was tuned are there already.
        if lower != NONE and (below := frozen(lower)).has(images):
            maps = part.maps_above(below.maps(images), between(network, lower, ALL))
            return outputs(with_novelty(network, ALL), maps)
    return outputs(with_novelty(network, boundary), part.maps(images))
