"""Noise, blurs and digital artefacts of ImageNet-C, each a function of its published parameters.

Hendrycks & Dietterich 2019, arXiv:1903.12261, Figure 1 and Appendix A. Every function takes an image, float32
`(h, w, c)` from 0 to 1, a random generator, and parameters; its result may leave that range. Lengths are in pixels. The
values of the parameters are in `hubel.audit.robustness.corruptions`.
"""

from __future__ import annotations

import io
from math import ceil, cos, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.signal import fftconvolve

from hubel.data.decode import decode

__all__ = [
    "as_bytes", "contrast", "defocus_blur", "directional_blur", "elastic_transform", "from_pil", "gaussian_noise",
    "glass_blur", "impulse_noise", "jpeg_compression", "jpeg_round_trip", "motion_blur", "pixelate", "shot_noise",
    "to_pil", "zoom_blur", "zoom_centre",
]  # fmt: skip

Values = NDArray[Any]  # of floats


def as_bytes(x: Values) -> NDArray[np.uint8]:
    """Convert values from 0 to 1 to uint8, with clipping."""
    return np.asarray(np.rint(255 * np.clip(x, 0, 1)), np.uint8)


def to_pil(pixels: NDArray[np.uint8]) -> Image.Image:
    """Convert uint8 `(h, w, 1)` or `(h, w, 3)` to a grayscale or RGB image of Pillow."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def from_pil(image: Image.Image) -> NDArray[np.uint8]:
    """Convert an image of Pillow to uint8 `(h, w, c)`: the inverse of `to_pil`."""
    return np.array(image).reshape(image.height, image.width, -1)


def gaussian_noise(x: Values, rng: np.random.Generator, sigma: float) -> Values:
    """Add independent Gaussian noise to each value, as of a sensor in low light."""
    return np.asarray(x + rng.normal(0, sigma, x.shape), np.float32)


def shot_noise(x: Values, rng: np.random.Generator, photons: float) -> Values:
    """Add Poisson noise of `photons` at full scale; the variance of a value is value / photons."""
    return np.asarray(rng.poisson(x * photons) / photons, np.float32)


def impulse_noise(x: Values, rng: np.random.Generator, amount: float) -> Values:
    """Add salt-and-pepper noise: set a share of the values to 0 or 1, half of them each."""
    draws = rng.random(x.shape)
    return np.where(draws < amount, np.float32(draws >= amount / 2), x)


def defocus_blur(x: Values, rng: np.random.Generator, radius: float, softness: float) -> Values:
    """Convolve with a disc whose edge is smoothed by a Gaussian of 3 taps (5 taps above a radius of 8)."""
    taps = 1 if radius <= 8 else 2
    reach = ceil(radius) + taps
    y, x_ = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = gaussian_filter((y**2 + x_**2 <= radius**2).astype(np.float32), softness, radius=taps, mode="constant")
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    return np.asarray(fftconvolve(padded, kernel[..., None] / kernel.sum(), mode="valid", axes=(0, 1)), np.float32)


def glass_blur(x: Values, rng: np.random.Generator, sigma: float, most: float, passes: float) -> Values:
    """Blur, copy each pixel from a random neighbour, and blur again, as seen through frosted glass.

    Pixels are processed in turn from the lower right, so that a colour can travel several steps. As in the authors'
    code, whose exchange of two pixels copies one of them. With a fractional `most` proportionally fewer pixels are
    replaced.
    """
    height, width = x.shape[:2]
    reach = ceil(most)
    rows, columns = np.arange(height - reach, reach, -1), np.arange(width - reach, reach, -1)
    inner = (rows[:, None] * width + columns).ravel()
    order = list(range(height * width))
    for _ in range(int(passes)):
        targets = inner[rng.random(len(inner)) < most / reach]
        down, right = rng.integers(-reach, reach, (2, len(targets)))
        for target, neighbour in zip(targets.tolist(), (targets + down * width + right).tolist(), strict=True):
            order[target] = order[neighbour]
    blurred = _gaussian(x, sigma).reshape(height * width, -1)
    return _gaussian(blurred[order].reshape(x.shape), sigma)


def motion_blur(x: Values, rng: np.random.Generator, radius: float, sigma: float) -> Values:
    """Blur along a random direction, up to 45 degrees from the horizontal, as a moving camera does."""
    return directional_blur(x, radius, sigma, rng.uniform(-45, 45))


def directional_blur(x: Values, radius: float, sigma: float, degrees: float) -> Values:
    """Average each pixel with those behind it in one direction, weighted by one half of a Gaussian.

    As ImageMagick's motion blur: 2 * radius + 1 steps of one pixel, rounded to integers; edge pixels are repeated.
    """
    height, width = x.shape[:2]
    steps = np.arange(2 * ceil(radius) + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    down, right = (np.rint(steps * along(radians(degrees))).astype(int) + len(steps) for along in (sin, cos))
    padded = np.pad(x, ((len(steps), len(steps)), (len(steps), len(steps)), (0, 0)), mode="edge")
    total = np.zeros_like(x)
    for weight, top, left in zip((weights / weights.sum()).astype(np.float32), down, right, strict=True):
        total += weight * padded[top : top + height, left : left + width]
    return total


def zoom_blur(x: Values, rng: np.random.Generator, end: float, step: float) -> Values:
    """Average the image with its enlargements by 1, 1 + step, ... below `end`, as an approaching camera does."""
    factors = np.arange(1, end, step)
    return (x + sum(zoom_centre(x, factor) for factor in factors)) / np.float32(len(factors) + 1)


def zoom_centre(x: Values, factor: float) -> Values:
    """Enlarge the centre of an image (factor >= 1) to its full size by linear interpolation."""
    for axis in (0, 1):
        last = x.shape[axis] - 1
        at = (np.arange(last + 1) - last / 2) / factor + last / 2
        low = np.clip(at.astype(int), 0, max(last - 1, 0))
        share = (at - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
        x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, last), axis) * share
    return x


def contrast(x: Values, rng: np.random.Generator, keep: float) -> Values:
    """Scale each value's distance from the mean of its channel by `keep`."""
    mean = x.mean((0, 1), keepdims=True)
    return np.asarray((x - mean) * keep + mean)


