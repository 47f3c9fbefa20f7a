"""The base of all tasks whose labels are annotations: masks, boxes, key points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, OptionError
from hubel.data.annotation import MASKS, AnnotatedSource
from hubel.data.dataset import Dataset
from hubel.data.loading import Images
from hubel.inference.dense import DenseModel
from hubel.inference.stream import batch_size
from hubel.tasks.task import Model, Task
from hubel.weights.card import ModelCard

if TYPE_CHECKING:
    from torch import nn

__all__ = ["SCRATCH_BACKBONE", "AnnotatedTask", "outputs_on"]

#: The backbone where no weights are at hand: plain 3x3 convolutions learn from nothing what depthwise ones do not in
#: the same minutes; see `benchmarks/LOG.md`.
SCRATCH_BACKBONE = {"backbone": "convnet", "backbone_options": "filters=16,32,64,128,128"}


class AnnotatedTask(Task):
    """A task whose labels are annotations, which come with the images of a batch."""

    stratify: ClassVar[bool] = False
    augment: ClassVar[str] = "scene"
    augment_small: ClassVar[str] = "light"
    largest_batch: ClassVar[int] = 8
    optimizer: ClassVar[str] = "adamw"

    def outputs(self, dataset: Dataset) -> tuple[str, ...]:
        """Return the names of the classes: of pixels for masks, of objects otherwise.

        Raises:
            DataError: the data has no annotations of this kind.
        """
        source = dataset.source
        has = source.annotated if isinstance(source, AnnotatedSource) else ()
        if not isinstance(source, AnnotatedSource) or self.annotations not in has:
            labels = " and ".join(has) or "labels of whole images"
            raise DataError(f"{dataset.name} has {labels}, and no {self.annotations} to learn from")
        return source.mask_names if self.annotations == MASKS else source.names

    def targets(self, dataset: Dataset, outputs: tuple[str, ...], rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows, since the annotations come with the images.

        Raises:
            DataError: the data has no annotations of this kind, or its classes are not those of the model, from the
                first one on: its last ones may be missing.
        """
        if (names := self.outputs(dataset)) != outputs[: len(names)]:
            raise DataError(
                f"the classes of {dataset.name} are not those of the model: {', '.join(names)} instead of "
                f"{', '.join(outputs)}"
            )
        return rows

    def model(self, network: nn.Module, card: ModelCard, *, tta: bool = False) -> Model:
        """Return a model that annotates images.

        Raises:
            OptionError: annotations are not averaged over views.
        """
        if tta:
            raise OptionError(f"{self.annotations} are not averaged over views of an image; leave out --tta")
        from hubel.inference.dense_predictor import DensePredictor  # what only evaluates exported files does without

        return DensePredictor(network, card)


def outputs_on(model: DenseModel, images: Images) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the position of each image, in order, and the model's outputs for it."""
    for batch in images.in_sequence(batch_size(images.preprocess)):
        yield from zip(batch.positions.tolist(), model.outputs(batch.pixels), strict=True)
