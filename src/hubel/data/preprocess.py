"""How a decoded image becomes what the network sees: the one description that every path shares.

Training, prediction, the server and the exported file all use one `Preprocess`, so the network sees the same numbers
everywhere. Nothing is cropped away: the whole picture is kept, squashed or padded to the network's size.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hubel.core.errors import OptionError

__all__ = ["Fit", "Preprocess"]

Fit = Literal["squash", "pad"]
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Preprocess:
    """Size, channels and normalisation of a network's input.

    Attributes:
        height: rows of the input, in pixels.
        width: columns of the input, in pixels.
        channels: 1 for grey, 3 for RGB in that order.
        fit: "squash" resizes the whole picture to the size, whatever its shape; "pad" keeps its shape (enlarging never,
            shrinking when needed) and surrounds it with black.
        interpolation: "bilinear" or "bicubic"; both average over the source's pixels when they shrink (antialias).
        mean: per channel, in units of full scale (0 to 1).
        std: per channel, in units of full scale; positive.
    """

    height: int
    width: int
    channels: int = 3
    fit: Fit = "squash"
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.25, 0.25, 0.25)

    def __post_init__(self) -> None:
        if not all(isinstance(side, int) and side >= 1 for side in (self.height, self.width)):
            raise OptionError(f"an input has whole numbers of pixels from 1 on, not {self.height}x{self.width}")
        if self.channels not in (1, 3):
            raise OptionError(f"an image has 1 (grey) or 3 (RGB) channels, not {self.channels}")
        if self.fit not in get_args(Fit):
            raise OptionError(f"fit is one of {', '.join(get_args(Fit))}, not {self.fit!r}")
        if self.interpolation not in _FILTERS:
            raise OptionError(f"interpolation is one of {', '.join(_FILTERS)}, not {self.interpolation!r}")
        numbers = all(math.isfinite(value) for value in (*self.mean, *self.std))
        if len(self.mean) != self.channels or len(self.std) != self.channels or not numbers or min(self.std) <= 0:
            raise OptionError(f"mean and std need {self.channels} finite numbers each, std positive")

    def resize(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A decoded image, uint8 `(h, w)` grey or `(h, w, 3)` RGB, as uint8 `(height, width, channels)`."""
        image = Image.fromarray(pixels)
        wanted = "L" if self.channels == 1 else "RGB"
        if image.mode != wanted:
            image = image.convert(wanted)
        width, height = self._inner(image.width, image.height)
        if image.size != (width, height):
            image = image.resize((width, height), _FILTERS[self.interpolation])
        if (width, height) != (self.width, self.height):
            canvas = Image.new(wanted, (self.width, self.height))
            canvas.paste(image, ((self.width - width) // 2, (self.height - height) // 2))
            image = canvas
        return np.asarray(image).reshape(self.height, self.width, self.channels)

    def _inner(self, width: int, height: int) -> tuple[int, int]:
        if self.fit == "squash":
            return self.width, self.height
        scale = min(1.0, self.width / width, self.height / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def normalise(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 `(n, h, w, c)` as float32 `(n, c, h, w)`: `(x / 255 - mean) / std`, as one multiply and add."""
        scale, shift = self.scale_shift()
        return np.ascontiguousarray((batch.astype(np.float32) * scale + shift).transpose(0, 3, 1, 2))

    def scale_shift(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Per channel, the factor and the summand that turn a byte into what the network sees."""
        mean, std = np.asarray(self.mean), np.asarray(self.std)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Preprocess:
        """The inverse of `to_json`.

        Raises:
            OptionError: a field is missing, unknown or out of range.
        """
        try:
            return cls(**{**value, "mean": tuple(value["mean"]), "std": tuple(value["std"])})
        except (TypeError, KeyError) as error:
            raise OptionError(f"this is no description of a preprocessing: {error}") from None
