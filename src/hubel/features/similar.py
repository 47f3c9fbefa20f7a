"""Find the images of a folder that are most similar to another one, by the cosine of a network's features.

The features of an image are what the last linear layer of the network sees, scaled to unit length. They are kept in an
index; see `hubel.retrieval.index`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.ranges import check_range
from hubel.core.vectors import unit
from hubel.data.inputs import Input
from hubel.data.preprocess import Preprocess
from hubel.data.sources.kind import Rooted
from hubel.inference.forward import forward
from hubel.inference.predictor import Predictor
from hubel.retrieval.index import Embedder, FolderIndex, Neighbour, index_images

__all__ = ["embed_images", "index_folder", "similar_images"]


def similar_images(
    predictor: Predictor, folder: str | Path | Rooted, query: str | Path, *, top_k: int = 10
) -> tuple[list[Neighbour], FolderIndex]:
    """Return the `top_k` images of a folder, or of a table, that are most similar to the image `query`, and the index.

    A query that lies in the folder finds itself first.

    Raises:
        OptionError: `top_k` is below 1.
        DecodeError: the query cannot be read.
        DataError: there is no such folder, or no image in it that can be read.
    """
    check_range("--top", top_k, 1, 1_000_000, whole=True)
    preprocess = predictor.card.preprocess
    pixels = preprocess.apply(Input(str(query)).decode(preprocess.min_size).pixels)  # first: nobody waits for an error
    index = index_folder(predictor, folder)
    (vector,) = embed_images(predictor.network, pixels[None], preprocess)
    return index.search(vector, top_k=top_k), index


def index_folder(predictor: Predictor, folder: str | Path | Rooted) -> FolderIndex:
    """Return the index of all images below a folder, or of those that a table names, from the cache as far as possible.

    Args:
        predictor: a trained model.
        folder: see `hubel.retrieval.index.index_images`.

    Raises:
        DataError: there is no such folder, or no image in it that can be read.
    """

    def embed(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return embed_images(predictor.network, pixels, predictor.card.preprocess)

    embedder = Embedder(
        digest=_digest(predictor), preprocess=predictor.card.preprocess, prepare=lambda images: (embed, 1)
    )
    return index_images(embedder, folder)


def embed_images(network: nn.Module, pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.float32]:
    """Return features `(n, d)` of unit length of resized images uint8 `(n, h, w, c)`.

    They are what enters the last linear layer; of a network without one, its outputs. Nothing stays on the network.
    """
    seen: list[NDArray[np.float32]] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(1).float().cpu().numpy()))
        for layer in network.modules()
        if isinstance(layer, nn.Linear)
    ]
    try:
        outputs = forward(network, pixels, preprocess)
    finally:
        for hook in hooks:
            hook.remove()
    features = seen[-1] if seen else outputs.reshape(len(outputs), -1)
    return unit(features)


def _digest(predictor: Predictor) -> str:
    """Return a digest of the weights and the preprocessing."""
    digest, card = hashlib.sha256(), predictor.card
    described = [card.model, dict(card.options), card.preprocess.to_json()]
    digest.update(json.dumps(described, sort_keys=True, default=str).encode("utf-8", "surrogateescape"))
    for name, tensor in sorted(predictor.network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
