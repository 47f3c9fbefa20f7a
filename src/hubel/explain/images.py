"""Images at a network's input size, prepared for explanations and figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hubel.core.errors import DecodeError, OptionError
from hubel.data.inputs import Input, as_inputs
from hubel.data.samples import network_input
from hubel.inference.device import device_of
from hubel.inference.predictor import Predictor

__all__ = ["PreparedImage", "check_predictor", "prepare_image", "prepare_images", "prepare_readable_images", "to_input"]


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedImage:
    """An image resized for a network.

    Attributes:
        name: the user's name of the image.
        pixels: uint8 `(h, w, c)`, at the network's input size.
        aspect: width by height in figures; a squashed image is drawn with its original aspect ratio.
    """

    name: str
    pixels: NDArray[np.uint8] = field(repr=False)
    aspect: float


def check_predictor(predictor: object) -> None:
    """Check that the network of a model can be looked into.

    Raises:
        OptionError: this is no such model, as an exported file is none.
    """
    if not isinstance(predictor, Predictor):
        raise OptionError(f"what is explained is a model that hubel.load returns, not {type(predictor).__name__}")


def prepare_images(predictor: Predictor, images: Any) -> Iterator[PreparedImage]:
    """Decode and resize images.

    Args:
        predictor: a trained model.
        images: as `Predictor.predict_proba` takes them; or an iterator of prepared images, which passes through
            unchanged.

    Raises:
        DecodeError: a file cannot be read.
        DataError: an array has another shape, or a path does not exist.
    """
    if isinstance(images, Iterator):
        yield from images
        return
    yield from (prepare_image(predictor, item) for item in as_inputs(images))


def prepare_image(predictor: Predictor, item: Input) -> PreparedImage:
    """Decode and resize one image.

    Raises:
        DecodeError: it cannot be read.
    """
    preprocess = predictor.card.preprocess
    decoded = item.decode(preprocess.min_size)
    aspect = _aspect(predictor, decoded.width, decoded.height)
    return PreparedImage(name=item.name, pixels=preprocess.apply(decoded.pixels), aspect=aspect)


def prepare_readable_images(
    predictor: Predictor, inputs: Iterable[Input], problems: list[DecodeError]
) -> Iterator[PreparedImage]:
    """Decode and resize the images that can be read; append the errors of the others to `problems`."""
    for item in inputs:
        try:
            yield prepare_image(predictor, item)
        except DecodeError as error:
            problems.append(error)


def to_input(predictor: Predictor, images: Sequence[PreparedImage]) -> Tensor:
    """Return the normalised input batch `(n, c, h, w)` of images, on the network's device.

    Raises:
        OptionError: this is no model whose network can be looked into, or no prepared image.
    """
    check_predictor(predictor)
    for image in images:
        if not isinstance(image, PreparedImage):
            raise OptionError(f"an image here is one of prepare_images(model, images), not {type(image).__name__}")
    pixels = np.stack([image.pixels for image in images])
    return network_input(pixels, predictor.card.preprocess, device_of(predictor.network))


def _aspect(predictor: Predictor, width: int, height: int) -> float:
    preprocess = predictor.card.preprocess
    return width / height if preprocess.resize == "squash" else preprocess.width / preprocess.height
