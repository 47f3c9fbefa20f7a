"""Measured images: the numbers of each that a drift is told by, and the compact form in which a model keeps them."""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.audit.drifting.appearance import APPEARANCE, Trait
from hubel.core.errors import ModelFileError

__all__ = ["FILE_TRAITS", "MOST_IMAGES", "WIDEST", "MeasuredImages", "Reference", "read_reference"]

#: Numbers of a file, in the order of `MeasuredImages.files`.
FILE_TRAITS = (
    Trait("size", "square root of the number of pixels", "smaller", "larger"),
    Trait("aspect", "width by height", "narrower", "wider"),
    Trait("bits per pixel", "bits of the file for each pixel", "more compressed", "less compressed"),
)

#: Most images of a reference.
MOST_IMAGES = 256
_VERSION = 1
WIDEST = 64  # columns of features and scores
_MOST_FORMATS, _LONGEST_FORMAT = 32, 16
_ARRAYS = ("appearance", "files", "scores", "confidence", "predicted", "features")


@dataclass(frozen=True, eq=False, kw_only=True)
class MeasuredImages:
    """Measured images.

    Attributes:
        appearance: float16 `(n, len(APPEARANCE))`, see `hubel.audit.drifting.appearance`.
        files: float16 `(n, len(FILE_TRAITS))`; NaN where an image is no file.
        formats: name of each image's file format, `(n,)`.
        scores: logarithms of the scores, or random projections of these, float16 `(m, at most 64)`.
        confidence: log odds of the highest score, or the predicted number itself, float16 `(m,)`.
        predicted: numbers of the classes with the highest scores, int16 `(m,)`.
        features: random projections of the last layer's input, float16 `(m, at most 64)`; of no column where the
            network cannot be read.
    """

    appearance: NDArray[np.float16]
    files: NDArray[np.float16]
    formats: tuple[str, ...]
    scores: NDArray[np.float16]
    confidence: NDArray[np.float16]
    predicted: NDArray[np.int16]
    features: NDArray[np.float16]


@dataclass(frozen=True, eq=False, kw_only=True)
class Reference:
    """The images that a model's new ones are compared with.

    Attributes:
        sample: its traits are those of images that trained or validated; scores, confidence, predicted classes and
            features those of held-out ones alone, of which a network knows as little as of new ones. None may be held
            out.
        held_out: description of the held-out images: "validation", or "labelled" where a user names the data.
    """

    sample: MeasuredImages
    held_out: str = "validation"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; less than 100 kB."""
        formats = {name: self.sample.formats.count(name) for name in sorted(set(self.sample.formats))}
        arrays = {name: _written(getattr(self.sample, name)) for name in _ARRAYS}
        return {"version": _VERSION, "held_out": self.held_out, "formats": formats, **arrays}


def read_reference(value: Mapping[str, Any], classes: int) -> Reference:
    """Read what `Reference.to_json` returned, from a file that anyone may have written.

    Args:
        value: the entry of a card.
        classes: number of the model's classes.

    Raises:
        ModelFileError: it is no such entry.
    """
    try:
        if (version := value["version"]) != _VERSION:
            raise ValueError(f"version {version!r}; this hubel reads {_VERSION}")
        formats = _read_formats(value["formats"])
        sizes = {"appearance": len(APPEARANCE), "files": len(FILE_TRAITS), "confidence": 0, "predicted": 0}
        arrays = {name: _read(value[name], name, sizes.get(name)) for name in _ARRAYS}
        images, outputs = len(arrays["appearance"]), len(arrays["predicted"])
        if len(formats) != images or any(
            len(array) != (images if name in ("appearance", "files") else outputs) for name, array in arrays.items()
        ):
            raise ValueError("its arrays have different numbers of images")
        predicted = arrays["predicted"]
        if outputs and not 0 <= predicted.min() <= predicted.max() < max(1, classes):
            raise ValueError("it names classes that the model does not have")
        held_out = str(value["held_out"])[:_LONGEST_FORMAT]
        return Reference(sample=MeasuredImages(formats=formats, **arrays), held_out=held_out)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"the model's training statistics cannot be read: {error}") from None


def _written(array: NDArray[Any]) -> dict[str, Any]:
    return {
        "shape": list(array.shape),
        "base64": b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode(),
    }


def _read(value: Mapping[str, Any], name: str, columns: int | None) -> NDArray[Any]:
    """Read an array: of so many columns, 0 for none at all, None for any number up to the widest."""
    shape = tuple(value["shape"])
    fits = len(shape) == (1 if columns == 0 else 2) and all(type(side) is int and side >= 0 for side in shape)
    if (
        not fits
        or shape[0] > MOST_IMAGES
        or (shape[1:] and not (shape[1] == columns if columns else shape[1] <= WIDEST))
    ):
        raise ValueError(f"{name} has the shape {shape}")
    data = b64decode(value["base64"], validate=True)
    if len(data) != 2 * math.prod(shape):
        raise ValueError(f"{name} has {len(data)} bytes for the shape {shape}")
    array = np.frombuffer(data, "<i2" if name == "predicted" else "<f2").reshape(shape)
    array = array.astype(array.dtype.newbyteorder("="))
    if name != "predicted" and not (np.isfinite(array) | (np.isnan(array) if name == "files" else False)).all():
        raise ValueError(f"{name} has numbers that are not finite")
    return array


def _read_formats(value: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for name, count in value.items():
        if not (name.isascii() and name.isprintable() and 0 < len(name) <= _LONGEST_FORMAT):
            raise ValueError("a file format has a strange name")
        if type(count) is not int or not 0 < count <= MOST_IMAGES:
            raise ValueError(f"{count!r} images of a file format")
        found += [name] * count
        if len(found) > MOST_IMAGES:
            raise ValueError(f"more than {MOST_IMAGES} images")
    return tuple(found)
