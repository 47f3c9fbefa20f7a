"""A model that annotates images by a network of torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.inference.answers import answers
from hubel.inference.dense import DenseModel
from hubel.inference.fold import folded
from hubel.inference.forward import forward
from hubel.inference.scores import network_scores
from hubel.nn.layers import channels_last
from hubel.weights.card import ModelCard

__all__ = ["DensePredictor"]


class DensePredictor(DenseModel):
    """A network of torch that annotates images.

    Args:
        network: on the device where it is to run.
        card: classes, preprocessing, kind of output.
    """

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        super().__init__(card)
        self.network = channels_last(folded(network))

    def _outputs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return answers(network_scores(forward(self.network, pixels, self.card.preprocess), self.card), self.card)
