"""Simple corruptions of an image, with strengths in plain units: shares of a side, degrees, factors.

Each is a function `(pixels, strength, rng) -> pixels` of uint8 images `(h, w, 1)` grayscale or `(h, w, 3)` RGB, and
keeps their shape.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from hubel.audit.robustness.effects import as_bytes, from_pil, jpeg_round_trip, to_pil
from hubel.core.errors import OptionError

__all__ = ["add_noise", "blur", "brighten", "centre_crop", "compress_jpeg", "occlude", "rotate", "scale", "shift"]

Pixels = NDArray[np.uint8]
_GREY = 128
_DIRECTIONS = np.array([(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right])


def shift(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Shift by a share of the sides, in whole pixels, in one of eight directions; the border is filled with black."""
    _check_range("a shift", share, 0, 1)
    height, width = pixels.shape[:2]
    far = round(share * height), round(share * width)
    down, right = rng.choice(_DIRECTIONS) * far
    padded = np.pad(pixels, ((far[0], far[0]), (far[1], far[1]), (0, 0)))
    return padded[far[0] - down :, far[1] - right :][:height, :width].copy()


def centre_crop(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Crop the centre, a share of each side, and enlarge it to the full size (bilinear)."""
    _check_range("a crop", share, 0, 1)
    return scale(pixels, 1 / share, rng)


def scale(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    """Enlarge and crop to the size, or shrink and surround with black; bilinear, with antialiasing."""
    _check_range("a factor", factor, 0, np.inf)
    image = to_pil(pixels)
    width, height = image.size
    if factor >= 1:
        x, y = (width - width / factor) / 2, (height - height / factor) / 2
        return from_pil(image.resize(image.size, Image.Resampling.BILINEAR, box=(x, y, width - x, height - y)))
    small = image.resize((max(1, round(width * factor)), max(1, round(height * factor))), Image.Resampling.BILINEAR)
    canvas = Image.new(image.mode, image.size)
    canvas.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    return from_pil(canvas)


def rotate(pixels: Pixels, degrees: float, rng: np.random.Generator) -> Pixels:
    """Rotate about the centre, to the left or to the right (bilinear); the corners are filled with black."""
    return from_pil(to_pil(pixels).rotate(degrees * rng.choice([-1, 1]), Image.Resampling.BILINEAR))


def occlude(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Cover a share of the area with a grey square at a random position, at most as large as the shorter side."""
    _check_range("an occlusion", share, 0, 1)
    height, width = pixels.shape[:2]
    side = min(round((share * height * width) ** 0.5), height, width)
    top, left = rng.integers(0, (height - side + 1, width - side + 1))
    covered = pixels.copy()
    covered[top : top + side, left : left + side] = _GREY
    return covered


def brighten(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    """Multiply every value by a factor."""
    return as_bytes(pixels.astype(np.float32) / 255 * factor)


def add_noise(pixels: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Add independent Gaussian noise to each value, with a standard deviation in units of full scale."""
    return as_bytes(pixels.astype(np.float32) / 255 + rng.normal(0, sigma, pixels.shape))


def blur(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Apply a Gaussian blur whose sigma is a share of the shorter side; edge pixels are repeated."""
    sigma = share * min(pixels.shape[:2])
    return as_bytes(gaussian_filter(pixels.astype(np.float32) / 255, (sigma, sigma, 0), mode="nearest"))


def compress_jpeg(pixels: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    """Encode as JPEG of a quality from 1 to 95, and decode again."""
    _check_range("a JPEG quality", quality, 0, 95)
    return jpeg_round_trip(pixels, quality)


def _check_range(name: str, value: float, above: float, most: float) -> None:
    if not above < value <= most:
        raise OptionError(f"{name} is a number above {above:g} and up to {most:g}, not {value!r}")
