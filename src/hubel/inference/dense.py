"""Models that answer with an annotation of an image: a class for each pixel, boxes, or key points. Imports no torch."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DecodeError, ModelFileError
from hubel.data.annotation import Annotation
from hubel.data.inputs import Input, as_inputs
from hubel.inference.box_decoding import annotate_boxes
from hubel.inference.maps import decode_maps
from hubel.inference.point_decoding import annotate_points
from hubel.inference.stream import stream
from hubel.weights.card import ModelCard

__all__ = ["DenseModel", "Found"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Found:
    """The answer of a model to one image.

    Attributes:
        path: of the image.
        width: of the upright image, in pixels; 0 where it cannot be read.
        height: likewise.
        annotation: what is found, in pixels of the upright image.
        scores: of each object, 0 to 1, `(k,)`, the highest first; with a mask, the mean score of the pixels' classes,
            `(1,)`.
        reason: of an image that cannot be read, or is damaged, which is annotated nevertheless; None for all others.
    """

    path: str
    width: int = 0
    height: int = 0
    annotation: Annotation = field(default_factory=Annotation)
    scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    reason: str | None = None


# By the kind of output: from the answer to one image, preprocessing and size (height, width) to annotation and scores.
# A score from which on objects are shown, if the card has one, is a keyword.
Decode = Callable[..., tuple[Annotation, NDArray[np.float64]]]
DECODERS: dict[str, Decode] = {"boxes": annotate_boxes, "maps": decode_maps, "points": annotate_points}


class DenseModel(abc.ABC):
    """A network of any kind that annotates images, with its card.

    Args:
        card: classes, preprocessing, kind of output.
    """

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the annotation's class numbers."""
        return self.card.objects

    @property
    def limbs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of key points that a line joins where they are drawn."""
        return self.card.skeleton.limbs if self.card.skeleton else ()

    @abc.abstractmethod
    def _outputs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute answers `(n, ...)`, see `hubel.inference.answers`, to resized images uint8 `(n, h, w, c)`."""

    def outputs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute answers `(n, ...)` to images uint8 `(n, h, w, c)` that `card.preprocess` has resized.

        See `hubel.inference.answers`.

        Raises:
            ModelFileError: they are not finite.
        """
        found = self._outputs(pixels)
        if len(found) != len(pixels) or not np.isfinite(found).all():
            raise ModelFileError("the model's outputs are NaN or infinite: its weights are damaged")
        return found

    def decode(self, output: NDArray[np.float32], size: tuple[int, int]) -> tuple[Annotation, NDArray[np.float64]]:
        """Return annotation and scores from the answer to one image of this height and width."""
        chosen = {"shown_score": self.card.shown_score} if self.card.shown_score else {}
        return DECODERS[self.card.output](output, self.card.preprocess, size, **chosen)

    def predict(self, images: Any) -> list[Found]:
        """Annotate images: paths, folders, patterns, arrays, PIL images and more; see `hubel.data.inputs.as_inputs`.

        Raises:
            DecodeError: an image cannot be read.
            DataError: an array has another shape, or a path does not exist.
        """
        found = []
        for item, answer in self.stream(as_inputs(images)):
            if answer.width == 0:
                raise DecodeError(item.name, answer.reason or "")
            found.append(answer)
        return found

    def stream(self, inputs: Iterable[Input]) -> Iterator[tuple[Input, Found]]:
        """Yield each image with what is found on it, in order; unreadable files come with their reason."""
        for item, answer in stream(inputs, self.card.preprocess, self.outputs):
            if isinstance(answer, DecodeError):
                yield item, Found(path=item.name, reason=answer.reason)
                continue
            height, width = item.height, item.width
            annotation, scores = self.decode(answer, (height, width))
            yield (
                item,
                Found(
                    path=item.name,
                    width=width,
                    height=height,
                    annotation=annotation,
                    scores=scores,
                    reason=item.damage or None,
                ),
            )
