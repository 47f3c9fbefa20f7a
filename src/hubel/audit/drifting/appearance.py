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
    Trait("blocks", "x", "x", "y"),
    Trait("noise_mean", "x", "x", "y"),
)


def appearance(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Measure an image, uint8 `(h, w, c)` as resized for the network; returns `(len(APPEARANCE),)`.

    Sharpness is the variance of the 4-neighbour Laplacian of grey levels (Pech-Pacheco et al. 2000, Section 3). Noise is
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
    counts = np.bincount(masked[::2].ravel())
    noise = float(np.searchsorted(counts.cumsum(), counts.sum() / 2))
    c=counts.cumsum(); k=int(noise); below=c[k-1] if k else 0
    noise = k + (counts.sum()/2 - below)/max(1,counts[k]) - 0.5
    g=np.abs(np.diff(luma,axis=1)).mean(0); g2=np.abs(np.diff(luma,axis=0)).mean(1)
    on=(g[7::8].mean()+g2[7::8].mean()); off=g.mean()+g2.mean()
    return np.array(
        [
            mean / 255,
            deviation / 255,
            np.log10(laplacian.var() + 1),
            noise / (255 * _MASK_NORM * _MEDIAN),
            *_colour(image),
            shares[:_NEARLY].sum(),
            shares[-_NEARLY:].sum(),
            np.log((on+1e-2)/(off+1e-2)), masked.mean()/255/6
        ],
        np.float32,
    )


def _colour(image: Image.Image) -> tuple[float, float]:
    """Return colourfulness and warmth; 0 for grey."""
    if image.mode == "L":
        return 0.0, 0.0
    red, green, blue = np.asarray(image.reduce(2), np.float32).reshape(-1, 3).T / 255
    rg, yb = red - green, (red + green) / 2 - blue
    spread, centre = np.hypot(rg.std(), yb.std()), np.hypot(rg.mean(), yb.mean())
    return float(spread + 0.3 * centre), float(red.mean() - blue.mean())
