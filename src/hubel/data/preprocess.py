"""Preprocessing: from a decoded image to the network's input, in one description that every path shares.

Training, prediction, the server and the exported file all use one `Preprocess`, so the network sees the same numbers
everywhere. The whole image is used, squashed or padded to the network's size, except by "crop", which is how networks
trained on ImageNet are evaluated.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hubel.core.errors import OptionError

__all__ = ["Preprocess", "Resize"]

Resize = Literal["squash", "pad", "crop"]
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_LEAST_CROP = 0.1  # less would enlarge an image without bound
_LONGEST = 16  # times the shorter side; of a longer image, resizing the part that a crop drops would take all memory


@dataclass(frozen=True)
class Preprocess:
    """Size, channels and normalisation of a network's input.

    Attributes:
        height: rows of the input, in pixels.
        width: columns of the input, in pixels.
        channels: 1 for grey, 3 for RGB in that order.
        resize: "squash" resizes the whole image to the size, whatever its shape; "pad" keeps its shape (shrinks it when
            needed, never enlarges it) and surrounds it with black; "crop" keeps its shape, resizes it until it just
            covers the size divided by `crop`, and cuts the size out of its centre.
        interpolation: "bilinear" or "bicubic"; both average over the source's pixels when they shrink (antialias).
        mean: per channel, in units of full scale (0 to 1).
        std: per channel, in units of full scale; positive.
        crop: the share of the shorter side that "crop" keeps, 0.1 to 1; 1 for every other resize.
    """

    height: int
    width: int
    channels: int = 3
    resize: Resize = "squash"
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.25, 0.25, 0.25)
    crop: float = 1.0

    def __post_init__(self) -> None:
        if not all(isinstance(side, int) and side >= 1 for side in (self.height, self.width)):
            raise OptionError(f"an input has whole numbers of pixels from 1 on, not {self.height}x{self.width}")
        if self.channels not in (1, 3):
            raise OptionError(f"an image has 1 (grey) or 3 (RGB) channels, not {self.channels}")
        if self.resize not in get_args(Resize):
            raise OptionError(f"resize is one of {', '.join(get_args(Resize))}, not {self.resize!r}")
        if self.interpolation not in _FILTERS:
            raise OptionError(f"interpolation is one of {', '.join(_FILTERS)}, not {self.interpolation!r}")
        numbers = all(math.isfinite(value) for value in (*self.mean, *self.std))
        if len(self.mean) != self.channels or len(self.std) != self.channels or not numbers or min(self.std) <= 0:
            raise OptionError(f"mean and std need {self.channels} finite numbers each, std positive")
        if not _LEAST_CROP <= self.crop <= 1:
            raise OptionError(f"crop is a share from {_LEAST_CROP} to 1, not {self.crop!r}")
        if self.crop != 1 and self.resize != "crop":
            raise OptionError(f"only resize crop cuts something away; {self.resize} needs crop 1, not {self.crop!r}")

    @property
    def min_size(self) -> tuple[int, int]:
        """Return the smallest width and height that an image is shrunk to: `min_size` of `decode`."""
        # 224 / (224 / 232) is a little less than 232.
        return math.floor(self.width / self.crop + 1e-6), math.floor(self.height / self.crop + 1e-6)

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize a decoded image, uint8 `(h, w)` grey or `(h, w, 3)` RGB, to uint8 `(height, width, channels)`."""
        image = Image.fromarray(pixels)
        wanted = "L" if self.channels == 1 else "RGB"
        if image.mode != wanted:
            image = image.convert(wanted)
        if self.resize == "crop" and max(image.size) > (longest := _LONGEST * min(image.size)):
            image = _centre(image, min(image.width, longest), min(image.height, longest))
        width, height = self.inner_size(image.width, image.height)
        if image.size != (width, height):
            image = image.resize((width, height), _FILTERS[self.interpolation])
        if self.resize == "crop":
            image = _centre(image, self.width, self.height)
        elif image.size != (self.width, self.height):
            canvas = Image.new(wanted, (self.width, self.height))
            canvas.paste(image, ((self.width - width) // 2, (self.height - height) // 2))
            image = canvas
        return np.asarray(image).reshape(self.height, self.width, self.channels)

    def inner_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height that an image of this size is resized to before it is padded or cropped."""
        if self.resize == "squash":
            return self.width, self.height
        if self.resize == "crop":
            across, down = self.min_size
            by_width = width * down <= height * across
            return (across, across * height // width) if by_width else (down * width // height, down)
        scale = min(1.0, self.width / width, self.height / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def normalise(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Convert uint8 `(n, h, w, c)` to float32 `(n, c, h, w)`: `(x / 255 - mean) / std`, as one multiply and add."""
        scale, shift = self.scale_shift()
        return np.ascontiguousarray((batch.astype(np.float32) * scale + shift).transpose(0, 3, 1, 2))

    def scale_shift(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return, per channel, the factor and the summand that normalise a byte."""
        mean, std = np.asarray(self.mean), np.asarray(self.std)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Preprocess:
        """Build a preprocessing from the values of `to_json`.

        Raises:
            OptionError: a field is missing, unknown or out of range.
        """
        try:
            named = {**value}
            if "fit" in named:  # as 0.1.0 called it
                named["resize"] = named.pop("fit")
            return cls(**{**named, "mean": tuple(named["mean"]), "std": tuple(named["std"])})
        except (TypeError, KeyError) as error:
            raise OptionError(f"this is no description of a preprocessing: {error}") from None


def _centre(image: Image.Image, width: int, height: int) -> Image.Image:
    """Crop the centre of an image. Halves are rounded to even, as torchvision does."""
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
