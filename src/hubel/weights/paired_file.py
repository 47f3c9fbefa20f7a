"""The file of an encoder that was trained on pairs: a network, and what maps its features and those of texts together.

It is one `.safetensors` file, checked like a model file (`hubel.weights.model_file`): the network's weights under
"image.", and two affine maps. The text encoder comes in a package; the file has the digest of its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from hubel.core.errors import HubelError, ModelFileError, OptionError
from hubel.nn.pooled import PooledMaps
from hubel.nn.shapes_only import shapes_only
from hubel.weights.bounded_json import parse_json
from hubel.weights.card import ModelCard
from hubel.weights.model_file import PAIRED, first_not_finite, misfit, save_described, too_large, verified
from hubel.weights.safetensors_header import read_header

__all__ = ["PairedModel", "is_paired_file", "load_paired", "paired_digest", "save_paired"]

_FORMAT = 1
_IMAGE = "image."


@dataclass(frozen=True, eq=False, kw_only=True)
class PairedModel:
    """A network and a text encoder whose features are mapped into one space.

    Attributes:
        network: the network; its features are those of `hubel.nn.pooled.PooledMaps`.
        card: of the network.
        text: SHA-256 of the text encoder's weights.
        image_map: `(d, features + 1)`: the matrix, and in its last column what is added.
        text_map: likewise for the text encoder's vectors.
        provenance: origin of the maps, as JSON values.
    """

    network: nn.Module
    card: ModelCard
    text: str
    image_map: Tensor
    text_map: Tensor
    provenance: Mapping[str, Any] = field(default_factory=dict)


def save_paired(path: Path, model: PairedModel) -> None:
    """Write the file atomically."""
    weights = {_IMAGE + name: tensor for name, tensor in model.network.state_dict().items()}
    weights |= {"image_map": model.image_map, "text_map": model.text_map}
    described = {
        "format": _FORMAT,
        "image": model.card.to_json(),
        "text": model.text,
        "sizes": [list(model.image_map.shape), list(model.text_map.shape)],
        "provenance": dict(model.provenance),
    }
    save_described(path, weights, PAIRED, described)


def is_paired_file(path: Path) -> bool:
    """Tell whether a file is one that `save_paired` wrote, by its header alone."""
    try:
        return path.is_file() and PAIRED in read_header(path).get("__metadata__", {})
    except HubelError:
        return False


def paired_digest(path: Path) -> str:
    """Return the SHA-256 that a file states of itself.

    Raises:
        ModelFileError: it is no such file.
    """
    return str(_described(path, read_header(path))["sha256"])


def load_paired(path: Path) -> PairedModel:
    """Load a file, its network in evaluation mode.

    Raises:
        ModelFileError: the file is missing, damaged, or no file of pairs.
    """
    header = read_header(path)
    described = _described(path, header)
    try:
        card = ModelCard.from_json(described["image"])
        with shapes_only():
            network = card.create().eval()
            shape = (1, card.preprocess.channels, card.preprocess.height, card.preprocess.width)
            expected = {_IMAGE + name: tensor for name, tensor in network.state_dict().items()}
            sizes = [torch.empty(*map(int, size)) for size in described["sizes"]]
            expected |= dict(zip(("image_map", "text_map"), sizes, strict=True))
            if problem := misfit(expected, header) or too_large(network, card):
                raise OptionError(problem)
            features = PooledMaps(network).eval()(torch.empty(shape)).shape[1]
        if sizes[0].shape[1] != features + 1 or sizes[0].shape[0] != sizes[1].shape[0]:
            raise OptionError(f"its map of images is {tuple(sizes[0].shape)}, for {features:,} features")
        tensors = load(verified(path, header, PAIRED))
        if name := first_not_finite(tensors):
            raise OptionError(f"{name!r} contains NaN or infinite numbers")
        weights = {name.removeprefix(_IMAGE): t for name, t in tensors.items() if name.startswith(_IMAGE)}
        network.load_state_dict(weights, assign=True)
    except ModelFileError:
        raise
    except (SafetensorError, OptionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    return PairedModel(
        network=network,
        card=card,
        text=str(described["text"]),
        image_map=tensors["image_map"],
        text_map=tensors["text_map"],
        provenance=described.get("provenance", {}),
    )


def _described(path: Path, header: Mapping[str, Any]) -> dict[str, Any]:
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or PAIRED not in metadata:
        raise ModelFileError(f"{path} was not trained on pairs; hubel train PAIRS.csv makes such a file")
    try:
        described = dict(parse_json(metadata[PAIRED].encode()))
        written, digest = described["format"], described["sha256"]
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged: its description cannot be read ({error})") from None
    if written != _FORMAT or not isinstance(digest, str):
        raise ModelFileError(f"{path} has version {written!r} of its format; this version of hubel reads {_FORMAT}")
    return described
