"""Judge made images by a classifier of real ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.data.loading import Images
from hubel.metrics.generation import JudgedImages, SampleMetrics, measure_samples
from hubel.tasks.generate import GenerationEvaluation
from hubel.tasks.task import Evaluation, Model

if TYPE_CHECKING:
    from hubel.inference.generator import Generator
    from hubel.inference.predictor import Predictor

__all__ = ["judge_samples", "measure_judged"]

_MOST = 10_000  # images that are made, and real ones that they are compared with
_BATCH = 256


def judge_samples(generator: Generator, judge: Predictor, images: Images, *, seed: int = 0) -> SampleMetrics:
    """Make an image for each real one, of the same class, and compare what a classifier says of both.

    The classifier sees both as images of the generator's size, so that enlarging tells it nothing.

    Args:
        generator: makes images.
        judge: a classifier that ends in a linear layer, whose inputs are the features. It knows the generator's
            classes by their names.
        images: real ones, at the generator's size; the first 10,000 of them count.
        seed: of the codes.

    Raises:
        OptionError: the judge has no such layer, or lacks a class.
        DataError: there are fewer than four images.
    """
    if missing := [name for name in generator.classes if name not in judge.classes]:
        raise OptionError(f"--judge: {judge.card.model} does not know the class {missing[0]}, which images are made of")
    positions = np.arange(min(len(images), _MOST))
    labels = images.labels(positions) if generator.classes else [""] * len(positions)
    made = generator.make(labels, seed=seed)
    return measure_samples(
        _judged(judge, made.pixels), _judged(judge, images.pixels(positions)), np.array(labels), generator.classes
    )


def measure_judged(
    evaluation: Evaluation, model: Model, judge: str | Path, images: Images, *, device: str = "auto"
) -> GenerationEvaluation:
    """Return the evaluation of a generative model with what a classifier says of images that it makes.

    Raises:
        HubelError: the classifier cannot be loaded, or cannot judge these images; see `judge_samples`.
    """
    from hubel.inference.generator import Generator  # what only evaluates exported files does without
    from hubel.inference.predictor import load_predictor

    assert isinstance(evaluation, GenerationEvaluation)
    assert isinstance(model, Generator)
    return replace(evaluation, judged=judge_samples(model, load_predictor(judge, device=device), images))


def _judged(judge: Predictor, pixels: NDArray[np.uint8]) -> JudgedImages:
    """Return features and names of images uint8 `(n, h, w, c)`."""
    from hubel.inference.fold import folded  # what only evaluates exported files does without
    from hubel.inference.forward import forward
    from hubel.nn.freezing import last_linear, with_features
    from hubel.nn.network import Network

    layer = last_linear(judge.network) if isinstance(judge.network, Network) else None
    if layer is None or not isinstance(judge.network, Network):
        raise OptionError(f"--judge: {judge.card.model} does not end in a linear layer, so it has no features")
    network: Any = folded(with_features(judge.network))
    preprocess, outputs = judge.card.preprocess, []
    for start in range(0, len(pixels), _BATCH):
        part = pixels[start : start + _BATCH]
        seen = np.stack([preprocess.apply(image[..., 0] if image.shape[2] == 1 else image) for image in part])
        outputs.append(forward(network, seen, preprocess))
    both = np.concatenate(outputs)
    names = np.array(judge.classes)[both[:, layer.in_features :].argmax(1)]
    return JudgedImages(features=both[:, : layer.in_features], predicted=names)
