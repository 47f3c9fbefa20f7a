"""Models of a server: each with its name, its batcher, and its explainer."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from hubel.core.resources import usable_cores
from hubel.inference.classifier import Classifier
from hubel.inference.dense import DenseModel
from hubel.inference.dense_exported import DenseExported
from hubel.inference.exported import Exported
from hubel.inference.load import load
from hubel.inference.onnx_file import is_exported
from hubel.studio.batching import Batcher
from hubel.studio.explainer import Explainer, overlay_png
from hubel.studio.metrics import ServerMetrics
from hubel.studio.settings import ServerSettings
from hubel.studio.uploads import UploadDecoder
from hubel.studio.watch import Watch

if TYPE_CHECKING:
    from hubel.inference.predictor import Predictor

__all__ = ["ServedModel", "load_models", "served_names", "serving"]

_MOST_DECODERS = 4  # threads, each of which may take an eighth of `ServerSettings.decode_memory`


@dataclass(frozen=True, eq=False, kw_only=True)
class ServedModel:
    """One model of a server.

    Attributes:
        name: its name in the API.
        model: answers with scores of classes, or with annotations.
        batcher: computes its scores.
        explainer: computes attribution maps; None for an exported model, whose layers cannot be read.
        watch: counts its predictions and watches for drift; None unless `ServerSettings.watch`.
    """

    name: str
    model: Classifier | DenseModel
    batcher: Batcher
    explainer: Explainer | None
    watch: Watch | None = None


def served_names(models: Sequence[str]) -> list[str]:
    """Return the models' names in the API, which reveal no more of a path than its last part.

    >>> served_names(["efficientnet_lite0", "runs/cats-1", "runs/dogs-2/model.safetensors", "b/cats-1.onnx"])
    ['efficientnet_lite0', 'cats-1', 'dogs-2', 'cats-1-2']
    >>> served_names(["/model.onnx"])
    ['model']
    """
    names: list[str] = []
    for model in models:
        path = Path(os.path.realpath(model))
        stem = path.stem if path.suffix in (".safetensors", ".onnx") else path.name
        plain = (path.parent.name if stem == "model" else "") or stem
        name, number = plain, 1
        while name in names:
            number += 1
            name = f"{plain}-{number}"
        names.append(name)
    return names


def load_models(
    models: Sequence[str], *, device: str = "auto", engine: str = "auto"
) -> dict[str, Classifier | DenseModel]:
    """Load models, by their names in the API; exported files run on the fastest engine here. See `load`."""
    return {name: _load(model, device, engine) for name, model in zip(served_names(models), models, strict=True)}


def _load(model: str, device: str, engine: str) -> Classifier | DenseModel:
    loaded = load(model, device=device) if not is_exported(model) else load(model, engine=engine)
    if isinstance(loaded, Exported | DenseExported):
        loaded.use_fastest()
    return loaded


@contextmanager
def serving(
    models: Mapping[str, Classifier | DenseModel], settings: ServerSettings, metrics: ServerMetrics
) -> Iterator[dict[str, ServedModel]]:
    """Yield the models by name with their threads started; each has run once, so that its first request is fast."""
    decoder = UploadDecoder(settings.decode_memory)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(min(_MOST_DECODERS, usable_cores()), "hubel-decode"))
        served = {}
        for name, model in models.items():
            served[name] = _served(name, model, decoder, pool, settings, metrics)
            stack.callback(served[name].batcher.close)
            if (explainer := served[name].explainer) is not None:
                stack.callback(explainer.close)
        yield served


def _served(
    name: str,
    model: Classifier | DenseModel,
    decoder: UploadDecoder,
    pool: ThreadPoolExecutor,
    settings: ServerSettings,
    metrics: ServerMetrics,
) -> ServedModel:
    preprocess = model.card.preprocess
    lock = threading.Lock()  # maps are read through hooks on the network; no batch may run through it meanwhile
    compute: Callable[[NDArray[np.uint8]], NDArray[Any]]
    compute = model.rows if isinstance(model, Classifier) else model.outputs

    def rows(pixels: NDArray[np.uint8]) -> NDArray[Any]:
        with lock:
            return compute(pixels)

    def explain(data: bytes, label: str | None) -> bytes:
        upload = decoder.decode(data, preprocess)
        with lock:
            return overlay_png(cast("Predictor", model), upload, label)

    rows(np.zeros((1, preprocess.height, preprocess.width, preprocess.channels), np.uint8))
    explainer = Explainer(explain) if isinstance(model, Classifier) and hasattr(model, "network") else None
    prepare = partial(decoder.decode, preprocess=preprocess)
    watch = Watch(name, model.card) if settings.watch and isinstance(model, Classifier) else None
    batcher = Batcher(prepare, rows, pool, settings, partial(metrics.batch, name), watch.add if watch else _ignore)
    return ServedModel(name=name, model=model, batcher=batcher, explainer=explainer, watch=watch)


def _ignore(pixels: Sequence[NDArray[np.uint8]], scores: Sequence[NDArray[np.float64]]) -> None:
    """Do nothing with answers."""
