"""Plain changes of an image in units that anyone can picture: pixels moved, degrees, factors.

Each is `(pixels, strength, rng) -> pixels`: uint8 `(h, w, 1)` grey or `(h, w, 3)` RGB, and of the same shape after it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from hubel.audit.robustness.effects import as_bytes, picture, pixels_of, recompressed
from hubel.core.errors import OptionError

__all__ = ["add_noise", "blur", "brighten", "centre_crop", "compress_jpeg", "occlude", "rotate", "scale", "shift"]

Pixels = NDArray[np.uint8]
_GREY = 128
_DIRECTIONS = np.array([(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right])


def shift(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Moved by this share of the sides, in whole pixels, in one of eight directions; black comes in."""
    _within("a shift", share, 0, 1)
    height, width = pixels.shape[:2]
    far = round(share * height), round(share * width)
    down, right = rng.choice(_DIRECTIONS) * far
    padded = np.pad(pixels, ((far[0], far[0]), (far[1], far[1]), (0, 0)))
    return padded[far[0] - down :, far[1] - right :][:height, :width].copy()


def centre_crop(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """The middle, this share of each side, enlarged to the full size (bilinear)."""
    _within("a crop", share, 0, 1)
    return scale(pixels, 1 / share, rng)


def scale(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    """Enlarged, so that the edges leave the picture, or shrunk and surrounded by black; bilinear, with antialias."""
    _within("a factor", factor, 0, np.inf)
    image = picture(pixels)
    width, height = image.size
    if factor >= 1:
        x, y = (width - width / factor) / 2, (height - height / factor) / 2
        return pixels_of(image.resize(image.size, Image.Resampling.BILINEAR, box=(x, y, width - x, height - y)))
    small = image.resize((max(1, round(width * factor)), max(1, round(height * factor))), Image.Resampling.BILINEAR)
    canvas = Image.new(image.mode, image.size)
    canvas.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    return pixels_of(canvas)


def rotate(pixels: Pixels, degrees: float, rng: np.random.Generator) -> Pixels:
    """Turned about the middle, to the left or to the right (bilinear); black comes in."""
    return pixels_of(picture(pixels).rotate(degrees * rng.choice([-1, 1]), Image.Resampling.BILINEAR))


def occlude(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """A grey square somewhere, as large as this share of the picture, or as the shorter side allows."""
    _within("an occlusion", share, 0, 1)
    height, width = pixels.shape[:2]
    side = min(round((share * height * width) ** 0.5), height, width)
    top, left = rng.integers(0, (height - side + 1, width - side + 1))
    covered = pixels.copy()
    covered[top : top + side, left : left + side] = _GREY
    return covered


def brighten(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    """Every value times a factor."""
    return as_bytes(pixels.astype(np.float32) / 255 * factor)


def add_noise(pixels: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Normal noise with this standard deviation, in units of full scale, of its own for each value."""
    return as_bytes(pixels.astype(np.float32) / 255 + rng.normal(0, sigma, pixels.shape))


def blur(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """A Gaussian blur whose sigma is this share of the shorter side; the edge's pixels repeat."""
    sigma = share * min(pixels.shape[:2])
    return as_bytes(gaussian_filter(pixels.astype(np.float32) / 255, (sigma, sigma, 0), mode="nearest"))


def compress_jpeg(pixels: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    """Written as JPEG of a quality from 1 to 95, and read again."""
    _within("a JPEG quality", quality, 0, 95)
    return recompressed(pixels, quality)


def _within(what: str, value: float, above: float, most: float) -> None:
    if not above < value <= most:
        raise OptionError(f"{what} is a number above {above:g} and up to {most:g}, not {value!r}")
