"""A classifier that runs a network of torch."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.files import names_beside
from hubel.inference.classifier import Classifier
from hubel.inference.device import pick_device
from hubel.inference.fold import folded
from hubel.inference.forward import forward
from hubel.inference.onnx_file import is_exported
from hubel.inference.scores import rows
from hubel.inference.stream import batch_size
from hubel.inference.tta import Compute
from hubel.models.catalogue import ALIASES, find, list_models
from hubel.nn.freezing import with_novelty
from hubel.nn.layers import channels_last
from hubel.weights.card import ModelCard
from hubel.weights.create import load_pretrained, means_a_file
from hubel.weights.model_file import load_model, model_path
from hubel.weights.own_class import OwnModel

__all__ = ["Predictor", "known_network", "load_network", "load_predictor"]


class Predictor(Classifier):
    """A classifier that runs a network of torch.

    Args:
        network: on the device where it is to run.
        card: classes, preprocessing, kind of scores.
        tta: see `Classifier`.

    Raises:
        OptionError: the network predicts no classes.
    """

    def __init__(self, network: nn.Module, card: ModelCard, *, tta: bool = False) -> None:
        if not card.classes:
            raise OptionError(card.no_scores)
        if card.dense:
            raise OptionError(
                f"{card.model} annotates images (its task is {card.task}): it gives no scores of a whole image"
            )
        super().__init__(card, tta=tta)
        self.network = channels_last(network)

    def _scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        return self._rows_by(with_novelty(self.network), pixels)

    def for_many(self, images: int) -> tuple[Compute, int]:
        """Return the function that computes the rows: more than a batch is worth folding the batch norms."""
        if images <= batch_size(self.card.preprocess):
            return self.rows, 1
        return self._averaged(partial(self._rows_by, with_novelty(folded(self.network)))), 1

    def _rows_by(self, network: nn.Module, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        return rows(forward(network, pixels, self.card.preprocess), self.card)


def load_predictor(model: str | os.PathLike[str], *, device: str = "auto", tta: bool = False) -> Predictor:
    """Load a model as a network of torch; arguments and errors as in `hubel.load`, engines apart."""
    network, card = load_network(model)
    return Predictor(network.to(pick_device(device)), card, tta=tta)


def load_network(model: str | os.PathLike[str]) -> tuple[nn.Module, ModelCard]:
    """Return the network that a user names, on the CPU and in evaluation mode, and its card.

    Args:
        model: a model file, or the folder of a run; or a name such as "resnet50" or "resnet50.a1_in1k"; or a file of a
            network of one's own, with its module.

    Raises:
        ModelFileError: the file is missing, damaged, or was not written by hubel.
        UnknownNameError: there is no such network, or there are no such weights.
        WeightsError: the weights cannot be had.
        OptionError: it is an exported file, or neither a path nor a name.
    """
    if not isinstance(model, str | os.PathLike):
        raise OptionError(f"a model is a path or a name, not {model!r:.80}")
    if is_exported(model):
        raise OptionError(f"{model} is an exported file; this needs the model file that it was made from")
    if isinstance(model, OwnModel):
        return load_model(model_path(Path(model)), model=model.module)
    if means_a_file(model):
        return load_model(model_path(Path(model)))
    return load_pretrained(*known_network(str(model)))


def known_network(model: str) -> tuple[str, str]:
    """Return the exact name of a network and the tag of its weights, from a text such as "resnet50.a1_in1k".

    Raises:
        UnknownNameError: there is no such network.
    """
    name, _, tag = model.partition(".")
    if name not in (known := [*list_models(), *ALIASES]):
        raise UnknownNameError("model file, run or network", model, known, names_beside(Path(model)))
    return find(name)[0], tag or "default"
