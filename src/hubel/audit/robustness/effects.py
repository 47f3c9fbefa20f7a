"""Noise, blurs and digital artefacts of ImageNet-C, each a function of its published parameters.

Hendrycks & Dietterich 2019, arXiv:1903.12261, Figure 1 and Appendix A. Every function takes an image, float32
`(h, w, c)` from 0 to 1, the generator of its random numbers, and parameters; what it returns may leave that range.
Lengths are in pixels. The values of the parameters are in `hubel.audit.robustness.corruptions`.
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
    "as_bytes", "contrast", "defocus_blur", "elastic_transform", "gaussian_noise", "glass_blur", "impulse_noise",
    "jpeg_compression", "motion_blur", "picture", "pixelate", "pixels_of", "recompressed", "shot_noise", "streaked",
    "zoom_blur", "zoomed",
]  # fmt: skip

Values = NDArray[Any]  # of floats


def as_bytes(x: Values) -> NDArray[np.uint8]:
    """Values from 0 to 1 as uint8; what lies outside is clipped."""
    return np.asarray(np.rint(255 * np.clip(x, 0, 1)), np.uint8)


def picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """uint8 `(h, w, 1)` or `(h, w, 3)` as a grey or RGB image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """The inverse of `picture`."""
    return np.array(image).reshape(image.height, image.width, -1)


def gaussian_noise(x: Values, rng: np.random.Generator, sigma: float) -> Values:
    """Normal noise, of its own for each value: electronics in little light."""
    return np.asarray(x + rng.normal(0, sigma, x.shape), np.float32)


def shot_noise(x: Values, rng: np.random.Generator, photons: float) -> Values:
    """Poisson noise: light comes in photons, so many at full scale. The variance of a value is itself / photons."""
    return np.asarray(rng.poisson(x * photons) / photons, np.float32)


def impulse_noise(x: Values, rng: np.random.Generator, amount: float) -> Values:
    """Salt and pepper: this share of the values is lost, half of them to 0, half to 1."""
    lot = rng.random(x.shape)
    return np.where(lot < amount, np.float32(lot >= amount / 2), x)


def defocus_blur(x: Values, rng: np.random.Generator, radius: float, softness: float) -> Values:
    """A point becomes a disc, its edge softened by a Gaussian of 3 taps a side (of 5 from a radius of 8 on)."""
    taps = 1 if radius <= 8 else 2
    reach = ceil(radius) + taps
    y, x_ = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = gaussian_filter((y**2 + x_**2 <= radius**2).astype(np.float32), softness, radius=taps, mode="constant")
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    return np.asarray(fftconvolve(padded, kernel[..., None] / kernel.sum(), mode="valid", axes=(0, 1)), np.float32)


def glass_blur(x: Values, rng: np.random.Generator, sigma: float, most: float, passes: float) -> Values:
    """Blur, pixels that take the colour of a random one near them, blur: a pane of frosted glass.

    The pixels take their turns from the lower right on, so that a colour can travel. As in the authors' code, whose
    exchange of two pixels copies one of them. With a fraction of a pixel as `most`, so fewer pixels take a turn.
    """
    height, width = x.shape[:2]
    reach = ceil(most)
    rows, columns = np.arange(height - reach, reach, -1), np.arange(width - reach, reach, -1)
    here = (rows[:, None] * width + columns).ravel()
    order = list(range(height * width))
    for _ in range(int(passes)):
        places = here[rng.random(len(here)) < most / reach]
        down, right = rng.integers(-reach, reach, (2, len(places)))
        for place, other in zip(places.tolist(), (places + down * width + right).tolist(), strict=True):
            order[place] = order[other]
    blurred = _gaussian(x, sigma).reshape(height * width, -1)
    return _gaussian(blurred[order].reshape(x.shape), sigma)


def motion_blur(x: Values, rng: np.random.Generator, radius: float, sigma: float) -> Values:
    """The camera moves while the shutter is open, at up to 45 degrees from the horizontal."""
    return streaked(x, radius, sigma, rng.uniform(-45, 45))


