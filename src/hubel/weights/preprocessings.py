"""Preprocessings of published weights, and a measurement of the one that weights of unknown origin need.

A file of weights does not state its preprocessing, and a wrong one costs accuracy without a word: a ResNet-20 with
91.7 % on CIFAR-10 has 85.5 % on images that lose their rim.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from torch import nn

from hubel.core.errors import UnknownNameError
from hubel.core.progress import bar
from hubel.data.dataset import open_dataset
from hubel.data.preprocess import Preprocess, Resize
from hubel.data.sources.kind import Rooted
from hubel.models.variant import InputShape
from hubel.nn.evaluating import evaluating

__all__ = ["PRESETS", "MeasuredPreprocess", "PreprocessRequest", "likely_preprocessings", "measure_preprocessings"]

#: Mean and standard deviation by name, RGB in units of full scale.
PRESETS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # torchvision and most of timm; akamaster's networks for CIFAR-10, too
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # of all pixels of the training images
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    # the mean of the standard deviations of single images, which many programs for CIFAR-10 use
    "cifar10_by_image": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    # from -1 to 1: the Inception networks and others that come from TensorFlow
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    # from 0 to 1
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}

_SMALL = 64  # pixels; networks for such images see them whole, those for larger ones the centre of a larger image
_WHOLE: tuple[Resize, float] = ("squash", 1.0)
_CENTRE: tuple[Resize, float] = ("crop", 0.875)  # 224 of 256 pixels
_CHECKED = 300  # images; two standard errors of an accuracy of 90 % are 3.5 points
_BATCH = 25


@dataclass(frozen=True, kw_only=True)
class PreprocessRequest:
    """The known parts of the preprocessing of weights; None stands for an unknown one.

    Attributes:
        preset: a key of `PRESETS`.
        mean: per channel, or one number for all.
        std: per channel, or one number for all.
        resize: as of `Preprocess`.
        crop: as of `Preprocess`; stated alone, it means resize "crop".
        interpolation: as of `Preprocess`.
    """

    preset: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: Resize | None = None
    crop: float | None = None
    interpolation: str | None = None

    def completed(self, known: Preprocess) -> PreprocessRequest:
        """Return the request with what it leaves open taken from a known preprocessing."""
        colours = self.preset or self.mean or self.std
        geometry = self.resize or self.crop
        return replace(
            self,
            mean=self.mean if colours else known.mean,
            std=self.std if colours else known.std,
            resize=self.resize if geometry else known.resize,
            crop=self.crop if geometry else known.crop,
            interpolation=self.interpolation or known.interpolation,
        )


@dataclass(frozen=True, kw_only=True)
class MeasuredPreprocess:
    """A preprocessing, and how well weights do with it.

    Attributes:
        colours: the name of its mean and standard deviation.
        preprocess: the preprocessing.
        accuracy: share of the images with the right class, 0 to 1.
        loss: mean cross-entropy, in nats.
    """

    colours: str
    preprocess: Preprocess
    accuracy: float
    loss: float


def likely_preprocessings(shape: InputShape, request: PreprocessRequest) -> Iterator[tuple[str, Preprocess]]:
    """Yield the name of the colours and the preprocessing of all that agree with a request, the likeliest first.

    A network for images of up to 64 pixels sees them whole, one for larger images the centre of each.

    Args:
        shape: input of the network.
        request: what is known.

    Raises:
        UnknownNameError: there is no such preset.
        OptionError: a value is out of range.
    """
    if request.preset is not None and request.preset not in PRESETS:
        raise UnknownNameError("preprocessing", request.preset, PRESETS)
    named = {name: PRESETS[name] for name in ([request.preset] if request.preset else PRESETS)}
    if request.mean or request.std:
        mean, std = next(iter(named.values()))
        named = {"as given": (request.mean or mean, request.std or std)}
    small = max(shape.height, shape.width) <= _SMALL
    geometries: list[tuple[Resize, float]] = [_WHOLE, _CENTRE] if small else [_CENTRE, ("crop", 1.0), _WHOLE]
    if request.crop is not None or request.resize is not None:
        resize = request.resize or "crop"
        usual = _CENTRE[1] if resize == "crop" and not small else 1.0
        geometries = [(resize, usual if request.crop is None else request.crop)]
    for (resize, crop), (name, (mean, std)) in product(geometries, named.items()):
        yield (
            name,
            Preprocess(
                shape.height,
                shape.width,
                shape.channels,
                resize,
                interpolation=request.interpolation or "bilinear",
                mean=_for_channels(mean, shape.channels),
                std=_for_channels(std, shape.channels),
                crop=crop,
            ),
        )


def measure_preprocessings(
    network: nn.Module, candidates: Sequence[tuple[str, Preprocess]], classes: tuple[str, ...], data: str | Rooted
) -> list[MeasuredPreprocess]:
    """Measure preprocessings on labelled images: all colours with the first geometry, then the others with the best.

    Args:
        network: a classifier.
        candidates: at least one, the likeliest first.
        classes: names in the order of its outputs. Where they are the numbers 0, 1, ... and the data has as many
            classes, they are those of the data in their order.
        data: images with labels, see `open_dataset`; test images where it has some.

    Returns:
        those that were measured, the best first: of those whose accuracies lie within two standard errors of the
        highest, the one of the lowest loss; the others by their accuracy.

    Raises:
        DataError: the data cannot be read, or has other classes.
    """
    dataset = open_dataset(data)
    rows = dataset.evaluation_rows({}).rows
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(_CHECKED, len(rows))).astype(np.int64))]
    numbers = tuple(map(str, range(len(classes))))
    if classes == numbers and len(named := dataset.classes()) == len(classes):
        classes = named
    targets = torch.from_numpy(dataset.targets(classes, rows))

    def measured(name: str, preprocess: Preprocess) -> MeasuredPreprocess:
        images = dataset.images(preprocess, rows)
        logits = []
        for batch in images.in_sequence(_BATCH):
            with evaluating(network):
                logits.append(network(images.network_input(batch.pixels)))
            progress.step(len(batch.positions))
        outputs = torch.cat(logits)
        return MeasuredPreprocess(
            colours=name,
            preprocess=preprocess,
            accuracy=float((outputs.argmax(1) == targets).double().mean()),
            loss=float(nn.functional.cross_entropy(outputs, targets)),
        )

    def geometry(preprocess: Preprocess) -> tuple[str, float]:
        return preprocess.resize, preprocess.crop

    first = geometry(candidates[0][1])
    with bar("preprocessings", len(candidates) * len(rows)) as progress:
        results = [measured(name, p) for name, p in candidates if geometry(p) == first]
        best = _best_first(results, len(rows))[0].colours
        results += [measured(name, p) for name, p in candidates if geometry(p) != first and name == best]
    return _best_first(results, len(rows))


def _best_first(results: list[MeasuredPreprocess], images: int) -> list[MeasuredPreprocess]:
    """Sort by accuracy; of those that so few images cannot tell from the best, the one of the lowest loss is first."""
    ranked = sorted(results, key=lambda result: (-result.accuracy, result.loss))
    highest = ranked[0].accuracy
    error = math.sqrt(highest * (1 - highest) / images)  # standard error of the accuracy
    first = min((one for one in ranked if one.accuracy >= highest - 2 * error), key=lambda one: one.loss)
    return [first, *(one for one in ranked if one is not first)]


def _for_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Return a value for each channel: the one of all, or the mean over RGB for grayscale."""
    if len(values) == 1:
        return values * channels
    return (sum(values) / len(values),) if channels == 1 else values
