"""Read the named tensors of a file of weights, whoever wrote it.

A file is held to its own size: nothing in it may be larger once read. Tensors are mapped, not read, so that weights
whose names or shapes are wrong cost no memory.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors.torch import load_file
from torch import Tensor

from hubel.core.errors import ModelFileError, WeightsError
from hubel.core.files import no_such
from hubel.data.reading import one_line
from hubel.nn.novelty import NOVELTY_PREFIX
from hubel.weights.model_file import load_model
from hubel.weights.safetensors_header import read_header

__all__ = ["read_weights"]

_WRAPPERS = ("state_dict", "model_state_dict", "state_dict_ema", "model_ema", "model", "net", "ema")
_MAX_FILE = 4 * 2**30  # bytes; the largest network of the catalogue has 0.6, its optimizer twice as many
_MAX_PICKLE = 4 * 2**20  # bytes, and steps: 30,000 tensors
_MOST_WRAPPERS = 100  # and other settings that are looked into for one
_ZIP = b"PK\x03\x04"
_DIGEST = '"sha256": "'  # in the header of hubel's own files


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors` file or a torch file (`.pth`, `.pt`, `.bin`), by name.

    A model file of hubel is compared with its checksum. A torch file is a pickle; it is read with `weights_only`, which
    runs no code in it; numbers of NumPy and settings beside the weights are passed over. Wrappers ("state_dict",
    "model") are removed.

    Raises:
        WeightsError: the file cannot be read, is damaged, contains other objects than weights, or no weights.
    """
    if not path.is_file():
        raise WeightsError(no_such(path, "file"))
    if (size := path.stat().st_size) > _MAX_FILE:
        raise WeightsError(f"{path} has {size / 2**30:.1f} GiB; weights of {_MAX_FILE / 2**30:.0f} GiB are the most")
    try:
        found = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    except WeightsError:
        raise
    except ModelFileError as error:
        raise WeightsError(f"{error}; expected weights") from None
    except Exception as error:  # malformed bytes can raise errors of any type
        if type(error).__name__ == "UnpicklingError":
            raise WeightsError(
                f"{path} contains Python objects beside weights, or is not a torch file; such a file can run any "
                "program, so it is not opened: save its state_dict() alone"
            ) from None
        raise WeightsError(f"{path} is damaged, or contains no weights ({one_line(error)})") from None
    return _unwrapped(path, found)


def _safetensors(path: Path) -> Mapping[str, Tensor]:
    header = read_header(path)
    metadata = header.get("__metadata__", {})
    if "hubel" in metadata:
        weights = load_model(path)[0].state_dict()
        # What tells images of no class from others belongs to the classes of that model.
        return {name: weight for name, weight in weights.items() if not name.startswith(NOVELTY_PREFIX)}
    if any(_DIGEST in text for text in map(str, metadata.values())):
        raise WeightsError(f"{path} is damaged: it is a model file of hubel without its card")
    return load_file(path)


def _torch(path: Path) -> Any:
    """Load a torch file; storages of a zip archive are mapped."""
    with torch.serialization.safe_globals(_PASSED_OVER):
        with path.open("rb") as file:
            if file.read(4) != _ZIP:  # by torch before 1.6
                file.seek(0)
                reader: Any = _BoundedPickle(file)
                return torch.load(reader, map_location="cpu", weights_only=True)
        _check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _check_archive(path: Path) -> None:
    """Refuse a zip archive that becomes larger when read, or does not match its own checksums."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(e.compress_type != zipfile.ZIP_STORED for e in entries) or sum(e.file_size for e in entries) > size:
            raise WeightsError(f"{path} is compressed, which torch's files of weights are not; unpack it first")
        if any(e.file_size > _MAX_PICKLE for e in entries if e.filename.endswith(".pkl")):
            raise WeightsError(f"{path} contains far more than weights: a pickle of over {_MAX_PICKLE:,} bytes")
        if damaged := archive.testzip():
            raise WeightsError(f"{path} is damaged: {damaged} does not match its checksum; it is no file of weights")


class _BoundedPickle:
    """A file whose pickle has a bounded number of steps. torch reads each by itself, and storages at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._steps = file, _MAX_PICKLE
        self.seek, self.tell, self.readinto = file.seek, file.tell, file.readinto  # type: ignore[attr-defined]

    def read(self, size: int = -1) -> bytes:
        self._steps -= 1
        if self._steps < 0:
            raise ValueError("far more than weights")
        return self._file.read(size)

    def readline(self) -> bytes:
        return self._file.readline(_MAX_PICKLE)

    def fileno(self) -> int:
        raise io.UnsupportedOperation  # otherwise torch would try an archive format that it does not read safely


