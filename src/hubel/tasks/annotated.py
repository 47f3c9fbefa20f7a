"""What all tasks share whose labels are annotations: masks, boxes, key points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.data.annotation import AnnotatedSource, Annotation
from hubel.data.dataset import Dataset
from hubel.data.loading import Images
from hubel.inference.dense import DenseModel
from hubel.inference.stream import batch_size

__all__ = ["annotated_targets", "found_on", "source_names"]


def source_names(dataset: Dataset) -> tuple[str, ...]:
    """Return the names of the classes of a dataset's annotations.

    Raises:
        DataError: it has no annotations.
    """
    if not isinstance(dataset.source, AnnotatedSource):
        raise DataError(f"{dataset.name} has no masks, boxes or key points")
    return dataset.source.names


def annotated_targets(dataset: Dataset, outputs: tuple[str, ...], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return the rows as targets, since annotations come with the images.

    Raises:
        DataError: the classes of the data are not those of the model.
    """
    names = source_names(dataset)
    if names != outputs:
        raise DataError(
            f"the classes of {dataset.name} are not those of the model: {', '.join(names)} instead of "
            f"{', '.join(outputs)}"
        )
    return rows


def found_on(model: DenseModel, images: Images) -> Iterator[tuple[int, Annotation, NDArray[np.float64]]]:
    """Yield position, annotation and scores of each image, in order; in pixels of the upright image."""
    for batch in images.in_sequence(batch_size(images.preprocess)):
        for at, output in zip(batch.positions.tolist(), model.outputs(batch.pixels), strict=True):
            yield at, *model.decode(output, images.shape(at))
