"""The model file: one `.safetensors` file with the weights and everything that is needed to use them.

The metadata has one key, "hubel": the card as JSON. It includes a SHA-256 of the whole file (computed with a
placeholder instead of the digest), so that any changed byte is detected. Nothing depends on the clock.

Whoever sent a file may have written anything into it. Its layout is compared with its own size and with the network of
its card before a weight is read, and the network is built on torch's meta device, which allocates nothing: reading a
file costs no more memory than its size, whatever it says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from hubel.core.errors import ModelFileError, OptionError
from hubel.core.files import model_in, no_such, write_atomic
from hubel.core.shell import shell_command
from hubel.nn.shapes_only import shapes_only
from hubel.weights.bounded_json import parse_json
from hubel.weights.card import ModelCard
from hubel.weights.own_module import check_answer
from hubel.weights.safetensors_header import read_header

__all__ = [
    "PAIRED",
    "first_not_finite",
    "is_model_file",
    "load_model",
    "misfit",
    "model_path",
    "read_card",
    "save_described",
    "save_model",
    "too_large",
    "unshared",
    "verified",
]

#: Key of the metadata of files that `hubel.weights.paired_file` writes.
PAIRED = "hubel.paired"


_FORMAT = 1
_NO_DIGEST = "the SHA-256 of this file, taken with these words, in hexadecimal"  # 64 characters, like the digest
_MAX_MAP = 2**29  # bytes of the largest map of one image; two or three of them are in memory at once
_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_OF_OTHERS = (".pt", ".pth", ".bin", ".ckpt")


def save_model(path: Path, weights: Mapping[str, Tensor], card: ModelCard) -> None:
    """Write a model file atomically. Equal weights and cards give equal bytes."""
    save_described(path, weights, "hubel", {**card.to_json(), "format": _FORMAT})


def save_described(path: Path, weights: Mapping[str, Tensor], key: str, description: Mapping[str, Any]) -> None:
    """Write a safetensors file atomically whose metadata has one description, with a SHA-256 of the whole file.

    Args:
        path: of the file.
        weights: tensors by name.
        key: of the metadata.
        description: JSON values, `sha256` not among them.
    """
    described = {**description, "sha256": _NO_DIGEST}
    # Contiguous copies: the memory order of channels-last tensors would be stored, but not restored.
    plain = unshared({name: tensor.detach().cpu().contiguous() for name, tensor in sorted(weights.items())})
    data = save(plain, {key: json.dumps(described, sort_keys=True, allow_nan=False)})
    digest = hashlib.sha256(data).hexdigest()
    write_atomic(path, data.replace(_as_stored(_NO_DIGEST), _as_stored(digest), 1))


def unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of which no two lie in the same memory, which safetensors refuses: layers may share weights."""
    seen, apart = set[int](), dict[str, Tensor]()
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return apart


def model_path(path: Path) -> Path:
    """Return the path of a model file, given the file or the folder of a run.

    Raises:
        ModelFileError: there is no such file.
    """
    file = model_in(path)
    if not file.is_file():
        expected = "model.safetensors or the folder of a run"
        empty = f"{path}: no model file in this folder; expected {expected}"
        raise ModelFileError(empty if path.is_dir() else no_such(path, "model file", expected))
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


