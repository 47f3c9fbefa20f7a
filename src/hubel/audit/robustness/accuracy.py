"""Accuracy of a classifier under corruptions, at each strength, and mean corruption errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.audit.robustness.corruptions import CORRUPTIONS, Corruption, corrupt, find_corruptions
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
# (arXiv:1912.02781), which shares its first author with the paper.
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


@dataclass(frozen=True, eq=False, kw_only=True)
class Robustness:
    """Accuracy of a model on corrupted images.

    Attributes:
        model: name of the model.
        n: number of images.
        seed: seed of the corruptions.
        clean: accuracy on the unchanged images, 0 to 1.
        corruptions: corruptions of the images.
        accuracy: accuracies at the strengths of each corruption, 0 to 1, by its name.
    """

    model: str
    n: int
    seed: int
    clean: float
    corruptions: tuple[Corruption, ...]
    accuracy: Mapping[str, tuple[float, ...]]

    def errors(self) -> dict[str, float]:
        """Return the mean error over severities of each measured corruption of ImageNet-C, by name."""
        return {name: 1 - fmean(self.accuracy[name]) for name in CORRUPTIONS if name in self.accuracy}

    def mean_error(self) -> float | None:
        """Return the unnormalised mean corruption error, the mean of `errors`; None unless all 15 were measured."""
        errors = self.errors()
        return fmean(errors.values()) if len(errors) == len(CORRUPTIONS) else None


def mce(errors: Mapping[str, float], reference: Mapping[str, float]) -> float | None:
    """Compute the mean corruption error relative to a reference model, 1 for the reference itself.

    Hendrycks & Dietterich 2019, arXiv:1903.12261, Section 4.1: the mean over corruptions of the sum of the errors over
    severities, divided by that of the reference. The paper states it times 100.

    Args:
        errors: mean error over severities of each corruption, by name.
        reference: the same for the reference model, for at least these corruptions.

    Returns:
        The ratio, or None if there is no corruption or the reference makes no error.
    """
    return _mean_ratio([(errors[name], reference[name]) for name in errors])


def relative_mce(
    errors: Mapping[str, float], clean: float, reference: Mapping[str, float], reference_clean: float
) -> float | None:
    """Compute the mean corruption error from the errors in excess of each model's clean error. See `mce`."""
    return _mean_ratio([(errors[name] - clean, reference[name] - reference_clean) for name in errors])


def measure_robustness(
    predictor: Predictor,
    images: Images,
    targets: NDArray[np.int64],
    *,
    name: str = "model",
    corruptions: tuple[Corruption, ...] | None = None,
    seed: int = 0,
) -> Robustness:
    """Measure the accuracy of a model on unchanged and on corrupted images.

    Images are decoded once and corrupted at the network's resolution, after `Preprocess.apply`, as in ImageNet-C. The
    random numbers are a function of the seed, the image's row in the index, and the corruption's name and strength.

    Args:
        predictor: the model.
        images: images at the input size of this model.
        targets: class indices `(n,)` in the order of the model's classes.
        name: name of the model in the result.
        corruptions: corruptions to measure; all if not given.
        seed: seed of the corruptions.

    Raises:
        OptionError: there is no image, or images may have several classes.
    """
    if targets.ndim != 1 or not len(targets):
        raise OptionError("robustness is measured on images with one class each, and on at least one image")
    corruptions = find_corruptions() if corruptions is None else corruptions
    levels: list[tuple[str, float]] = [
        ("", 0.0),
        *((one.name, strength) for one in corruptions for strength in one.strengths),
    ]
    correct = dict.fromkeys(levels, 0)
    for level, positions, pixels in _corrupted(images, levels, seed):
        predictions = forward(predictor.network, pixels, images.preprocess).argmax(1)
        correct[level] += int((predictions == targets[positions]).sum())
    share = {level: count / len(targets) for level, count in correct.items()}
    accuracy = {one.name: tuple(share[one.name, strength] for strength in one.strengths) for one in corruptions}
    return Robustness(
        model=name, n=len(targets), seed=seed, clean=share["", 0.0], corruptions=corruptions, accuracy=accuracy
    )


def _corrupted(
    images: Images, levels: list[tuple[str, float]], seed: int
) -> Iterator[tuple[tuple[str, float], NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield level (name and strength), positions and pixels `(n, h, w, c)` of every batch, corrupted by threads."""
    size, threads = batch_size(images.preprocess), usable_cores()
    batches = [np.arange(i, min(i + size, len(images))) for i in range(0, len(images), size)]
    tasks = [(level, batch) for level in levels for batch in batches]

    def corrupt_batch(
        task: tuple[tuple[str, float], NDArray[np.int64]],
    ) -> tuple[Any, NDArray[np.int64], NDArray[np.uint8]]:
        (name, strength), positions = task
        pixels = images.pixels(positions)
        if name:
            rows = images.rows[positions].tolist()
            pairs = zip(pixels, rows, strict=True)
            pixels = np.stack([corrupt(image, name, strength, seed=seed, image=row) for image, row in pairs])
        return task[0], positions, pixels

    with ThreadPoolExecutor(threads) as pool, bar("corrupted images", len(levels) * len(images)) as progress:
        for level, positions, pixels in in_order(pool, corrupt_batch, tasks, ahead=2 * threads):
            yield level, positions, pixels
            progress.step(len(positions), level[0])


def _mean_ratio(pairs: list[tuple[float, float]]) -> float | None:
    if not pairs or min(denominator for _, denominator in pairs) <= 0:
        return None
    return fmean(numerator / denominator for numerator, denominator in pairs)
