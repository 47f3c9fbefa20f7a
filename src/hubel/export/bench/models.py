"""What `hubel bench` measures: any model as files that a process of its own can open. Nothing is downloaded."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import HubelError, ModelFileError, OptionError, UnknownNameError, WeightsError
from hubel.export.bench.row import noise
from hubel.inference.engines.registry import ONNX_ENGINES, installed_onnx_engines
from hubel.inference.onnx_file import described, is_exported, read_onnx

if TYPE_CHECKING:
    from torch import nn

    from hubel.data.dataset import Dataset
    from hubel.weights.card import ModelCard
    from hubel.weights.pretrained import Pretrained

__all__ = ["TORCH", "Candidate", "Plan", "plan"]

TORCH = "torch"  # the engine of models that are not exported

_PRECISIONS = {"float32": "float", "int8": "int8"}  # as the file says: as people do
_CALIBRATION = 100  # images; for the speed alone far fewer do
_NOISE = 16
_SEEN = 4  # images of noise that fresh batch norms see
_ON_NOISE = (
    "in int8 is calibrated on noise, which is good for timing only: it may name wrong classes; --data PHOTOS "
    "calibrates on photos"
)


@dataclass(frozen=True)
class Candidate:
    """A way to run a model.

    Attributes:
        engine: "torch", or one of `ONNX_ENGINES`.
        precision: "float" or "int8".
        file: makes what is to be run when it is wanted, at the latest moment; may raise a HubelError.
    """

    engine: str
    precision: str
    file: Callable[[], Path]


@dataclass(frozen=True)
class Plan:
    """A model to measure.

    Attributes:
        model: as it was asked for.
        candidates: ways to run it, torch first.
        notes: what a reader must know of it, a sentence each.
    """

    model: str
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


@dataclass
class _Files:
    """A network as the files that engines open, each made when it is first wanted.

    Attributes:
        network: in evaluation mode.
        card: classes and preprocessing.
        folder: where the files are made.
        data: images to calibrate with, see `open_dataset`; None for noise.
        random: whether the weights are, so that nothing can be said of what 8 bits cost.
    """

    network: nn.Module
    card: ModelCard
    folder: Path
    data: str | None
    random: bool
    refusal: HubelError | None = None

    def model(self) -> Path:
        """For torch."""
        from hubel.weights.model_file import save_model

        return self._made("model.safetensors", lambda path: save_model(path, self.network.state_dict(), self.card))

    def exported(self) -> Path:
        """For the other engines."""
        return self._made("float.onnx", lambda path: self._write(path, self._graph, "float32"))

    def rounded(self) -> Path:
        """For the other engines, in 8 bits."""
        return self._made("int8.onnx", lambda path: self._write(path, self._rounded_graph(), "int8"))

    def check_data(self) -> None:
        """Find a mistake in the name of the images before anything is measured."""
        if self.data is not None:
            _ = self._dataset

    @cached_property
    def _dataset(self) -> Dataset:
        from hubel.data.dataset import open_dataset

        return open_dataset(self.data, labelled=False)

    def _made(self, name: str, write: Callable[[Path], None]) -> Path:
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write(path)
        return path

    def _write(self, path: Path, graph: bytes, precision: str) -> None:
        path.write_bytes(described(graph, self.card, {"precision": precision}))

    @cached_property
    def _graph(self) -> bytes:
        from hubel.export.onnx_graph import onnx_network

        return onnx_network(self.network, self.card)

    def _rounded_graph(self) -> bytes:
        from hubel.export.quantise import quantise

        if self.refusal is not None:  # for another engine it would be the same, after as long a time
            raise self.refusal
        # What 8 bits cost can be said only of a network that has learnt something, on what it has learnt from.
        means_something = self.data is not None and not self.random
        try:
            return quantise(self._graph, self._calibration(), max_drop=0.01 if means_something else 1.0).model
        except HubelError as error:
            self.refusal = error
            raise

    def _calibration(self) -> NDArray[np.uint8]:
        if self.data is None:
            return noise(self.card.preprocess, _NOISE)
        usable = self._dataset.rows()
        spread = np.unique(np.linspace(0, len(usable) - 1, min(_CALIBRATION, len(usable))).astype(np.int64))
        images = self._dataset.images(self.card.preprocess, usable[spread])
        return images.pixels(np.arange(len(images)))


def plan(model: str, folder: Path, *, engines: Sequence[str] = (), int8: bool = False, data: str | None = None) -> Plan:
    """How a model can be run here.

    Args:
        model: an exported file, a model file, the folder of a run, or the name of a network: with its weights if they
            lie on this machine, or else with random ones, on which the speed does not depend.
        folder: where files may be made; they are needed until the rows have been measured.
        engines: the only ones to use; all that are installed if not given.
        int8: whether a model that is not exported is to be run in 8 bits, too.
        data: images to calibrate with; noise if not given, and then such a file is good for timing only.

    Raises:
        UnknownNameError: there is no such file, network or engine.
        ModelFileError: the file is damaged, or was not written by hubel.
        OptionError: the model names no classes.
    """
    known = (TORCH, *ONNX_ENGINES)
    for engine in engines:
        if engine not in known:
            raise UnknownNameError("engine", engine, known)
    if is_exported(model):
        return _exported(model, engines or tuple(installed_onnx_engines()))
    network, card, note = _network(model)
    if not card.classes:
        raise OptionError(f"{model} makes images, it names no classes; hubel bench measures classifiers")
    files = _Files(network, card, folder, data, random=bool(note))
    if int8:
        files.check_data()
    exporting = [engine for engine in engines or installed_onnx_engines() if engine != TORCH]
    candidates = [
        *(Candidate(TORCH, "float", files.model) for engine in engines or [TORCH] if engine == TORCH),
        *(Candidate(engine, "float", files.exported) for engine in exporting),
        *(Candidate(engine, "int8", files.rounded) for engine in exporting if int8),
    ]
    notes = [note, _ON_NOISE if int8 and data is None else ""]
    return Plan(model, tuple(candidates), tuple(f"{model} {text}" for text in notes if text))


def _exported(model: str, engines: Sequence[str]) -> Plan:
    path = Path(model)
    _check_there(path, ".onnx")
    file = read_onnx(path)
    if not file.card.classes:
        raise OptionError(f"{model} makes images, it names no classes; hubel bench measures classifiers")
    precision = _PRECISIONS.get(found := str(file.facts.get("precision", "float32")), found)

    def whole(engine: str) -> Path:
        if engine == TORCH:
            raise OptionError(f"torch cannot run an exported file; these can: {', '.join(ONNX_ENGINES)}")
        return path

    return Plan(model, tuple(Candidate(engine, precision, partial(whole, engine)) for engine in engines))


def _check_there(path: Path, *suffixes: str) -> None:
    """Name a file that somebody may have meant, if this one is missing and there is one."""
    if path.exists() or not path.parent.is_dir():
        return
    beside = [other.name for other in path.parent.iterdir() if other.suffix.lower() in suffixes or other.is_dir()]
    if near := difflib.get_close_matches(path.name, sorted(beside), n=3):
        found = " or ".join(str(path.with_name(name)) for name in near)
        raise ModelFileError(f"{path}: no such file; did you mean {found}?")


def _network(model: str) -> tuple[nn.Module, ModelCard, str]:
    """A network in evaluation mode, its card, and what is to be said of its weights."""
    from hubel.inference.predictor import load_network
    from hubel.models.catalogue import ALIASES, find, list_models
    from hubel.weights.create import load_pretrained, means_a_file
    from hubel.weights.pretrained import find_weights, list_weights

    if means_a_file(model):
        _check_there(Path(model), ".safetensors", ".onnx")
        return *load_network(model), ""
    name, _, tag = model.partition(".")
    if name not in (known := [*list_models(), *ALIASES]):
        _check_there(Path(model), ".safetensors", ".onnx")
        raise UnknownNameError("model file, run or network", model, known)
    exact, _ = find(name)
    row = find_weights(exact, tag or "default") if tag or list_weights(exact) else None
    if row is not None and _is_here(row):
        try:
            return *load_pretrained(exact, row.tag), ""
        except WeightsError:
            pass  # damaged: as good as none
    note = "has random weights, since its own are not on this machine; the speed does not depend on them"
    return *_random(exact, row), note if row else "has random weights; the speed does not depend on them"


def _is_here(row: Pretrained) -> bool:
    """Whether weights can be had without a connection."""
    from hubel.core.files import cache_root

    if row.origin == "url":
        return (cache_root() / "weights" / row.file).is_file()
    if row.origin == "hub":
        from huggingface_hub import try_to_load_from_cache

        return isinstance(try_to_load_from_cache(row.location, row.file), str)
    return True  # a package is there or not, and nobody is asked


def _random(name: str, row: Pretrained | None) -> tuple[nn.Module, ModelCard]:
    """A network with fresh weights, for the images that the weights `row` are made for."""
    import torch
    from torch import nn

    from hubel.data.loading import network_input
    from hubel.data.preprocess import Preprocess
    from hubel.models.catalogue import find
    from hubel.weights.card import ModelCard
    from hubel.weights.create import card_of

    if row is not None:
        card = card_of(row)
    else:
        (channels, height, width), classes = find(name)[1].shape, find(name)[1].num_classes
        middle, spread = (0.5,) * channels, (0.25,) * channels
        preprocess = Preprocess(height, width, channels, mean=middle, std=spread)
        output = find(name)[1].output
        card = ModelCard(name, tuple(map(str, range(classes))) if output == "vector" else (), preprocess)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = card.create().train()
        if not sum(tensor.numel() for tensor in network.state_dict().values()):
            raise OptionError(f"{name} is made of what it has learnt: give hubel bench a model file or a run of it")
        # Numbers that no batch norm has brought to scale can become so small that a processor computes them slowly.
        if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = None
            network(network_input(noise(card.preprocess, _SEEN), card.preprocess))
    return network.eval(), card