class _PassedOver:
    """Stands for an object beside the weights that is not needed; it keeps and does nothing."""

    def __init__(self, *_: object) -> None: ...

    def __new__(cls, *_: object) -> _PassedOver:
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None: ...


# What checkpoints hold beside the weights, by the names in their pickles.
_PASSED_OVER: list[Any] = [
    (_PassedOver, name)
    for name in (
        "argparse.Namespace",
        "numpy.dtype",
        "numpy.ndarray",
        *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    )
]


def _unwrapped(path: Path, found: Any) -> dict[str, Tensor]:
    """Return the named tensors in a checkpoint; each must be what its file has bytes for."""
    if not (tensors := _state_dict(found, set())):
        several = list(_wrapped(found)) if isinstance(found, Mapping) else []
        sets = f"{len(several)} sets of named tensors ({one_line(', '.join(map(str, several)))}); save one alone"
        none = "no named tensors; expected the state_dict of a network"
        raise WeightsError(f"{path} contains {sets if several else none}")
    for name, tensor in tensors.items():
        if problem := _unusable(tensor):
            raise WeightsError(f"{path}: {one_line(name)} is {problem}; expected weights as plain numbers")
    storages = {s.data_ptr(): s.nbytes() for s in (tensor.untyped_storage() for tensor in tensors.values())}
    if sum(storages.values()) > path.stat().st_size:
        raise WeightsError(f"{path} is damaged: its weights are larger than the file")
    return tensors


def _state_dict(found: Any, seen: set[int]) -> dict[str, Tensor]:
    """Return the tensors in wrappers of known names, in the mapping itself, or in the only other one that has more."""
    if not isinstance(found, Mapping) or id(found) in seen or len(seen) == _MOST_WRAPPERS:  # one may contain itself
        return {}
    seen.add(id(found))
    for name in _WRAPPERS:
        if tensors := _state_dict(found.get(name), seen):
            return tensors
    own, wrapped = _tensors(found), list(_wrapped(found).values())
    return wrapped[0] if len(wrapped) == 1 and len(wrapped[0]) > len(own) else own  # an epoch is a tensor, too


def _wrapped(found: Mapping[Any, Any]) -> dict[Any, dict[str, Tensor]]:
    """Return the tensors in each mapping inside of one, where there are some."""
    inside = {name: _tensors(value) for name, value in found.items() if isinstance(value, Mapping)}
    return {name: tensors for name, tensors in inside.items() if tensors}


def _tensors(found: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {str(name): value for name, value in found.items() if isinstance(value, Tensor)}


def _unusable(tensor: Tensor) -> str:
    """Say why a tensor cannot be a weight; empty if it can."""
    kinds = {
        "nested": tensor.is_nested,
        "on the meta device, where it has no numbers": tensor.is_meta,
        "sparse": tensor.layout != torch.strided,
        "quantised": tensor.is_quantized,
        "complex": tensor.is_complex(),
        "of true and false": tensor.dtype == torch.bool,
    }
    if kind := next((kind for kind, applies in kinds.items() if applies), ""):
        return kind
    few = tensor.untyped_storage().nbytes() < tensor.nbytes
    return f"expanded to {tuple(tensor.shape)} from fewer numbers" if few else ""