def elastic_transform(x: Values, rng: np.random.Generator, strength: float, sigma: float, corner: float) -> Values:
    """Apply a random affine map, then a smooth random displacement field.

    Args:
        x: image.
        rng: random generator.
        strength: factor of the displacement, which is uniform noise from -1 to 1 smoothed by `sigma`.
        sigma: standard deviation of the Gaussian that smooths the displacement.
        corner: largest displacement, along each axis, of the three points that define the affine map.
    """
    height, width = x.shape[:2]
    middle, arm = np.array([height // 2, width // 2]), min(height, width) // 3
    points = middle + arm * np.array([[1, 1], [-1, 1], [-1, -1]])
    moved = points + rng.uniform(-corner, corner, (3, 2))
    back = np.linalg.solve(np.column_stack([moved, np.ones(3)]), points)
    rows, columns = np.mgrid[:height, :width]
    x = _sample(x, np.stack([rows, columns, np.ones_like(rows)], -1) @ back, "mirror")
    fields = [
        gaussian_filter(rng.uniform(-1, 1, (height, width)), sigma, mode="reflect", truncate=3) * strength for _ in "yx"
    ]
    return _sample(x, np.stack([rows + fields[0], columns + fields[1]], -1), "reflect")


def pixelate(x: Values, rng: np.random.Generator, share: float) -> Values:
    """Shrink to a share of each side and enlarge again, both by box filters."""
    image = to_pil(as_bytes(x))
    small = image.resize((int(image.width * share), int(image.height * share)), Image.Resampling.BOX)
    return from_pil(small.resize(image.size, Image.Resampling.BOX)).astype(np.float32) / 255


def jpeg_compression(x: Values, rng: np.random.Generator, quality: float) -> Values:
    """Encode as JPEG of a quality from 1 to 95, and decode again."""
    return jpeg_round_trip(as_bytes(x), quality).astype(np.float32) / 255


def jpeg_round_trip(pixels: NDArray[np.uint8], quality: float) -> NDArray[np.uint8]:
    """Encode an image as JPEG, with Pillow's default chroma subsampling, and decode it."""
    file = io.BytesIO()
    to_pil(pixels).save(file, "JPEG", quality=int(quality))
    return decode(file.getvalue(), name="JPEG in memory").pixels.reshape(pixels.shape)


def _gaussian(x: Values, sigma: float) -> Values:
    return gaussian_filter(x, (sigma, sigma, 0), mode="nearest")  # type: ignore[no-any-return]


def _sample(x: Values, coordinates: Values, mode: str) -> Values:
    """Sample an image at coordinates `(h, w, 2)` of row and column by linear interpolation."""
    by_axis = np.moveaxis(coordinates, -1, 0)
    return np.stack([map_coordinates(channel, by_axis, order=1, mode=mode) for channel in np.moveaxis(x, -1, 0)], -1)
