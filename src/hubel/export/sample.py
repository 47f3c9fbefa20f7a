"""Images that an exported file is compared with its model on, and that int8 is calibrated with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, OptionError
from hubel.core.progress import counted
from hubel.data.dataset import Dataset, open_dataset
from hubel.data.preprocess import Preprocess
from hubel.data.sources.kind import Rooted
from hubel.data.taught import Taught
from hubel.export.annotated_cost import AnnotatedCheck
from hubel.tasks.catalogue import find_task
from hubel.weights.card import ModelCard

__all__ = ["ExportSample", "sample_images"]

_CALIBRATION_IMAGES = 300  # the ranges of activations change little with more

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class ExportSample:
    """Resized images, uint8 `(n, h, w, c)`, for calibration and comparison.

    Attributes:
        name: description of the images.
        calibration: images to find the ranges of int8 with.
        check: images to compare on.
        targets: class numbers of `check`; None without labels.
        annotated: images with annotations that measure int8; None without them.
        unannotated: the reason why there are none.
    """

    name: str
    calibration: Pixels
    check: Pixels
    targets: NDArray[np.int64] | None = None
    annotated: AnnotatedCheck | None = None
    unannotated: str = "no --data"

    def measuring(self, card: ModelCard) -> tuple[Pixels, NDArray[np.int64]] | AnnotatedCheck | None:
        """Return what measures the cost of int8; None for images without labels, of classifiers.

        Raises:
            OptionError: the network annotates images, and none of these is annotated.
        """
        if not card.dense:
            return None if self.targets is None else (self.check, self.targets)
        if self.annotated is None:
            raise OptionError(
                f"--int8 of {card.model} needs images with labels, to measure the loss: {self.unannotated}"
            )
        return self.annotated


def sample_images(data: str | Rooted | None, card: ModelCard) -> ExportSample:
    """Take images of a dataset, or parts of two photos if none is given.

    Raises:
        DataError: the dataset has no image to compare with.
    """
    return _from_photos(card.preprocess) if data is None else _from_data(data, card)


def _from_data(data: str | Rooted, card: ModelCard) -> ExportSample:
    """Take images of a dataset: training images to calibrate with, the others to compare and measure on."""
    multi_label = card.provenance.get("multi_label", False)
    void = card.provenance.get("void")  # masks are read as in training
    dataset = open_dataset(data, multi_label=multi_label, labelled=False, void=void, parents=card.parents or None)
    taught = Taught.read(card.provenance)
    nothing_new = bool(taught.among(dataset.digests()).all())
    compared = dataset.evaluation_rows(card.provenance, "all" if nothing_new else "auto")
    rows = compared.rows
    others = np.setdiff1d(dataset.rows(), rows)
    if not len(rows):
        raise DataError(f"{data}: there is no image to compare with")

    def pixels(chosen: NDArray[np.int64]) -> Pixels:
        images = dataset.images(card.preprocess, chosen)
        return images.pixels(np.arange(len(images)))

    def spread(chosen: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        return chosen[np.unique(np.linspace(0, len(chosen) - 1, min(most, len(chosen))).astype(np.int64))]

    if card.dense:
        annotated, reason = _annotated(dataset, card, rows)
        return ExportSample(
            name=f"{len(rows):,} {compared.name} images of {dataset.name}",
            calibration=pixels(spread(others if len(others) else rows, _CALIBRATION_IMAGES)),
            check=pixels(spread(rows, _CALIBRATION_IMAGES)),
            annotated=annotated,
            unannotated=reason,
        )
    named = set(dataset.labels(rows))
    if not multi_label and named <= set(card.classes) and named:
        return ExportSample(
            name=f"{len(rows):,} {compared.name} images of {dataset.name}",
            calibration=pixels(spread(others if len(others) else rows, _CALIBRATION_IMAGES)),
            check=pixels(rows),
            targets=dataset.targets(card.classes, rows),
        )
    chosen = spread(dataset.rows(), _CALIBRATION_IMAGES)
    images = pixels(chosen)
    return ExportSample(name=f"{counted(len(chosen), 'image')} of {dataset.name}", calibration=images, check=images)


def _annotated(dataset: Dataset, card: ModelCard, rows: NDArray[np.int64]) -> tuple[AnnotatedCheck | None, str]:
    """Return rows with their annotations, or the reason why there are none."""
    task = find_task(card.task)
    try:
        targets = task.targets(dataset, card.classes, rows)
    except DataError as error:
        return None, str(error)
    images = dataset.images(card.preprocess, rows, annotations=task.annotations)
    return AnnotatedCheck(card=card, images=images, targets=targets), ""


def _from_photos(preprocess: Preprocess) -> ExportSample:
    """Cut parts from the two photos of scikit-learn: real edges, textures and colours, if no data is given."""
    from sklearn.datasets import load_sample_images

    parts = [
        preprocess.apply(np.ascontiguousarray(photo[top : top + 200, left : left + 200]))
        for photo in load_sample_images().images
        for top in (0, 100, 200)
        for left in (0, 150, 300, 440)
    ]
    return ExportSample(name=f"{len(parts)} parts of two photos", calibration=np.stack(parts), check=np.stack(parts))
