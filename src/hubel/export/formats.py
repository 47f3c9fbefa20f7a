"""Formats that a network can be exported to."""

from __future__ import annotations

import importlib
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from hubel.core.errors import ModelFileError, OptionError
from hubel.core.files import write_atomic
from hubel.core.lock import FileLock
from hubel.export.onnx_graph import FromBytes, example_images
from hubel.inference.fold import folded
from hubel.inference.onnx_file import read_onnx
from hubel.inference.quiet import undisturbed
from hubel.weights.card import ModelCard
from hubel.weights.foreign import foreign_weights

__all__ = ["FORMATS", "ExportFormat"]

_CLASSES = "classes.json"  # extra file of a TorchScript archive
_MADE_BY = "made by hubel export for"  # key in the metadata of weights alone


@dataclass(frozen=True)
class ExportFormat:
    """One format of exported networks.

    Attributes:
        suffix: ending of the file names.
        write: function that writes the file, given its path, the network, its card and the finished ONNX file.
        description: description in a few words.
        ours: function that tells whether an existing file is one of this format that hubel has made.
        companion: ending of a second file beside the first; "" for none.
    """

    suffix: str
    write: Callable[[Path, nn.Module, ModelCard, bytes], None]
    description: str
    ours: Callable[[Path], bool]
    companion: str = ""


def _onnx(path: Path, network: nn.Module, card: ModelCard, onnx: bytes) -> None:
    write_atomic(path, onnx)


def _is_onnx(path: Path) -> bool:
    try:
        return bool(read_onnx(path).facts)
    except ModelFileError:
        return False


def _torchscript(path: Path, network: nn.Module, card: ModelCard, onnx: bytes) -> None:
    whole = FromBytes(folded(network).cpu(), card).eval().requires_grad_(False)
    file = io.BytesIO()
    with undisturbed(), torch.inference_mode():
        traced = torch.jit.trace(whole, example_images(card), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, file, _extra_files={_CLASSES: json.dumps(card.classes)})
    write_atomic(path, file.getvalue())


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(f"/extra/{_CLASSES}") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _openvino(path: Path, network: nn.Module, card: ModelCard, onnx: bytes) -> None:
    if importlib.util.find_spec("openvino") is None:
        raise OptionError("the format openvino needs a library that is not installed: pip install openvino")
    with undisturbed(), tempfile.TemporaryDirectory() as folder:
        openvino = importlib.import_module("openvino")
        model = openvino.Core().read_model(onnx)
        model.set_rt_info(json.dumps(card.classes), ["hubel", "classes"])
        made = Path(folder) / "network.xml"
        openvino.save_model(model, made, compress_to_fp16=False)
        # Or one process's weights would lie beside another's graph.
        with FileLock(path.with_name(f".{path.name}.lock")):
            for suffix in (".bin", ".xml"):  # last the one that needs the other
                write_atomic(path.with_suffix(suffix), made.with_suffix(suffix).read_bytes())


def _is_openvino(path: Path) -> bool:
    text = path.read_bytes()
    return text.startswith(b"<?xml") and b"<hubel>" in text


def _safetensors(library: str) -> Callable[[Path, nn.Module, ModelCard, bytes], None]:
    def write(path: Path, network: nn.Module, card: ModelCard, onnx: bytes) -> None:
        weights = {name: t.contiguous() for name, t in foreign_weights(library, card.model, network).items()}
        write_atomic(path, save(weights, {"format": "pt", _MADE_BY: library}))

    return write


def _is_weights(path: Path) -> bool:
    try:
        with safe_open(path, "pt") as weights:
            return _MADE_BY in (weights.metadata() or {})
    except (OSError, SafetensorError):
        return False


#: Export formats by name.
FORMATS = {
    "onnx": ExportFormat(".onnx", _onnx, "one file for hubel predict and any ONNX tool", _is_onnx),
    "torchscript": ExportFormat(
        ".torchscript", _torchscript, "for libtorch; the same input and outputs", _is_torchscript
    ),
    "safetensors-timm": ExportFormat(
        ".timm.safetensors", _safetensors("timm"), "weights alone, under timm's names", _is_weights
    ),
    "safetensors-torchvision": ExportFormat(
        ".torchvision.safetensors", _safetensors("torchvision"), "weights alone, under torchvision's names", _is_weights
    ),
    "openvino": ExportFormat(
        ".xml", _openvino, "for OpenVINO alone; the weights lie beside it as .bin", _is_openvino, companion=".bin"
    ),
}
