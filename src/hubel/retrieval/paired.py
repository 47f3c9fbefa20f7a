"""An encoder that was trained on pairs of images and captions (`hubel train PAIRS.csv`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import ModelFileError
from hubel.core.files import model_in, user_path
from hubel.core.vectors import unit
from hubel.data.preprocess import Preprocess
from hubel.inference.fold import folded
from hubel.inference.forward import forward
from hubel.nn.pooled import PooledMaps
from hubel.retrieval.minilm import DIGEST, load_minilm
from hubel.weights.paired_file import PairedModel, load_paired, paired_digest

__all__ = ["PairedEncoder", "mapped", "paired_network"]


def paired_network(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose outputs are the features `(n, d)` that pairs are trained on.

    Its batch norms are folded, which halves the time.

    Raises:
        OptionError: the network has no stages.
    """
    return PooledMaps(folded(network)).eval()


class PairedEncoder:
    """A model file of pairs; see `hubel.retrieval.encoder.Encoder`.

    Args:
        path: of the file, or the folder of its run.

    Raises:
        ModelFileError: the file is missing or damaged, or was trained with another text encoder.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = model_in(user_path(path))
        self.name = str(path)
        self.digest = paired_digest(self._path)

    @cached_property
    def _model(self) -> PairedModel:
        model = load_paired(self._path)
        if model.text != DIGEST:
            raise ModelFileError(f"{self._path} was trained with another text encoder; train it again")
        return model

    @cached_property
    def _features(self) -> nn.Module:
        return paired_network(self._model.network)

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return len(self._model.image_map)

    @property
    def scale(self) -> float:
        """Factor of cosines before a softmax: as learnt, or 100 where an older file does not say it."""
        return float(self._model.provenance.get("scale", 100.0))

    @property
    def preprocess(self) -> Preprocess:
        """Preprocessing of images."""
        return self._model.card.preprocess

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return unit vectors float32 `(n, d)` of resized images uint8 `(n, h, w, 3)`, RGB."""
        return mapped(forward(self._features, pixels, self.preprocess), self._model.image_map.numpy())

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors float32 `(n, d)` of texts."""
        return mapped(load_minilm().encode(list(texts)), self._model.text_map.numpy())


def mapped(features: NDArray[np.float32], affine: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return unit vectors `(n, d)` of features `(n, a)` by an affine map `(d, a + 1)`, which adds its last column."""
    return unit(features @ affine[:, :-1].T + affine[:, -1])
