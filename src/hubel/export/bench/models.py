"""The models of `hubel bench`, as files that a process of its own can open. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import HubelError, OptionError, UnknownNameError, WeightsError
from hubel.core.files import cache_root, names_beside
from hubel.data.sources.kind import Rooted
from hubel.export.bench.row import noise_images
from hubel.inference.engines.registry import ONNX_ENGINES, installed_onnx_engines
from hubel.inference.onnx_file import described, is_exported, read_onnx

if TYPE_CHECKING:
    from torch import nn

    from hubel.data.dataset import Dataset
    from hubel.weights.card import ModelCard
    from hubel.weights.pretrained import Pretrained

__all__ = ["TORCH", "BenchmarkPlan", "Candidate", "plan_benchmark"]

TORCH = "torch"  # the engine of models that are not exported

_PRECISIONS = {"float32": "float", "int8": "int8"}  # as the file states it: as the table shows it
_CALIBRATION_IMAGES = 100  # for the speed alone far fewer suffice
_NOISE_IMAGES = 16
_BATCH_NORM_IMAGES = 4  # images of noise for the statistics of fresh batch norms
_ON_NOISE = (
    "in int8 is calibrated on noise, which is good for timing only: it may predict wrong classes; --data PHOTOS "
    "calibrates on photos"
)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One engine and precision to run a model with.

    Attributes:
        engine: "torch", or one of `ONNX_ENGINES`.
        precision: "float" or "int8".
        file: function that returns the file to run, and writes it on the first call; may raise a HubelError.
    """

    engine: str
    precision: str
    file: Callable[[], Path]


@dataclass(frozen=True, kw_only=True)
class BenchmarkPlan:
    """The candidates to measure of one model.

    Attributes:
        model: name or path as requested.
        candidates: engines and precisions to run it with, torch first.
        notes: remarks for the reader, a sentence each.
    """

    model: str
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


@dataclass
class _Files:
    """The files of a network for the engines, each written on first use.

    Attributes:
        network: network in evaluation mode.
        card: classes and preprocessing.
        folder: folder of the files.
        data: images to calibrate with, see `open_dataset`; None for noise.
        random: True for random weights, with which the cost of int8 means nothing.
        refusal: error of the quantisation, once it has failed.
    """

    network: nn.Module
    card: ModelCard
    folder: Path
    data: str | Rooted | None
    random: bool
    refusal: HubelError | None = None

    def model(self) -> Path:
        """Write the model file for torch, unless it exists; return its path."""
        from hubel.weights.model_file import save_model

        return self._write_once(
            "model.safetensors", lambda path: save_model(path, self.network.state_dict(), self.card)
        )

    def exported(self) -> Path:
        """Write the float32 file for the other engines, unless it exists; return its path."""
        return self._write_once("float.onnx", lambda path: self._write_onnx(path, self._graph, "float32"))

    def quantised(self) -> Path:
        """Write the int8 file for the other engines, unless it exists; return its path."""
        return self._write_once("int8.onnx", lambda path: self._write_onnx(path, self._quantised_graph(), "int8"))

    def check_data(self) -> None:
        """Open the calibration images, so that a wrong name is reported before anything is measured."""
        if self.data is not None:
            _ = self._dataset

    @cached_property
    def _dataset(self) -> Dataset:
        from hubel.data.dataset import open_dataset

        return open_dataset(self.data, labelled=False)

    def _write_once(self, name: str, write: Callable[[Path], None]) -> Path:
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write(path)
        return path

    def _write_onnx(self, path: Path, graph: bytes, precision: str) -> None:
        path.write_bytes(described(graph, self.card, {"precision": precision}))

    @cached_property
    def _graph(self) -> bytes:
        from hubel.export.onnx_graph import onnx_network

        return onnx_network(self.network, self.card)

    def _quantised_graph(self) -> bytes:
        from hubel.export.quantise import OnnxQuantiser

        if self.refusal is not None:  # the same for every engine, and as slow each time
            raise self.refusal
        # The cost of int8 means something only for a trained network, on images like those of its training.
        is_meaningful = self.data is not None and not self.random
        try:
            return OnnxQuantiser(max_drop=0.01 if is_meaningful else 1.0).quantise(self._graph, self._calibration())
        except HubelError as error:
            self.refusal = error
            raise

    def _calibration(self) -> NDArray[np.uint8]:
        if self.data is None:
            return noise_images(self.card.preprocess, _NOISE_IMAGES)
        usable = self._dataset.rows()
        spread = np.unique(np.linspace(0, len(usable) - 1, min(_CALIBRATION_IMAGES, len(usable))).astype(np.int64))
        images = self._dataset.images(self.card.preprocess, usable[spread])
        return images.pixels(np.arange(len(images)))


