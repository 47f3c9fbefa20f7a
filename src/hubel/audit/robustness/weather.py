"""The weather of ImageNet-C: snow, frost, fog and glaring light.

Hendrycks & Dietterich 2019, arXiv:1903.12261, Figure 1 and Appendix A. The functions are such as in
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

from hubel.audit.robustness.effects import Values, streaked, zoomed
from hubel.core.random import scalar

__all__ = ["brightness", "fog", "frost", "ice", "plasma", "snow"]

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_ICE = np.array([0.86, 0.95, 1.0], np.float32)  # the colour of frost, RGB
_WINDOWS, _CANVAS, _HAZE = 5, 1024, 512  # how many; pixels of a side
_UNIT, _FEATHERS = 448, 200  # pixels of the canvas that a picture's side is; how many in a window


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
    """The picture grows pale; flakes fall across it, and the same ones turned upside down.

    Args:
        x: the image.
        rng: of the numbers.
        mean: of the normal noise that flakes are made of.
        std: of this noise.
        flake: how much the noise is enlarged, 1 or more.
        least: noise below this is no snow.
        radius: of the blur by falling, at 45 to 135 degrees from the horizontal.
        sigma: of this blur.
        keep: the share of the picture that does not grow pale.
        scale: the size of a pixel of snow, for which the lengths above are meant, in pixels of the picture.
    """
    height, width = x.shape[:2]
    noise = zoomed(rng.normal(mean, std, (round(height / scale), round(width / scale), 1)).astype(np.float32), flake)
    flakes = streaked(np.clip(np.where(noise < least, 0, noise), 0, 1), radius, sigma, rng.uniform(-135, -45))
    flakes = _resized(flakes[..., 0], (width, height))[..., None]
    pale = np.maximum(x, 1.5 * _luminance(x) + 0.5)
    return np.asarray(keep * x + (1 - keep) * pale + flakes + flakes[::-1, ::-1])


def frost(x: Values, rng: np.random.Generator, keep: float, amount: float) -> Values:
    """The picture, dimmed, behind ice on a window.

    Deviation: the authors overlay parts of six photographs of frost; this ice is drawn, see `ice`.
    """
    colour = _ICE if x.shape[2] == 3 else _ICE @ _GREY
    return np.asarray(keep * x + amount * colour * ice(x.shape[0], x.shape[1], rng)[..., None])


def fog(x: Values, rng: np.random.Generator, thickness: float, decay: float) -> Values:
    """Patches of light that are `thickness` bright, the sum dimmed to the picture's own range."""
    brightest = x.max()
    thick = thickness * plasma(x.shape[0], x.shape[1], rng, decay)[..., None]
    return np.asarray((x + thick) * (brightest / (brightest + thickness)))


def brightness(x: Values, rng: np.random.Generator, more: float) -> Values:
    """More value (the V of HSV: the largest channel) at the same hue and saturation; black turns grey."""
    value = x.max(2, keepdims=True)
    brighter = np.minimum(value + more, 1)
    return np.asarray(np.where(value > 0, x * (brighter / np.where(value > 0, value, 1)), brighter))


def plasma(height: int, width: int, rng: np.random.Generator, decay: float) -> Values:
    """A plasma fractal `(h, w)`, from 0 to 1, cut from a square whose edges join.

    Diamond-square (Fournier, Fussell & Carpenter 1982): the middle of each square, then of each of its sides, is the
    mean of the four nearest points plus uniform noise, whose range shrinks by `decay` squared as squares are halved.
    """
    side = 1 << (max(height, width) - 1).bit_length()
    field, step, spread = np.zeros((side, side)), side, 1.0

    def wobble(around: NDArray[np.float64]) -> NDArray[np.float64]:
        return around / 4 + rng.uniform(-spread, spread, around.shape)

    while step >= 2:
        half = step // 2
        corners = field[::step, ::step]
        pairs = corners + np.roll(corners, -1, 0)
        middles = field[half::step, half::step] = wobble(pairs + np.roll(pairs, -1, 1))
        field[::step, half::step] = wobble(middles + np.roll(middles, 1, 0) + corners + np.roll(corners, -1, 1))
        field[half::step, ::step] = wobble(middles + np.roll(middles, 1, 1) + corners + np.roll(corners, -1, 0))
        step, spread = half, spread / decay**2
    field -= field.min()
    return np.asarray((field / field.max())[:height, :width], np.float32)


def ice(height: int, width: int, rng: np.random.Generator) -> Values:
    """A part of a frosted window `(h, w)`, from 0 to 1: feathers of crystals over a hazy ground.

    There are five windows, as there are photographs in the original, each 2.3 times as long as the picture.
    """
    window = _windows(max(height, width))[rng.integers(_WINDOWS)]
    top, left = rng.integers(0, (len(window) - height + 1, len(window) - width + 1))
    return np.asarray(window[top : top + height, left : left + width])


@lru_cache(maxsize=4)
def _windows(side: int) -> Values:
    """All windows `(n, s, s)` for pictures of this side; drawn large and shrunk, so that lines are smooth."""
    long = ceil(_CANVAS / _UNIT * side)
    windows = []
    for number in range(_WINDOWS):
        rng = np.random.Generator(np.random.PCG64(scalar(number)))
        canvas = Image.new("L", (_CANVAS, _CANVAS))
        draw = ImageDraw.Draw(canvas)
        for _ in range(_FEATHERS):
            for line, light, thick in _feather(rng):
                draw.line(line, fill=light, width=thick)
        crystals = _resized(np.asarray(canvas, np.float32) / 255, (long, long))
        haze = _resized(plasma(_HAZE, _HAZE, rng, 1.4), (long, long))
        glow = gaussian_filter(crystals, side / 30)
        windows.append(np.clip(0.1 + 0.45 * haze + 0.6 * glow + 0.55 * crystals * haze, 0, 1))
    return np.stack(windows)


def _feather(rng: np.random.Generator) -> list[tuple[list[float], int, int]]:
    """The lines of a feather, each x, y, x, y with its brightness and thickness, on the canvas.

    It is a bent stem with branches at 60 degrees, the angle of ice, that grow shorter towards its tip.
    """
    x, y, turn, size, bend, shine = rng.random(6)
    length, parts = (0.15 + 0.5 * size) * _UNIT, int(12 + 30 * size)
    heading = 2 * np.pi * turn + (bend - 0.5) * np.linspace(0, 2, parts)
    way = np.stack([np.cos(heading), np.sin(heading)], 1) * length / parts
    stem = np.array([x, y]) * _CANVAS + np.cumsum(way, 0)
    reach = 0.3 * length * (1 - np.linspace(0, 1, parts)) * rng.uniform(0.5, 1, (2, parts))
    lines = [([*a, *b], int(140 + 115 * shine), 3) for a, b in pairwise(stem.tolist())]
    for lengths, angle in zip(reach, np.radians([60, -60]), strict=True):
        tips = stem + lengths[:, None] * np.stack([np.cos(heading + angle), np.sin(heading + angle)], 1)
        lines += [([*a, *b], int(90 + 110 * shine), 2) for a, b in zip(stem.tolist(), tips.tolist(), strict=True)]
    return lines


def _luminance(x: Values) -> Values:
    return (x @ _GREY)[..., None] if x.shape[2] == 3 else x


def _resized(layer: Values, size: tuple[int, int]) -> Values:
    """A layer `(h, w)` with another width and height (bilinear, with antialias)."""
    return np.asarray(Image.fromarray(layer).resize(size, Image.Resampling.BILINEAR))
