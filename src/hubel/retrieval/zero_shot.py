"""Classify images by the names of classes alone, without training (zero-shot; Radford et al. 2021, Section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.core.vectors import unit
from hubel.inference.classifier import Classifier
from hubel.inference.scores import softmax
from hubel.inference.tta import Compute
from hubel.retrieval.concepts import ConceptsEncoder
from hubel.retrieval.encoder import Encoder
from hubel.retrieval.search import understood
from hubel.weights.card import ModelCard

__all__ = ["NamedClasses", "split_names"]

_PROMPTS = ("a photo of a {}.", "a close-up photo of a {}.", "a photo of the {}.", "a picture of many {}.")
_SCALE = 100.0  # of cosines before the softmax where the encoder has none: what CLIP's learnt temperature ends at
_LEAST = 0.05  # added to each share: an image of none of the classes is shared out evenly


class NamedClasses(Classifier):
    """A classifier whose classes are words.

    The encoder `concepts` shares an image out among the classes in proportion to what each asks for. Encoders with
    unit vectors have CLIP's softmax of scaled cosines, to the mean of several prompts for each class.

    Args:
        encoder: of images and texts.
        names: of the classes, in English or Korean; at least two different ones.

    Raises:
        OptionError: there are not two names, two are the same, or no word of one is known.
    """

    def __init__(self, encoder: Encoder, names: Sequence[str]) -> None:
        if len(names) < 2 or len(set(names)) < len(names):
            given = ",".join(names)
            raise OptionError(f'--classes takes at least two different names, such as "cat,dog"; not {given!r}')
        super().__init__(ModelCard(encoder.name, tuple(names), encoder.preprocess))
        self._encoder = encoder
        english = [understood(name) for name in names]
        self._texts = self._in_prompts(english)
        unknown = [name for name, vector in zip(names, self._texts, strict=True) if not vector.any()]
        if unknown:
            raise OptionError(f"no word of {unknown[0]!r} is known; classes are named in English or Korean")

    def _in_prompts(self, names: Sequence[str]) -> NDArray[np.float32]:
        if isinstance(self._encoder, ConceptsEncoder):
            return self._encoder.encode_texts(names)
        texts = [prompt.format(name) for name in names for prompt in _PROMPTS]
        return unit(self._encoder.encode_texts(texts).reshape(len(names), len(_PROMPTS), -1).sum(1))

    def _scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        return self._of_vectors(self._encoder.encode_images(pixels))

    def _of_vectors(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        if not isinstance(self._encoder, ConceptsEncoder):
            scale = getattr(self._encoder, "scale", _SCALE)
            return softmax(scale * (vectors @ self._texts.T).astype(np.float64))
        shares = self._encoder.scores_of(vectors) @ self._texts.T.astype(np.float64) + _LEAST
        return np.asarray(shares / shares.sum(1, keepdims=True))

    def for_many(self, images: int) -> tuple[Compute, int]:
        """Return the function that computes the rows of so many images, and the threads that may call it at once."""
        if not isinstance(self._encoder, ConceptsEncoder):
            return self.rows, 1
        compute, lanes = self._encoder.prepare(images)
        return self._averaged(lambda pixels: self._of_vectors(compute(pixels))), lanes


def split_names(text: str) -> tuple[str, ...]:
    """Return the names in a text with commas between them.

    >>> split_names("cat, dog,")
    ('cat', 'dog')
    """
    return tuple(name for part in text.split(",") if (name := " ".join(part.split())))
