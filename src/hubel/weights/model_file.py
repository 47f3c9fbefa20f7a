"""The model file: one `.safetensors` file with the weights and everything that is needed to use them.

The metadata has one key, "hubel": the card as JSON. It includes a SHA-256 of the whole file (computed with a
placeholder instead of the digest), so that any changed byte is detected. Nothing depends on the clock.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from hubel.core.errors import HubelError, ModelFileError, OptionError
from hubel.core.files import write_atomic
from hubel.core.shell import shell_command
from hubel.weights.card import ModelCard

__all__ = ["is_model_file", "load_model", "model_path", "read_card", "save_model"]

_FORMAT = 1
_NO_DIGEST = "the SHA-256 of this file, taken with these words, in hexadecimal"  # 64 characters, like the digest
_OF_OTHERS = (".pt", ".pth", ".bin", ".ckpt")
_MAX_HEADER = 100 * 2**20


def save_model(path: Path, weights: Mapping[str, Tensor], card: ModelCard) -> None:
    """Write a model file atomically. Equal weights and cards give equal bytes."""
    described = {**dataclasses.asdict(card), "format": _FORMAT, "sha256": _NO_DIGEST}
    # Contiguous copies: the memory order of channels-last tensors would be stored, but not restored.
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(weights.items())}
    data = save(plain, {"hubel": json.dumps(described, sort_keys=True, allow_nan=False)})
    digest = hashlib.sha256(data).hexdigest()
    write_atomic(path, data.replace(_as_stored(_NO_DIGEST), _as_stored(digest), 1))


def model_path(path: Path) -> Path:
    """Return the path of a model file, given the file or the folder of a run.

    Raises:
        ModelFileError: there is no such file.
    """
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        inside = " in this folder" if path.is_dir() else ""
        raise ModelFileError(f"{path}: no model file{inside}; expected model.safetensors or the folder of a run")
    return file


def read_card(path: Path) -> ModelCard:
    """Read the card of a model file, without reading or verifying the weights.

    Raises:
        ModelFileError: the file is missing, or was not written by hubel.
    """
    return _card(path, _header(path))


def is_model_file(path: Path) -> bool:
    """Tell whether a file is a model file of hubel, by its card alone."""
    try:
        read_card(path)
    except ModelFileError:
        return False
    return True


def load_model(path: Path) -> tuple[nn.Module, ModelCard]:
    """Load the network of a model file, in evaluation mode, and its card.

    Raises:
        ModelFileError: the file is missing, damaged, or was not written by hubel.
    """
    header = _header(path)
    card = _card(path, header)
    data = path.read_bytes()
    stated = json.loads(header["__metadata__"]["hubel"])["sha256"]
    if hashlib.sha256(data.replace(_as_stored(stated), _as_stored(_NO_DIGEST), 1)).hexdigest() != stated:
        raise ModelFileError(f"{path} is damaged: its content does not match the checksum in it")
    try:
        tensors = load(data)
        with torch.device("meta"):
            network = card.create()
        if misfit := _misfit(network.state_dict(), tensors):
            raise OptionError(misfit)
        network.load_state_dict(tensors, assign=True)
    except (SafetensorError, HubelError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise ModelFileError(f"{path} does not match its network {card.model!r}: {first}") from None
    return network.eval(), card


def _as_stored(digest: str) -> bytes:
    """Return key and digest as bytes of the file: the digest alone could also be a class name."""
    return json.dumps(json.dumps({"sha256": digest}))[2:-2].encode()


def _misfit(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Describe the first difference in names, shapes and types; empty if there is none."""

    def described(tensor: Tensor | None) -> str:
        if tensor is None:
            return "absent"
        return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"

    for name in sorted({*expected, *found}):
        got, wanted = described(found.get(name)), described(expected.get(name))
        if got != wanted:
            return f"{name!r} is {got} in the file and {wanted} in the network"
    return ""


def _header(path: Path) -> dict[str, Any]:
    """Read the JSON header of a safetensors file."""
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder; expected a model file such as model.safetensors")
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file")
    if path.suffix.lower() in _OF_OTHERS:
        command = shell_command("hubel", "weights", "convert", path, "--model", "NAME")
        raise ModelFileError(f"{path} holds weights of another program, and no model of hubel; to make one: {command}")
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            (length,) = struct.unpack_from("<Q", data)
            if length > min(_MAX_HEADER, len(data) - 8):
                raise ModelFileError(f"{path} is truncated, or is not a safetensors file")
            header = json.loads(data[8 : 8 + length])
            whole = (
                8 + length + max((t["data_offsets"][1] for n, t in header.items() if n != "__metadata__"), default=0)
            )
            if len(data) != whole:
                problem = "is truncated" if len(data) < whole else "has extra bytes at its end"
                raise ModelFileError(f"{path} {problem}: {len(data):,} bytes, expected {whole:,}")
    except ModelFileError:
        raise
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, struct.error, LookupError, TypeError, AttributeError, RecursionError):
        raise ModelFileError(f"{path} is damaged, or is not a safetensors file: its header cannot be read") from None
    return dict(header)


def _card(path: Path, header: dict[str, Any]) -> ModelCard:
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or "hubel" not in metadata:
        raise ModelFileError(f"{path} is a safetensors file, but not a model file of hubel: it has no card")
    try:
        fields = json.loads(metadata["hubel"])
        if (written := fields.pop("format")) != _FORMAT:
            raise ModelFileError(
                f"{path} has version {written!r} of the model file format; this version of hubel reads {_FORMAT}"
            )
        digest = fields.pop("sha256")
        if not isinstance(digest, str) or len(digest) != len(_NO_DIGEST):
            raise ValueError("no checksum")
        return ModelCard.from_json(fields)
    except ModelFileError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged: its card cannot be read ({error})") from None
