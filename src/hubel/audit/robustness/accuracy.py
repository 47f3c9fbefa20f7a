"""How often a classifier is still right when its images change: accuracy for each change and strength, and means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.audit.robustness.corruptions import CORRUPTIONS, Change, changes, corrupt
from hubel.core.errors import OptionError
from hubel.core.progress import bar
from hubel.core.resources import usable_cores
from hubel.core.window import in_order
from hubel.data.loading import Images
from hubel.inference.forward import forward
from hubel.inference.predictor import Predictor
from hubel.inference.stream import batch_size

__all__ = ["ALEXNET", "ALEXNET_CLEAN", "Robustness", "mce", "measure_robustness", "relative_mce"]

# AlexNet's mean error over the five severities of ImageNet-C, which the paper's corruption errors are relative to, and
# its clean error (arXiv:1903.12261, Table 1). The means are the "raw AlexNet errors" in the code of AugMix
# (arXiv:1912.02781), which has the paper's first author in common.
ALEXNET = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}
ALEXNET_CLEAN = 0.435


@dataclass(frozen=True, eq=False)
class Robustness:
    """How often a model is right on changed images.

    Attributes:
        model: what the user called it.
        n: how many images.
        seed: of the random numbers of the changes.
        clean: the share of the unchanged images that it is right about.
        changes: what was done to the images.
        accuracy: by the name of a change: the share that it is right about at each of its strengths.
    """

    model: str
    n: int
    seed: int
    clean: float
    changes: tuple[Change, ...]
    accuracy: Mapping[str, tuple[float, ...]]

    def errors(self) -> dict[str, float]:
        """The mean error over severities, by the name of each of the 15 corruptions that was measured."""
        return {name: 1 - fmean(self.accuracy[name]) for name in CORRUPTIONS if name in self.accuracy}

    def mean_error(self) -> float | None:
        """Mean corruption error, not normalised: the mean of `errors`. None unless all 15 were measured."""
        errors = self.errors()
        return fmean(errors.values()) if len(errors) == len(CORRUPTIONS) else None


def mce(errors: Mapping[str, float], reference: Mapping[str, float]) -> float | None:
    """Mean corruption error relative to a reference model, 1 for the reference itself.

    Hendrycks & Dietterich 2019, arXiv:1903.12261, Section 4.1: the mean over corruptions of the sum of the errors over
    severities, divided by that of the reference. The paper states it times 100.

    Args:
        errors: the mean error over severities, by the name of the corruption.
        reference: likewise; at least the same corruptions.

    Returns:
        None where there is no corruption, or the reference makes no error.
    """
    return _mean_ratio([(errors[name], reference[name]) for name in errors])


def relative_mce(
    errors: Mapping[str, float], clean: float, reference: Mapping[str, float], reference_clean: float
) -> float | None:
    """The same of the errors beyond the `clean` error of each: what the corruptions cost. See `mce`."""
    return _mean_ratio([(errors[name] - clean, reference[name] - reference_clean) for name in errors])


def measure_robustness(
    predictor: Predictor,
    images: Images,
    targets: NDArray[np.int64],
    *,
    name: str = "model",
    which: tuple[Change, ...] | None = None,
    seed: int = 0,
) -> Robustness:
    """Accuracy on images as they are, and on changed ones.

    Images are decoded once and changed at the network's resolution, after `Preprocess.apply`: as ImageNet-C is made.
    The random numbers of a change are a function of the seed, the image's row in the index, its name and its strength.

    Args:
        predictor: the model.
        images: at the size of this model.
        targets: class numbers `(n,)` in the order of the model's classes.
        name: what to call the model.
        which: all changes if not given.
        seed: of the changes.

    Raises:
        OptionError: there is no image, or an image may have several classes.
    """
    if targets.ndim != 1 or not len(targets):
        raise OptionError("robustness is measured on images with one class each, and on at least one image")
    which = changes() if which is None else which
    levels: list[tuple[str, float]] = [
        ("", 0.0),
        *((one.name, strength) for one in which for strength in one.strengths),
    ]
    correct = dict.fromkeys(levels, 0)
    for level, positions, pixels in _changed(images, levels, seed):
        guesses = forward(predictor.network, pixels, images.preprocess).argmax(1)
        correct[level] += int((guesses == targets[positions]).sum())
    share = {level: count / len(targets) for level, count in correct.items()}
    accuracy = {one.name: tuple(share[one.name, strength] for strength in one.strengths) for one in which}
    return Robustness(name, len(targets), seed, share["", 0.0], which, accuracy)


def _changed(
    images: Images, levels: list[tuple[str, float]], seed: int
) -> Iterator[tuple[tuple[str, float], NDArray[np.int64], NDArray[np.uint8]]]:
    """Batch after batch of every level, made by threads: name and strength, positions, pixels `(n, h, w, c)`."""
    size, threads = batch_size(images.preprocess), usable_cores()
    parts = [np.arange(i, min(i + size, len(images))) for i in range(0, len(images), size)]
    tasks = [(level, part) for level in levels for part in parts]

    def make(task: tuple[tuple[str, float], NDArray[np.int64]]) -> tuple[Any, NDArray[np.int64], NDArray[np.uint8]]:
        (name, strength), positions = task
        pixels = images.pixels(positions)
        if name:
            rows = images.rows[positions].tolist()
            pairs = zip(pixels, rows, strict=True)
            pixels = np.stack([corrupt(one, name, strength, seed=seed, image=row) for one, row in pairs])
        return task[0], positions, pixels

    with ThreadPoolExecutor(threads) as pool, bar("changed images", len(levels) * len(images)) as progress:
        for made in in_order(pool, make, tasks, ahead=2 * threads):
            yield made
            progress.step(len(made[1]), made[0][0])


def _mean_ratio(pairs: list[tuple[float, float]]) -> float | None:
    if not pairs or min(below for _, below in pairs) <= 0:
        return None
    return fmean(above / below for above, below in pairs)
