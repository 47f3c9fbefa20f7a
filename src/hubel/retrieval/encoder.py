"""The interface of an encoder that puts images and texts into one space.

Whoever searches, classifies without training or trains on pairs takes an `Encoder` and knows no more of it. Similarity
is the inner product, which for vectors of unit length is the cosine of their angle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hubel.core.vectors import unit
from hubel.data.preprocess import Preprocess

__all__ = ["Encoder", "unit"]


@runtime_checkable
class Encoder(Protocol):
    """Two towers with one output space.

    One that was trained with a softmax over cosines may also have an attribute `scale`, the factor that these had in
    it; 100 is taken for others (`hubel.retrieval.zero_shot`).
    """

    @property
    def name(self) -> str:
        """Name that `--encoder` takes, such as "concepts"."""
        ...

    @property
    def digest(self) -> str:
        """Hexadecimal digest of all that the vectors of images depend on: weights, preprocessing, mapping.

        An index made with another digest is of no use. Reading it loads no network.
        """
        ...

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        ...

    @property
    def preprocess(self) -> Preprocess:
        """Preprocessing that makes the input of `encode_images`."""
        ...

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return unit vectors float32 `(n, dimension)` of resized images uint8 `(n, height, width, channels)`, RGB.

        Raises:
            ModelFileError: an output is NaN or infinite.
        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors float32 `(n, dimension)` of texts; a text of which nothing is known gives zeros."""
        ...