def load_model(path: Path, *, model: nn.Module | None = None) -> tuple[nn.Module, ModelCard]:
    """Load the network of a model file, in evaluation mode, and its card.

    Args:
        path: of the file.
        model: a module of the class that was trained, for a network of one's own: hubel imports no code that a file
            names. It is copied; its weights do not matter.

    Raises:
        ModelFileError: the file is missing, damaged, or was not written by hubel; or its network is of a class of its
            user's and the module is missing, or another one.
    """
    header = _header(path)
    card = _card(path, header)
    _check_brought(path, card, model)
    try:
        if model is not None:
            return _own_network(path, header, card, model), card
        with shapes_only():
            network = card.create().eval()
        if problem := misfit(network.state_dict(), header) or too_large(network, card):
            raise OptionError(problem)
        tensors = load(verified(path, header))
        if name := first_not_finite(tensors):
            raise OptionError(f"{name!r} contains NaN or infinite numbers")
        if card.novelty is not None and not (scale := tensors["novelty.scale"].item()) > 0:
            raise OptionError(f"'novelty.scale' is {scale:g}, and has to be above 0")
        network.load_state_dict(tensors, assign=True)
    except (SafetensorError, OptionError, LookupError, RuntimeError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise ModelFileError(f"{path} does not match its network {card.model!r}: {first}") from None
    return network, card


def _check_brought(path: Path, card: ModelCard, model: nn.Module | None) -> None:
    """Refuse a file of a user's own class without a module, and a module where none is needed."""
    if card.own is not None and model is None:
        raise ModelFileError(
            f"{path} holds weights of a class of its user's, {card.own.name} of the module {card.own.module}, which "
            f"hubel never imports; in Python, bring a module of it: hubel.load({str(path)!r}, "
            f"model={card.own.short}(...)); an exported file needs none"
        )
    if card.own is None and model is not None:
        raise ModelFileError(f"{path} holds the network {card.model!r} of the catalogue; leave model= out")


def _own_network(path: Path, header: Mapping[str, Any], card: ModelCard, model: nn.Module) -> nn.Module:
    """Return a copy of a user's module with the weights of a file, in evaluation mode."""
    assert card.own is not None, "whoever calls has looked"
    network = card.create(model).eval()
    if problem := misfit(network.state_dict(), header):
        raise OptionError(problem)
    tensors = load(verified(path, header))
    # Its buffers may be infinite on purpose, as masks are.
    if name := first_not_finite({name: tensors[name] for name, _ in network.named_parameters()}):
        raise OptionError(f"{name!r} contains NaN or infinite numbers")
    network.load_state_dict(tensors)  # copied, so that weights that layers share stay shared
    check_answer(card.own, network, card.preprocess)
    return network


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with NaN or infinite numbers; None if there is none."""

    def is_finite(tensor: Tensor) -> bool:
        # A sum is quicker, but that of finite numbers may be infinite, too.
        return not tensor.is_floating_point() or bool(tensor.sum().isfinite() or tensor.isfinite().all())

    return next((name for name, tensor in tensors.items() if not is_finite(tensor)), None)


def verified(path: Path, header: Mapping[str, Any], key: str = "hubel") -> bytes:
    """Read a whole file, and compare it with the checksum in its description.

    Raises:
        ModelFileError: the file is damaged.
    """
    data = path.read_bytes()
    stated = json.loads(header["__metadata__"][key])["sha256"]
    start = data.find(_as_stored(stated))
    digest = hashlib.sha256(memoryview(data)[: max(start, 0)])
    digest.update(_as_stored(_NO_DIGEST))
    digest.update(memoryview(data)[start + len(_as_stored(stated)) :])
    if start < 0 or digest.hexdigest() != stated:
        raise ModelFileError(f"{path} is damaged: its content does not match the checksum in it")
    return data


def _as_stored(digest: str) -> bytes:
    """Return key and digest as bytes of the file: the digest alone could also be a class name."""
    return json.dumps(json.dumps({"sha256": digest}))[2:-2].encode()


def misfit(expected: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """Describe the first difference of a header's names, types and shapes; empty if there is none."""
    found = {name: entry for name, entry in header.items() if name != "__metadata__"}

    def described(kind: object, shape: object) -> str:
        return f"{str(kind).removeprefix('torch.')} {shape}"

    for name in sorted({*expected, *found}):
        got = wanted = "absent"
        if name in found:
            kind = found[name]["dtype"]
            got = described(_TYPES.get(str(kind), kind), tuple(found[name]["shape"]))
        if name in expected:
            wanted = described(expected[name].dtype, tuple(expected[name].shape))
        if got != wanted:
            return f"{name!r} is {got} in the file and {wanted} in the network"
    return ""


def too_large(network: nn.Module, card: ModelCard) -> str:
    """Describe a map that would take too much memory, for a network on the meta device; empty if there is none."""
    p = card.preprocess
    widest = max((tensor.shape[0] for tensor in network.state_dict().values() if tensor.ndim == 4), default=1)
    if 4 * p.height * p.width * widest <= _MAX_MAP:  # no map is larger than that; quicker than to run the network
        return ""
    sizes = [0]

    def note(_: nn.Module, __: object, output: object) -> None:
        sizes.append(output.nbytes if isinstance(output, Tensor) else 0)

    handles = [module.register_forward_hook(note) for module in network.modules()]
    with torch.inference_mode():
        network(torch.empty(1, p.channels, p.height, p.width, device="meta"))
    for handle in handles:
        handle.remove()
    if max(sizes) <= _MAX_MAP:
        return ""
    return (
        f"an image of {p.height}x{p.width} pixels would take {max(sizes) / 2**20:,.0f} MiB for one map; "
        f"{_MAX_MAP / 2**20:,.0f} MiB are the most"
    )


def _header(path: Path) -> dict[str, Any]:
    if path.suffix.lower() in _OF_OTHERS and path.is_file():
        command = shell_command("hubel", "weights", "convert", path, "--model", "NAME")
        raise ModelFileError(f"{path} holds weights of another program, and no model of hubel; to make one: {command}")
    return read_header(path)


def _card(path: Path, header: dict[str, Any]) -> ModelCard:
    metadata = header.get("__metadata__")
    if isinstance(metadata, dict) and PAIRED in metadata:
        command = shell_command("hubel", "search", "FOLDER", "WORDS", "--encoder", path)
        raise ModelFileError(
            f"{path} compares images with texts, and is no network of the catalogue; use it by {command}"
        )
    if not isinstance(metadata, dict) or "hubel" not in metadata:
        raise ModelFileError(f"{path} is a safetensors file, but not a model file of hubel: it has no card")
    try:
        fields = parse_json(metadata["hubel"].encode())
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
