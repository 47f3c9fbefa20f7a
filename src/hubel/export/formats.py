"""Formats that a network can be exported to."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from hubel.core.errors import OptionError
from hubel.core.files import unfinished, write_atomic
from hubel.export.onnx_graph import FromBytes, example_images
from hubel.inference.fold import folded
from hubel.inference.quiet import undisturbed
from hubel.weights.card import ModelCard
from hubel.weights.foreign import foreign_weights

__all__ = ["FORMATS", "ExportFormat"]


@dataclass(frozen=True)
class ExportFormat:
    """One format of exported networks.

    Attributes:
        suffix: ending of the file names.
        write: function that writes the file, given its path, the network, its card and the finished ONNX file.
        description: description in a few words.
    """

    suffix: str
    write: Callable[[Path, nn.Module, ModelCard, bytes], None]
    description: str


def _onnx(path: Path, network: nn.Module, card: ModelCard, onnx: bytes) -> None:
    write_atomic(path, onnx)


def _torchscript(path: Path, network: nn.Module, card: ModelCard, onnx: bytes) -> None:
    whole = FromBytes(folded(network).cpu(), card).eval().requires_grad_(False)
    file = io.BytesIO()
    with undisturbed(), torch.inference_mode():
        traced = torch.jit.trace(whole, example_images(card), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, file, _extra_files={"classes.json": json.dumps(card.classes)})
    write_atomic(path, file.getvalue())


def _openvino(path: Path, network: nn.Module, card: ModelCard, onnx: bytes) -> None:
    if importlib.util.find_spec("openvino") is None:
        raise OptionError("the format openvino needs a library that is not installed: pip install openvino")
    with undisturbed():
        openvino = importlib.import_module("openvino")
        model = openvino.Core().read_model(onnx)
        model.set_rt_info(json.dumps(card.classes), ["hubel", "classes"])
        with unfinished(path) as making:
            making.mkdir(parents=True)
            openvino.save_model(model, making / path.name, compress_to_fp16=False)
            for suffix in (".bin", ".xml"):  # last the one that needs the other
                write_atomic(path.with_suffix(suffix), (making / path.name).with_suffix(suffix).read_bytes())


def _safetensors(library: str) -> Callable[[Path, nn.Module, ModelCard, bytes], None]:
    def write(path: Path, network: nn.Module, card: ModelCard, onnx: bytes) -> None:
        weights = {name: t.contiguous() for name, t in foreign_weights(library, card.model, network).items()}
        write_atomic(path, save(weights))

    return write


#: Export formats by name.
FORMATS = {
    "onnx": ExportFormat(".onnx", _onnx, "one file for hubel predict and any ONNX tool"),
    "torchscript": ExportFormat(".torchscript", _torchscript, "for libtorch; the same input and outputs"),
    "safetensors-timm": ExportFormat(".timm.safetensors", _safetensors("timm"), "weights alone, under timm's names"),
    "safetensors-torchvision": ExportFormat(
        ".torchvision.safetensors", _safetensors("torchvision"), "weights alone, under torchvision's names"
    ),
    "openvino": ExportFormat(".xml", _openvino, "for OpenVINO alone; the weights lie beside it as .bin"),
}
