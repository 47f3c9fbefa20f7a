"""Weather corruptions of ImageNet-C: snow, frost, fog and brightness.

Hendrycks & Dietterich 2019, arXiv:1903.12261, Figure 1 and Appendix A. The functions have the form of those in
`hubel.audit.robustness.effects`.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from hubel.audit.robustness.effects import Values, directional_blur, zoom_centre
from hubel.core.random import scalar

__all__ = ["brightness", "fog", "frost", "ice", "plasma", "snow"]

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
# Mean and standard deviation, RGB from 0 to 255, of the photographs of frost that the authors overlay. These cannot be
# shipped. There are six; their code draws from the first five, and the second and the third are the same.
_FROSTS = (
    ((78, 149, 166), (27, 16, 15)),
    ((201, 205, 214), (21, 22, 23)),
    ((201, 205, 214), (21, 22, 23)),
    ((138, 153, 165), (28, 28, 30)),
    ((112, 123, 135), (44, 43, 42)),
)
_CANVAS, _HAZE = 1024, 512  # sides of a frost texture and of its haze, in pixels
_UNIT = 448  # pixels of the canvas per side of an image
_FEATHERS = 200  # crystals of a frost texture


def snow(
    x: Values,
    rng: np.random.Generator,
    mean: float,
    std: float,
    flake: float,
    least: float,
    radius: float,
    sigma: float,
    keep: float,
    scale: float,
) -> Values:
    """Whiten the image and add motion-blurred snowflakes, and the same flakes rotated by 180 degrees.

    Args:
        x: image.
        rng: random generator.
        mean: mean of the Gaussian noise that forms the flakes.
        std: standard deviation of this noise.
        flake: enlargement of the noise, at least 1.
        least: threshold below which noise is no snow.
        radius: radius of the motion blur, at 45 to 135 degrees from the horizontal.
        sigma: standard deviation of this blur.
        keep: weight of the original image against the whitened one.
        scale: pixels of the image per pixel of the snow layer, to which the lengths above refer.
    """
    height, width = x.shape[:2]
    noise = zoom_centre(
        rng.normal(mean, std, (round(height / scale), round(width / scale), 1)).astype(np.float32), flake
    )
    flakes = directional_blur(np.clip(np.where(noise < least, 0, noise), 0, 1), radius, sigma, rng.uniform(-135, -45))
    flakes = _resized(flakes[..., 0], (width, height))[..., None]
    pale = np.maximum(x, 1.5 * _luminance(x) + 0.5)
    return np.asarray(keep * x + (1 - keep) * pale + flakes + flakes[::-1, ::-1])


def frost(x: Values, rng: np.random.Generator, keep: float, amount: float) -> Values:
    """Blend the image with the texture of a frosted window.

    Deviation: the authors overlay crops of photographs of frost; this texture is rendered, with the photographs' means
    and standard deviations, see `ice`. So it changes an image as much: over 40 photos of clothing, 224 pixels, by 62,
    75, 79, 78, 82 of 255 at severity 1 to 5 (root mean square), where theirs does by 63, 74, 80, 77, 80.
    """
    texture = ice(x.shape[0], x.shape[1], rng)
    return np.asarray(keep * x + amount * (texture if x.shape[2] == 3 else _luminance(texture)))


def fog(x: Values, rng: np.random.Generator, thickness: float, decay: float) -> Values:
    """Add plasma-fractal fog of brightness `thickness`, and rescale to the original maximum."""
    brightest = x.max()
    thick = thickness * plasma(x.shape[0], x.shape[1], rng, decay)[..., None]
    return np.asarray((x + thick) * (brightest / (brightest + thickness)))


def brightness(x: Values, rng: np.random.Generator, more: float) -> Values:
    """Increase the value (V of HSV, the largest channel) at constant hue and saturation; black turns grey."""
    value = x.max(2, keepdims=True)
    brighter = np.minimum(value + more, 1)
    return np.asarray(np.where(value > 0, x * (brighter / np.where(value > 0, value, 1)), brighter))


def plasma(height: int, width: int, rng: np.random.Generator, decay: float) -> Values:
    """Generate a plasma fractal `(h, w)`, from 0 to 1, cropped from a periodic square.

    Diamond-square (Fournier, Fussell & Carpenter 1982): the centre of each square, then of each of its sides, is the
    mean of the four nearest points plus uniform noise, whose range shrinks by `decay` squared as squares are halved.
    """
    side = 1 << (max(height, width) - 1).bit_length()
    field, step, spread = np.zeros((side, side)), side, 1.0

    def perturbed(around: NDArray[np.float64]) -> NDArray[np.float64]:
        return around / 4 + rng.uniform(-spread, spread, around.shape)

    while step >= 2:
        half = step // 2
        corners = field[::step, ::step]
        pairs = corners + np.roll(corners, -1, 0)
        middles = field[half::step, half::step] = perturbed(pairs + np.roll(pairs, -1, 1))
        field[::step, half::step] = perturbed(middles + np.roll(middles, 1, 0) + corners + np.roll(corners, -1, 1))
        field[half::step, ::step] = perturbed(middles + np.roll(middles, 1, 1) + corners + np.roll(corners, -1, 0))
        step, spread = half, spread / decay**2
    field -= field.min()
    return np.asarray((field / field.max())[:height, :width], np.float32)


def ice(height: int, width: int, rng: np.random.Generator) -> Values:
    """Crop a frost texture `(h, w, 3)`, RGB from 0 to 1: feather-shaped crystals over haze.

    There are five textures, as there are photographs in the original, each with the mean and standard deviation of one,
    and with sides of 2.3 times the image's longer side.
    """
    number = rng.integers(len(_FROSTS))
    window = _windows(max(height, width))[number]
    mean, deviation = np.array(_FROSTS[number], np.float32) / 255
    top, left = rng.integers(0, (len(window) - height + 1, len(window) - width + 1))
    return np.asarray(np.clip(mean + deviation * window[top : top + height, left : left + width, None], 0, 1))


@lru_cache(maxsize=4)
def _windows(side: int) -> Values:
    """Render frost textures `(n, s, s)` of mean 0 and variance 1 for images of a side, supersampled to be smooth."""
    long = ceil(_CANVAS / _UNIT * side)
    windows = []
    for number in range(len(_FROSTS)):
        rng = np.random.Generator(np.random.PCG64(scalar(number)))
        canvas = Image.new("L", (_CANVAS, _CANVAS))
        draw = ImageDraw.Draw(canvas)
        for _ in range(_FEATHERS):
            for line, light, thick in _feather(rng):
                draw.line(line, fill=light, width=thick)
        crystals = _resized(np.asarray(canvas, np.float32) / 255, (long, long))
        haze = _resized(plasma(_HAZE, _HAZE, rng, 1.4), (long, long))
        glow = gaussian_filter(crystals, side / 30)
        window = 0.2 * haze + 0.2 * glow + crystals * haze
        windows.append((window - window.mean()) / window.std())
    return np.stack(windows)


def _feather(rng: np.random.Generator) -> list[tuple[list[float], int, int]]:
    """Draw the lines of a feather on the canvas: each x, y, x, y with brightness and thickness.

    A feather is a bent stem with branches at 60 degrees, the angle of ice crystals, that shorten towards its tip.
    """
    x, y, turn, size, bend, shine = rng.random(6)
    length, parts = (0.15 + 0.5 * size) * _UNIT, int(12 + 30 * size)
    heading = 2 * np.pi * turn + (bend - 0.5) * np.linspace(0, 2, parts)
    steps = np.stack([np.cos(heading), np.sin(heading)], 1) * length / parts
    stem = np.array([x, y]) * _CANVAS + np.cumsum(steps, 0)
    reach = 0.3 * length * (1 - np.linspace(0, 1, parts)) * rng.uniform(0.5, 1, (2, parts))
    lines = [([*a, *b], int(140 + 115 * shine), 3) for a, b in pairwise(stem.tolist())]
    for lengths, angle in zip(reach, np.radians([60, -60]), strict=True):
        tips = stem + lengths[:, None] * np.stack([np.cos(heading + angle), np.sin(heading + angle)], 1)
        lines += [([*a, *b], int(90 + 110 * shine), 2) for a, b in zip(stem.tolist(), tips.tolist(), strict=True)]
    return lines


def _luminance(x: Values) -> Values:
    return (x @ _GREY)[..., None] if x.shape[2] == 3 else x


def _resized(layer: Values, size: tuple[int, int]) -> Values:
    """Resize a layer `(h, w)` to width and height (bilinear, with antialiasing)."""
    return np.asarray(Image.fromarray(layer).resize(size, Image.Resampling.BILINEAR))
