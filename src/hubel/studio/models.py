"""The models that a server offers: each with a name, a queue, and a way to explain itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from hubel.core.process import usable_cores
from hubel.inference.classifier import Classifier
from hubel.inference.exported import Exported
from hubel.inference.load import load
from hubel.inference.onnx_file import is_exported
from hubel.studio.batching import Batcher
from hubel.studio.explaining import Explainer, overlay_png
from hubel.studio.metrics import Metrics
from hubel.studio.pictures import Reader
from hubel.studio.settings import Settings

if TYPE_CHECKING:
    from hubel.inference.predictor import Predictor

__all__ = ["Served", "at_work", "load_models", "names_of"]

_MOST_DECODERS = 4  # threads, each of which may take an eighth of `Settings.decode_memory`


@dataclass(frozen=True, eq=False)
class Served:
    """One model.

    Attributes:
        name: what clients call it.
        classifier: what it is.
        batcher: makes scores.
        explainer: makes maps; None where there is no network to look into, but only its export.
    """

    name: str
    classifier: Classifier
    batcher: Batcher
    explainer: Explainer | None


def names_of(models: Sequence[str]) -> list[str]:
    """What clients call models, of which a path tells no more than its last part.

    >>> names_of(["efficientnet_lite0", "runs/cats-1", "runs/dogs-2/model.safetensors", "b/cats-1.onnx"])
    ['efficientnet_lite0', 'cats-1', 'dogs-2', 'cats-1-2']
    """
    names: list[str] = []
    for model in models:
        path = Path(model).resolve()
        stem = path.stem if path.suffix in (".safetensors", ".onnx") else path.name
        plain = path.parent.name if stem == "model" else stem
        name, number = plain, 1
        while name in names:
            number += 1
            name = f"{plain}-{number}"
        names.append(name)
    return names


def load_models(models: Sequence[str], *, device: str = "auto", engine: str = "auto") -> dict[str, Classifier]:
    """Models by what clients call them; exported files get the engine that is fastest here. See `load`."""
    return {name: _load(model, device, engine) for name, model in zip(names_of(models), models, strict=True)}


def _load(model: str, device: str, engine: str) -> Classifier:
    if not is_exported(model):
        return load(model, device=device)
    classifier = Exported(Path(model), engine=engine)
    classifier.engine = classifier.fastest()
    return classifier


@contextmanager
def at_work(classifiers: Mapping[str, Classifier], settings: Settings, metrics: Metrics) -> Iterator[dict[str, Served]]:
    """Models with their threads, by name; the first is the default. Each has seen an image, so that it is quick."""
    reader = Reader(settings.decode_memory)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(min(_MOST_DECODERS, usable_cores()), "hubel-decode"))
        served = {}
        for name, classifier in classifiers.items():
            served[name] = _served(name, classifier, reader, pool, settings, metrics)
            stack.callback(served[name].batcher.close)
            if (explainer := served[name].explainer) is not None:
                stack.callback(explainer.close)
        yield served


def _served(
    name: str, classifier: Classifier, reader: Reader, pool: ThreadPoolExecutor, settings: Settings, metrics: Metrics
) -> Served:
    preprocess = classifier.card.preprocess
    alone = threading.Lock()  # a map is made with hooks on the network, through which no batch may run meanwhile

    def prepare(data: bytes) -> NDArray[np.uint8]:
        return reader.read(data, preprocess).pixels

    def scores(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        with alone:
            return classifier.scores(pixels)

    def explain(data: bytes, label: str | None) -> bytes:
        picture = reader.read(data, preprocess)
        with alone:
            return overlay_png(cast("Predictor", classifier), picture, label)

    scores(np.zeros((1, preprocess.height, preprocess.width, preprocess.channels), np.uint8))
    explainer = Explainer(explain) if hasattr(classifier, "network") else None
    batcher = Batcher(prepare, scores, pool, settings, partial(metrics.batch, name))
    return Served(name, classifier, batcher, explainer)
