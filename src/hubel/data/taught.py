"""Remember which images taught a model, by the digests of their bytes, so that a measurement can leave them out."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import ModelFileError

__all__ = ["Taught"]

# 8 bytes an image are 1 MiB for this many; an image that was not trained on is taken for one that was with a
# probability of at most this number / 2^64.
_MOST_KEYS = 2**17


@dataclass(frozen=True, eq=False, kw_only=True)
class Taught:
    """The images that taught a model, as the first 8 bytes of the digests of the encoded images.

    Of more than 131,072 images the smallest keys are kept: a sample, by which overlap is a lower bound.

    Attributes:
        keys: sorted, little-endian uint64 `(k,)`.
        images: number of different images; more than `k` where the keys are a sample.
    """

    keys: NDArray[np.uint64]
    images: int

    @classmethod
    def of(cls, digests: NDArray[np.void]) -> Self:
        """Return the record of images with the digests `(n,)`, 16 bytes each."""
        keys = np.unique(_keys(digests))
        return cls(keys=keys[:_MOST_KEYS], images=len(keys))

    @classmethod
    def read(cls, provenance: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned from the entry "taught" of a model's provenance; without one, no image is known.

        Raises:
            ModelFileError: the entry is no such record.
        """
        value = provenance.get("taught", {"images": 0, "keys": ""})
        try:
            return cls(keys=np.frombuffer(b64decode(value["keys"], validate=True), "<u8"), images=int(value["images"]))
        except (LookupError, TypeError, ValueError, OverflowError):
            raise ModelFileError("the model's record of the images that taught it cannot be read") from None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: the number of images, and the keys in base64, 11 characters an image."""
        return {"images": self.images, "keys": b64encode(self.keys.tobytes()).decode()}

    def __or__(self, other: Taught) -> Taught:
        """Return the record of the images of both; where one of them is a sample, their number is a lower bound."""
        keys = np.union1d(self.keys, other.keys)
        return Taught(keys=keys[:_MOST_KEYS], images=max(len(keys), self.images, other.images))

    def among(self, digests: NDArray[np.void]) -> NDArray[np.bool_]:
        """Return whether each image `(n,)` is known to have taught the model."""
        return np.isin(_keys(digests), self.keys)


def _keys(digests: NDArray[np.void]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(digests).view("<u8").reshape(len(digests), 2)[:, 0]
