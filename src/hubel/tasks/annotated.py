"""The common part of all tasks whose labels are annotations: masks, boxes, key points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.data.annotation import MASKS, AnnotatedSource, Annotation
from hubel.data.dataset import Dataset
from hubel.data.loading import Images
from hubel.inference.dense import DenseModel
from hubel.inference.stream import batch_size

__all__ = ["annotated_targets", "found_on", "source_names"]


def source_names(dataset: Dataset, kind: str) -> tuple[str, ...]:
    """Return the names of the classes of a dataset's annotations.

    Args:
        dataset: the data.
        kind: of annotations, see `hubel.data.annotation`: masks have classes of pixels, the others of objects.

    Raises:
        DataError: it has no such annotations.
    """
    source = dataset.source
    has = source.annotated if isinstance(source, AnnotatedSource) else ()
    if not isinstance(source, AnnotatedSource) or kind not in has:
        raise DataError(
            f"{dataset.name} has {' and '.join(has) or 'labels of whole images'}, and no {kind} to learn from"
        )
    return source.mask_names if kind == MASKS else source.names


def annotated_targets(dataset: Dataset, kind: str, outputs: tuple[str, ...], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return the rows as targets, since annotations come with the images.

    Raises:
        DataError: the data has no annotations of this kind, or its classes are not those of the model.
    """
    names = source_names(dataset, kind)
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