def plan_benchmark(
    model: str, folder: Path, *, engines: Sequence[str] = (), int8: bool = False, data: str | Rooted | None = None
) -> BenchmarkPlan:
    """List the engines and precisions that a model can run with on this machine.

    Args:
        model: an exported file, a model file, the folder of a run, or the name of a network. A network has its weights
            if they are on this machine, or else random ones; the speed does not depend on them.
        folder: folder for temporary files, needed until all rows have been measured.
        engines: engines to use; all that are installed if empty.
        int8: True to run a model that is not exported in int8, too.
        data: images to calibrate int8 with; None for noise, good for timing only.

    Raises:
        UnknownNameError: there is no such file, network or engine.
        ModelFileError: the file is damaged, or was not written by hubel.
        OptionError: the model predicts no classes.
    """
    known = (TORCH, *ONNX_ENGINES)
    for engine in engines:
        if engine not in known:
            raise UnknownNameError("engine", engine, known)
    if is_exported(model):
        return _plan_exported(model, engines or tuple(installed_onnx_engines()))
    network, card, note = _load_network(model)
    if not card.classes:
        raise OptionError(f"{model} reconstructs images and predicts no classes; hubel bench measures classifiers")
    files = _Files(network, card, folder, data, random=bool(note))
    if int8:
        files.check_data()
    exporting = [engine for engine in engines or installed_onnx_engines() if engine != TORCH]
    candidates = [
        *(
            Candidate(engine=TORCH, precision="float", file=files.model)
            for engine in engines or [TORCH]
            if engine == TORCH
        ),
        *(Candidate(engine=engine, precision="float", file=files.exported) for engine in exporting),
        *(Candidate(engine=engine, precision="int8", file=files.quantised) for engine in exporting if int8),
    ]
    notes = [note, _ON_NOISE if int8 and data is None else ""]
    return BenchmarkPlan(
        model=model, candidates=tuple(candidates), notes=tuple(f"{model} {text}" for text in notes if text)
    )


def _plan_exported(model: str, engines: Sequence[str]) -> BenchmarkPlan:
    path = Path(model)
    exported = read_onnx(path)
    if not exported.card.classes:
        raise OptionError(f"{model} reconstructs images and predicts no classes; hubel bench measures classifiers")
    stated = str(exported.facts.get("precision", "float32"))
    precision = _PRECISIONS.get(stated, stated)

    def file_for(engine: str) -> Path:
        if engine == TORCH:
            raise OptionError(f"torch cannot run an exported file; these can: {', '.join(ONNX_ENGINES)}")
        return path

    return BenchmarkPlan(
        model=model,
        candidates=tuple(
            Candidate(engine=engine, precision=precision, file=partial(file_for, engine)) for engine in engines
        ),
    )


def _load_network(model: str) -> tuple[nn.Module, ModelCard, str]:
    """Load a network in evaluation mode; return it, its card, and a remark on its weights, or an empty one."""
    from hubel.inference.predictor import load_network
    from hubel.models.catalogue import ALIASES, find, list_models
    from hubel.weights.create import load_pretrained, means_a_file
    from hubel.weights.pretrained import find_weights, list_weights

    if means_a_file(model):
        return *load_network(model), ""
    name, _, tag = model.partition(".")
    if name not in (known := [*list_models(), *ALIASES]):
        raise UnknownNameError("model file, run or network", model, known, names_beside(Path(model)))
    exact, _ = find(name)
    row = find_weights(exact, tag or "default") if tag or list_weights(exact) else None
    if row is not None and _is_local(row):
        try:
            return *load_pretrained(exact, row.tag), ""
        except WeightsError:
            pass  # damaged: treated as missing
    note = "has random weights, since its own are not on this machine; the speed does not depend on them"
    return *_random_network(exact, row), note if row else "has random weights; the speed does not depend on them"


def _is_local(row: Pretrained) -> bool:
    """Tell whether weights can be loaded without a connection."""
    if row.origin == "url":
        return (cache_root() / "weights" / row.file).is_file()
    if row.origin == "hub":
        from huggingface_hub import try_to_load_from_cache

        return isinstance(try_to_load_from_cache(row.location, row.file), str)
    return True  # from an installed package or none; no connection either way


def _random_network(name: str, row: Pretrained | None) -> tuple[nn.Module, ModelCard]:
    """Return a network with random weights and its card, with the preprocessing of the weights `row`."""
    import torch
    from torch import nn

    from hubel.data.preprocess import Preprocess
    from hubel.data.samples import network_input
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
            raise OptionError(f"{name} consists of its training data: give hubel bench a model file or a run of it")
        # Without statistics of batch norms values can become so small (denormal) that a processor computes them slowly.
        if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = None
            network(network_input(noise_images(card.preprocess, _BATCH_NORM_IMAGES), card.preprocess))
    return network.eval(), card
