"""The model file: one `.safetensors` file with the weights and everything that is needed to use them.

The metadata of the file has one key, "hubel": the card as JSON. It states a SHA-256 of the whole file (taken with the
a placeholder instead of the digest), so that a single changed byte anywhere is noticed. Nothing in it depends on the clock.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from hubel.core.errors import HubelError, ModelFileError
from hubel.core.files import write_atomic
from hubel.data.preprocess import Preprocess
from hubel.models.catalogue import create_model

__all__ = ["ModelCard", "load_model", "model_path", "read_card", "save_model"]

_FORMAT = 1
_NO_DIGEST = b"the SHA-256 of this file, taken with these words, in hexadecimal"  # 64 bytes, as long as the digest
_MAX_HEADER = 100 * 2**20


@dataclass(frozen=True)
class ModelCard:
    """What a model is, beside its weights.

    Attributes:
        model: the name of the network in the catalogue.
        classes: names, in the order of the network's outputs.
        preprocess: how an image becomes the network's input.
        options: the network's options that differ from the catalogue's.
        scores: how outputs become scores: "softmax" (one class an image) or "sigmoid" (any number of classes).
        temperature: outputs are divided by it before they become scores; above 0.
        provenance: where the model came from; plain JSON values.
    """

    model: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    options: Mapping[str, Any] = field(default_factory=dict)
    scores: str = "softmax"
    temperature: float = 1.0
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def create(self) -> nn.Module:
        """A network of this description, with fresh weights."""
        return create_model(
            self.model,
            num_classes=len(self.classes),
            in_channels=self.preprocess.channels,
            input_size=(self.preprocess.height, self.preprocess.width),
            options=self.options,
        )


def save_model(path: Path, weights: Mapping[str, Tensor], card: ModelCard) -> None:
    """Write a model file atomically. Equal weights and cards give equal bytes."""
    described = {**dataclasses.asdict(card), "format": _FORMAT, "sha256": _NO_DIGEST.decode()}
    # Contiguous copies: tensors in channels-last order would be stored otherwise than they are read.
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(weights.items())}
    data = save(plain, {"hubel": json.dumps(described, sort_keys=True, allow_nan=False)})
    digest = hashlib.sha256(data).hexdigest().encode()
    write_atomic(path, data.replace(_NO_DIGEST, digest, 1))


def model_path(path: Path) -> Path:
    """The model file that a user means by a file, or by the folder of a run.

    Raises:
        ModelFileError: there is none.
    """
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        inside = " in this folder" if path.is_dir() else ""
        raise ModelFileError(f"{path}: no model file{inside}; expected model.safetensors or the folder of a run")
    return file


def read_card(path: Path) -> ModelCard:
    """The card of a model file, without its weights and without proof that these are whole.

    Raises:
        ModelFileError: the file is missing, or was not written by hubel.
    """
    return _card(path, _header(path))


def load_model(path: Path) -> tuple[nn.Module, ModelCard]:
    """The network in a model file, in evaluation mode, and its card.

    Raises:
        ModelFileError: the file is missing, damaged, or was not written by hubel.
    """
    header = _header(path)
    card = _card(path, header)
    data = path.read_bytes()
    stated = json.loads(header["__metadata__"]["hubel"])["sha256"]
    if hashlib.sha256(data.replace(stated.encode(), _NO_DIGEST, 1)).hexdigest() != stated:
        raise ModelFileError(f"{path} is damaged: its content does not match the checksum in it")
    try:
        tensors = load(data)
        with torch.device("meta"):
            network = card.create()
            other = [name for name, tensor in network.state_dict().items() if tensors[name].dtype != tensor.dtype]
        if other:
            raise ModelFileError(f"the weights {other[0]} are of another type")
        network.load_state_dict(tensors, assign=True)
    except (SafetensorError, HubelError, RuntimeError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise ModelFileError(f"{path} does not fit the network {card.model!r} that it names: {first}") from None
    return network.eval(), card


def _header(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            (length,) = struct.unpack_from("<Q", data)
            if length > min(_MAX_HEADER, len(data) - 8):
                raise ModelFileError(f"{path} is cut short, or is no safetensors file")
            header = json.loads(data[8 : 8 + length])
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
            if len(data) != 8 + length + max(ends, default=0):
                raise ModelFileError(
                    f"{path} is cut short: {len(data):,} bytes of {8 + length + max(ends, default=0):,}"
                )
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ModelFileError(f"{path} is a folder; expected a model file such as model.safetensors") from None
    except OSError as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, struct.error, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelFileError(f"{path} is damaged, or is no safetensors file: it has no readable header") from None
    return dict(header)


def _card(path: Path, header: dict[str, Any]) -> ModelCard:
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or "hubel" not in metadata:
        raise ModelFileError(
            f"{path} is a safetensors file, but not a model of hubel's: it names no classes and no network"
        )
    try:
        fields = json.loads(metadata["hubel"])
        if fields.pop("format") != _FORMAT:
            raise ModelFileError(
                f"{path} was written by another version of hubel, in a format that this one cannot read"
            )
        if len(fields.pop("sha256")) != len(_NO_DIGEST):
            raise ValueError("no checksum")
        fields["preprocess"] = Preprocess.from_json(fields["preprocess"])
        fields["classes"] = tuple(str(name) for name in fields["classes"])
        return ModelCard(**fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{path} is damaged: its description cannot be read ({error})") from None