def streaked(x: Values, radius: float, sigma: float, degrees: float) -> Values:
    """Each pixel a mean of those that lie behind it in one direction, with the weights of half a Gaussian.

    As ImageMagick's motion blur: 2 * radius + 1 steps of one pixel, rounded to whole ones; the edge's pixels repeat.
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
    """The camera moves towards the picture: the mean of enlargements by 1, 1 + step, ... below `end`."""
    factors = np.arange(1, end, step)
    return (x + sum(zoomed(x, factor) for factor in factors)) / np.float32(len(factors) + 1)


def zoomed(x: Values, factor: float) -> Values:
    """The middle of an image, enlarged (factor >= 1) to its full size by linear interpolation."""
    for axis in (0, 1):
        last = x.shape[axis] - 1
        at = (np.arange(last + 1) - last / 2) / factor + last / 2
        low = np.clip(at.astype(int), 0, max(last - 1, 0))
        share = (at - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
        x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, last), axis) * share
    return x


def contrast(x: Values, rng: np.random.Generator, keep: float) -> Values:
    """This share of each value's distance from the mean of its channel."""
    mean = x.mean((0, 1), keepdims=True)
    return np.asarray((x - mean) * keep + mean)


def elastic_transform(x: Values, rng: np.random.Generator, strength: float, sigma: float, corner: float) -> Values:
    """A random affine map, then pixels that move by smooth random fields, as a rubber sheet does.

    Args:
        x: the image.
        rng: of the numbers.
        strength: of the fields, which are uniform noise from -1 to 1, smoothed by `sigma`.
        sigma: see above.
        corner: how far, each way, the three points that define the affine map may move.
    """
    height, width = x.shape[:2]
    middle, arm = np.array([height // 2, width // 2]), min(height, width) // 3
    points = middle + arm * np.array([[1, 1], [-1, 1], [-1, -1]])
    moved = points + rng.uniform(-corner, corner, (3, 2))
    back = np.linalg.solve(np.column_stack([moved, np.ones(3)]), points)
    rows, columns = np.mgrid[:height, :width]
    x = _sampled(x, np.stack([rows, columns, np.ones_like(rows)], -1) @ back, "mirror")
    fields = [
        gaussian_filter(rng.uniform(-1, 1, (height, width)), sigma, mode="reflect", truncate=3) * strength for _ in "yx"
    ]
    return _sampled(x, np.stack([rows + fields[0], columns + fields[1]], -1), "reflect")


def pixelate(x: Values, rng: np.random.Generator, share: float) -> Values:
    """Shrunk to this share of each side and enlarged again, both by means of boxes."""
    image = picture(as_bytes(x))
    small = image.resize((int(image.width * share), int(image.height * share)), Image.Resampling.BOX)
    return pixels_of(small.resize(image.size, Image.Resampling.BOX)).astype(np.float32) / 255


def jpeg_compression(x: Values, rng: np.random.Generator, quality: float) -> Values:
    """Written as JPEG of a quality from 1 to 95, and read again."""
    return recompressed(as_bytes(x), quality).astype(np.float32) / 255


def recompressed(pixels: NDArray[np.uint8], quality: float) -> NDArray[np.uint8]:
    """An image after a round through JPEG, with Pillow's usual halving of the colours' resolution."""
    file = io.BytesIO()
    picture(pixels).save(file, "JPEG", quality=int(quality))
    return decode(file.getvalue(), name="JPEG in memory").pixels.reshape(pixels.shape)


def _gaussian(x: Values, sigma: float) -> Values:
    return gaussian_filter(x, (sigma, sigma, 0), mode="nearest")  # type: ignore[no-any-return]


def _sampled(x: Values, at: Values, mode: str) -> Values:
    """The image at other places, `(h, w, 2)` of row and column, by linear interpolation."""
    places = np.moveaxis(at, -1, 0)
    return np.stack([map_coordinates(channel, places, order=1, mode=mode) for channel in np.moveaxis(x, -1, 0)], -1)
