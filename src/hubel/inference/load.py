"""Load any model for prediction, by the name that a user gives it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hubel.core.errors import MissingPackageError, ModelFileError, OptionError
from hubel.core.files import names_beside, no_such
from hubel.core.language import sentence
from hubel.core.notes import Caution
from hubel.core.packages import missing_package
from hubel.core.progress import say_notes
from hubel.core.shell import shell_command
from hubel.core.text import alike
from hubel.inference.classifier import Classifier
from hubel.inference.costs import with_costs
from hubel.inference.dense import DenseModel
from hubel.inference.dense_exported import DenseExported
from hubel.inference.exported import Exported
from hubel.inference.exported_engine import ExportedEngine
from hubel.inference.onnx_file import is_exported, read_onnx
from hubel.inference.reconstructor import Reconstructor
from hubel.inference.scores import sigmoid
from hubel.weights.card import ModelCard
from hubel.weights.own_class import OwnModel

if TYPE_CHECKING:
    from torch import nn

__all__ = ["lacking_torch", "load", "load_any", "load_classifier", "load_reconstructor", "read_any_card"]


def load(
    file: str | os.PathLike[str],
    /,
    *,
    model: nn.Module | None = None,
    device: str = "auto",
    tta: bool = False,
    engine: str = "auto",
    costs: str | Path | None = None,
) -> Classifier | DenseModel:
    """Load a model for prediction.

    Args:
        file: a model file, the folder of a run, or a file made by `hubel export`, which needs no torch; or a network
            with pretrained weights by its name, such as "efficientnet_lite0", or "resnet50.a1_in1k" for other weights
            than its default ones.
        model: a module of the class that was trained, for a network of one's own: hubel imports no code that a file
            names.
        device: cpu, cuda, mps or auto, for models that are not exported.
        tta: see `hubel.inference.tta`.
        engine: for exported files, one of `hubel.inference.engines.registry.ONNX_ENGINES`; "auto" is the fastest here.
        costs: a file of costs by which to choose the class instead of the model's own, if any; "none" for the class of
            the highest score. See `hubel.inference.costs.read_costs`.

    Raises:
        ModelFileError: the file is missing, damaged, or was not written by hubel.
        UnknownNameError: there are no such weights, or there is no such engine.
        WeightsError: the weights cannot be had.
        MissingPackageError: the model needs torch, and it is not installed.
        OptionError: the model names no classes, or an option does not suit it.
    """
    loaded = load_any(file, model=model, device=device, tta=tta, engine=engine, costs=costs)
    if isinstance(loaded, Reconstructor):
        raise OptionError(loaded.card.no_scores)
    return loaded


def load_any(
    file: str | os.PathLike[str],
    *,
    model: nn.Module | None = None,
    device: str = "auto",
    tta: bool = False,
    engine: str = "auto",
    costs: str | Path | None = None,
) -> Classifier | DenseModel | Reconstructor:
    """Load a model for prediction, an autoencoder included; arguments and errors as for `load`."""
    if not isinstance(file, str | os.PathLike):
        raise OptionError(f"a model is a path or a name, not {file!r:.80}")
    if not isinstance(engine, str):
        raise OptionError(f"an engine is a name, not {engine!r:.80}")
    if model is not None:
        file = OwnModel(file, model)
    if is_exported(file):
        if isinstance(file, OwnModel):
            raise OptionError(f"{file} is an exported file, which needs no module; leave model= out")
        if str(device) not in ("auto", "cpu"):
            raise OptionError(f"exported files run on the processor; --device {device} is for model files")
        exported = read_onnx(Path(file))
        _say_unfinished(exported.card, file)
        if exported.card.dense:
            _check_dense(exported.card, tta=tta, costs=costs)
            return DenseExported(exported, engine=engine)
        if exported.card.output == "image":
            _check_dense(exported.card, tta=tta, costs=costs)
            return Reconstructor(exported.card, ExportedEngine(exported, engine).one_lane)
        return _priced(Exported(exported, engine=engine, tta=tta), costs)
    if engine != "auto":
        command = shell_command("hubel", "export", str(file))
        raise OptionError(f"engines are for exported files: {command}; models of torch have --device")
    try:
        from hubel.inference.dense_predictor import DensePredictor  # brings torch, which exported files do without
        from hubel.inference.device import pick_device
        from hubel.inference.forward import forward
        from hubel.inference.predictor import Predictor, load_network
    except ModuleNotFoundError as error:
        raise lacking_torch(file, error) from error
    network, card = load_network(file)
    _say_unfinished(card, file)
    network = network.to(pick_device(device))
    if card.dense:
        _check_dense(card, tta=tta, costs=costs)
        return DensePredictor(network, card)
    if card.output == "image":
        _check_dense(card, tta=tta, costs=costs)
        return Reconstructor(card, lambda pixels: sigmoid(forward(network, pixels, card.preprocess)))
    return _priced(Predictor(network, card, tta=tta), costs)


def load_classifier(
    model: str | os.PathLike[str],
    *,
    device: str = "auto",
    tta: bool = False,
    engine: str = "auto",
    costs: str | Path | None = None,
) -> Classifier:
    """Load a model that gives each image scores of classes; arguments and errors as for `load`.

    Raises:
        OptionError: it annotates images.
    """
    loaded = load(model, device=device, tta=tta, engine=engine, costs=costs)
    if isinstance(loaded, DenseModel):
        raise OptionError(f"{model} annotates images (its task is {loaded.card.task}); this needs a classifier")
    return loaded


def load_reconstructor(model: str | Path, *, device: str = "auto", engine: str = "auto") -> Reconstructor:
    """Load an autoencoder; arguments and errors as for `load`.

    Raises:
        OptionError: the model is none.
    """
    loaded = load_any(model, device=device, engine=engine)
    if not isinstance(loaded, Reconstructor):
        raise OptionError(f"{model} reconstructs no images (its task is {loaded.card.task}); autoencoder_28 does")
    return loaded


def _say_unfinished(card: ModelCard, model: object) -> None:
    if card.unfinished:
        say_notes([Caution(sentence("note.unfinished", model=str(model)))])


def _check_dense(card: ModelCard, *, tta: bool, costs: str | Path | None) -> None:
    if tta or costs:
        flag, does = "--tta" if tta else "--costs", "annotates" if card.dense else "reconstructs"
        raise OptionError(f"{card.model} {does} images (its task is {card.task}): no {flag}")


def _priced(classifier: Classifier, costs: str | Path | None) -> Classifier:
    classifier.card = with_costs(classifier.card, costs)
    return classifier


def lacking_torch(model: str | os.PathLike[str], error: ModuleNotFoundError) -> Exception:
    """Return the error that a model needs torch; or that there is no such file, where one beside it is called alike."""
    path = Path(model)
    if not os.path.lexists(path) and alike(path.name, names_beside(path)):
        return ModelFileError(no_such(path, "file"))
    return MissingPackageError(f"{missing_package(error)}; a file made by hubel export needs no torch")


def read_any_card(model: str | os.PathLike[str]) -> ModelCard:
    """Return the card of any model, named as for `load`, without its weights.

    Raises:
        ModelFileError: the file is missing, or was not written by hubel.
        UnknownNameError: there are no such weights.
        MissingPackageError: the model needs torch, and it is not installed.
    """
    if is_exported(model):
        return read_onnx(Path(model)).card
    try:
        from hubel.inference.predictor import known_network
        from hubel.weights.create import card_of, means_a_file
        from hubel.weights.model_file import model_path, read_card
        from hubel.weights.pretrained import find_weights
    except ModuleNotFoundError as error:
        raise lacking_torch(model, error) from error
    if means_a_file(model):
        return read_card(model_path(Path(model)))
    return card_of(find_weights(*known_network(str(model))))
