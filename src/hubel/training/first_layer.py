"""Fit the first layer of a network to its training images, where its filters come from these and not from training."""

from __future__ import annotations

import numpy as np
from torch import nn

from hubel.data.loading import Images
from hubel.data.samples import Samples
from hubel.inference.device import device_of
from hubel.nn.whitening import PatchWhitening

__all__ = ["fit_first_layer"]

_IMAGES = 5000  # as many as Jordan 2024, arXiv:2404.00498, takes


def fit_first_layer(network: nn.Module, train: Samples) -> None:
    """Fit each `PatchWhitening` of a network to at most 5,000 of its training images, unchanged.

    Args:
        network: changed in place; left alone where it has no such layer.
        train: its training images; nothing is done with maps of frozen layers.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, PatchWhitening)]
    if not layers or not isinstance(train, Images):
        return
    positions = np.unique(np.linspace(0, len(train) - 1, min(len(train), _IMAGES)).astype(np.int64))
    images = train.network_input(train.pixels(positions), device_of(network))
    for layer in layers:
        layer.fit(images)
