"""A trained model, ready to name what is on images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import DecodeError, OptionError, UnknownNameError
from hubel.core.process import usable_cores
from hubel.core.window import in_order
from hubel.data.inputs import Input, collect
from hubel.data.preprocess import Preprocess
from hubel.data.sources.arrays import as_pixels
from hubel.models.catalogue import ALIASES, list_models
from hubel.nn.layers import channels_last
from hubel.runtime.device import pick_device
from hubel.runtime.forward import batch_size, forward
from hubel.runtime.scores import scores
from hubel.runtime.tta import mean_scores
from hubel.weights.create import is_file_name, load_pretrained
from hubel.weights.model_file import ModelCard, load_model, model_path

__all__ = ["Prediction", "Predictor", "load", "stream"]

Row = TypeVar("Row")


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        path: the image.
        ranking: class names and scores (0 to 1), the highest score first; empty where the image cannot be read.
        reason: why it cannot be read; None where it can.
    """

    path: str
    ranking: tuple[tuple[str, float], ...] = ()
    reason: str | None = None


class Predictor:
    """A network with its card.

    Args:
        network: on the device where it is to run.
        card: classes, preprocessing, kind of scores.
        tta: whether scores are the mean over an image and harmless changes of it; see `hubel.runtime.tta`.

    Raises:
        OptionError: the network names no classes.
    """

    def __init__(self, network: nn.Module, card: ModelCard, *, tta: bool = False) -> None:
        if card.task != "classify":
            raise OptionError(f"{card.model} makes images, it names no classes; hubel evaluate MODEL DATA measures it")
        self.network = channels_last(network)
        self.card = card
        self.tta = tta

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the columns of `predict_proba`."""
        return self.card.classes

    def predict(self, images: Any) -> NDArray[np.str_]:
        """The name of the class with the highest score for each image; see `predict_proba`."""
        return np.asarray(np.asarray(self.classes)[self.predict_proba(images).argmax(1)])

    def predict_proba(self, images: Any) -> NDArray[np.float64]:
        """Scores `(n, classes)` from 0 to 1, calibrated.

        Args:
            images: an array `(n, h, w)` or `(n, h, w, 3)`, uint8 or floats from 0 to 1, or a list of images as arrays
                of any size; or a path, folder or pattern, or several of these.

        Raises:
            DecodeError: a file cannot be read.
            DataError: an array has another shape, or a path does not exist.
        """
        if isinstance(images, str | Path):
            images = [images]
        if all(isinstance(image, str | Path) for image in images) and len(images):
            return np.stack([_readable(row) for _, row in self._stream(collect(images))])
        pixels = as_pixels(images) if isinstance(images, np.ndarray) else (as_pixels([image])[0] for image in images)
        prepared = (self.card.preprocess.resize(image) for image in pixels)
        groups = iter(lambda: list(itertools.islice(prepared, batch_size(self.card.preprocess))), [])
        parts = [self._scores(group) for group in groups]
        return np.concatenate(parts) if parts else np.empty((0, len(self.classes)))

    def rank(self, inputs: Iterable[Input], *, top_k: int = 5) -> Iterator[tuple[Input, Prediction]]:
        """The best `top_k` classes of each image, in order, as they are found; bad files come with their reason."""
        for item, row in self._stream(inputs):
            if isinstance(row, DecodeError):
                yield item, Prediction(item.name, reason=row.reason)
                continue
            best = np.argsort(-row, kind="stable")[:top_k]
            yield item, Prediction(item.name, tuple((self.classes[i], float(row[i])) for i in best))

    def _stream(self, inputs: Iterable[Input]) -> Iterator[tuple[Input, NDArray[np.float64] | DecodeError]]:
        """Each input with its scores, or with why it has none."""
        return stream(inputs, self.card.preprocess, self._scores)

    def _scores(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
        if self.tta:
            return mean_scores(self.network, np.stack(pixels), self.card, self.card.preprocess)
        logits = forward(self.network, np.stack(pixels), self.card.preprocess)
        return scores(logits, self.card.scores, self.card.temperature)


def stream(
    inputs: Iterable[Input], preprocess: Preprocess, compute: Callable[[list[NDArray[np.uint8]]], Iterable[Row]]
) -> Iterator[tuple[Input, Row | DecodeError]]:
    """Each input with what is computed from it, or with why it cannot be read; decoding runs ahead in threads.

    Args:
        inputs: images to be.
        preprocess: of the network.
        compute: makes one row for each of a batch's resized images, uint8 `(height, width, channels)`.
    """

    def prepare(item: Input) -> tuple[Input, NDArray[np.uint8] | DecodeError]:
        try:
            return item, preprocess.resize(item.decode(preprocess.min_size).pixels)
        except DecodeError as error:
            return item, error

    size = batch_size(preprocess)
    threads = usable_cores()
    with ThreadPoolExecutor(threads) as pool:
        prepared = in_order(pool, prepare, inputs, ahead=size + threads)
        while group := list(itertools.islice(prepared, size)):
            good = [pixels for _, pixels in group if not isinstance(pixels, DecodeError)]
            rows = iter(compute(good) if good else ())
            for item, pixels in group:
                yield item, pixels if isinstance(pixels, DecodeError) else next(rows)


def _readable(row: NDArray[np.float64] | DecodeError) -> NDArray[np.float64]:
    if isinstance(row, DecodeError):
        raise row
    return row


def load(model: str | Path, *, device: str = "auto", tta: bool = False) -> Predictor:
    """A model that is ready to predict.

    Args:
        model: a model file, or the folder of a run; or a network with pretrained weights by its name, such as
            "efficientnet_lite0", or "resnet50.a1_in1k" for other weights than its default ones.
        device: cpu, cuda, mps or auto.
        tta: see `Predictor`.

    Raises:
        ModelFileError: the file is missing, damaged, or was not written by hubel.
        UnknownNameError: there are no such weights.
        WeightsError: the weights cannot be had.
    """
    if is_file_name(model) or set(str(model)) & {"/", "\\"}:
        network, card = load_model(model_path(Path(model)))
    else:
        name, _, tag = str(model).partition(".")
        if name not in (known := [*list_models(), *ALIASES]):
            raise UnknownNameError("model file, run or network", str(model), known)
        network, card = load_pretrained(name, tag or "default")
    return Predictor(network.to(pick_device(device)), card, tta=tta)
