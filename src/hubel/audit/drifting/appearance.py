"""Simple causes of a drift that pixels show: brightness, contrast, sharpness, noise, colour, black and white areas.

All are computed from what the network sees, so a change of the camera and one of the preprocessing look alike. This
module imports no torch; an image of 224x224 takes 0.6 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["APPEARANCE", "Trait", "appearance"]

_NEARLY = 3  # of 256 grey levels at each end that count as black or white
_LEVELS = np.arange(256)
_MASK_NORM, _MEDIAN = 6.0, 0.6745  # the L2 norm of Immerkaer's mask; the median of |x| for x of a standard normal


@dataclass(frozen=True)
class Trait:
    """One number of an image.

    Attributes:
        name: of the number.
        meaning: what it measures, with its range.
        less: comparative for images with lower values.
        more: comparative for images with higher values.
    """

    name: str
    meaning: str
    less: str
    more: str


#: What `appearance` measures, in the order of its columns.
APPEARANCE = (
    Trait("brightness", "mean luma, 0 to 1", "darker", "brighter"),
    Trait("contrast", "standard deviation of the luma, 0 to 0.5", "flatter", "more contrasty"),
    Trait("sharpness", "log10 of the variance of the Laplacian", "blurrier", "sharper"),
    Trait("noise", "standard deviation of noise, 0 to 1", "smoother", "noisier"),
    Trait("colourfulness", "Hasler and Süsstrunk's M3, 0 to about 1", "paler", "more colourful"),
    Trait("warmth", "mean red minus mean blue, -1 to 1", "bluer", "redder"),
    Trait("black", "share of black pixels, 0 to 1", "less black", "more black"),
    Trait("white", "share of white pixels, 0 to 1", "less white", "more white"),
)


def appearance(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Measure an image, uint8 `(h, w, c)` as resized for the network; returns `(len(APPEARANCE),)`.

    Sharpness is the variance of the 4-neighbour Laplacian of grey levels (Pech-Pacheco et al. 2000). Noise is
    estimated with the mask of Immerkaer 1996, equation 3, by the median instead of the mean, which edges disturb less.
    Colourfulness is that of Hasler & Süsstrunk 2003, equation 9, over full scale.
    """
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
    grey = image.convert("L")
    shares = np.array(grey.histogram(), np.float64) / (grey.width * grey.height)
    mean = float(shares @ _LEVELS)
    deviation = np.sqrt(max(0.0, float(shares @ _LEVELS**2) - mean**2))
    luma = np.asarray(grey).astype(np.int16)  # 16 bits hold the masks' sums, and are quicker than floats
    down = luma[:-2] + luma[2:] - 2 * luma[1:-1]
    laplacian = (down[:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 2 * luma[1:-1, 1:-1]).astype(np.float32)
    masked = np.abs(down[:, :-2] + down[:, 2:] - 2 * down[:, 1:-1])
    return np.array(
        [
            mean / 255,
            deviation / 255,
            np.log10(laplacian.var() + 1) if laplacian.size else 0.0,
            _median(masked[::2].ravel()) / (255 * _MASK_NORM * _MEDIAN),
            *_colour(image),
            shares[:_NEARLY].sum(),
            shares[-_NEARLY:].sum(),
        ],
        np.float32,
    )


def _median(values: NDArray[np.int16]) -> float:
    """Return the median of whole numbers from 0 on, interpolated within the number; 0 for none."""
    if not values.size:
        return 0.0
    counts = np.bincount(values)
    up_to = np.cumsum(counts)
    middle = int(np.searchsorted(up_to, values.size / 2))
    below = up_to[middle] - counts[middle]
    return max(0.0, middle - 0.5 + float(values.size / 2 - below) / float(counts[middle]))


def _colour(image: Image.Image) -> tuple[float, float]:
    """Return colourfulness and warmth; 0 for grey."""
    if image.mode == "L":
        return 0.0, 0.0
    red, green, blue = np.asarray(image.reduce(2), np.float32).reshape(-1, 3).T / 255
    rg, yb = red - green, (red + green) / 2 - blue
    spread, centre = np.hypot(rg.std(), yb.std()), np.hypot(rg.mean(), yb.mean())
    return float(spread + 0.3 * centre), float(red.mean() - blue.mean())
