"""Image corruptions of growing strength: those of ImageNet-C, and simple ones.

The 15 corruptions are those of Hendrycks & Dietterich 2019, arXiv:1903.12261, Section 3, with the parameters of the
authors' generators. There are two sets of parameters: that of ImageNet-C for 224 pixels, and the milder one of
CIFAR-10-C for 32 pixels. An image takes the set whose size is nearer to its shorter side on a logarithmic scale (the
limit is 84.7 pixels). Lengths scale with that side, so that 224 and 32 pixels get exactly the published ones; below 32
pixels they are not scaled, because a blur by less than a pixel has no effect.

Deviation: frost is rendered, not photographed. Deviation: values are rounded to integers, not truncated. Deviation:
ImageNet-C stores its images as JPEG of quality 85, a slight second corruption; here nothing is stored.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from hubel.audit.robustness import effects, simple, weather
from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.random import scalar

__all__ = ["CORRUPTIONS", "GROUPS", "SIMPLE", "Corruption", "corrupt", "find_corruptions"]

Pixels = NDArray[np.uint8]
Settings = tuple[tuple[float, ...], ...]

GROUPS = ("noise", "blur", "weather", "digital", "geometry")
_LARGE, _SMALL = 224, 32  # image sizes of the two sets of parameters


@dataclass(frozen=True)
class Corruption:
    """An image corruption.

    Attributes:
        name: name of the corruption.
        group: one of `GROUPS`.
        unit: unit of the strength.
        strengths: strengths to measure, the mildest first.
        clean: strength that leaves an image unchanged.
        effect: function `(pixels, strength, rng) -> pixels`.
    """

    name: str
    group: str
    unit: str
    strengths: tuple[float, ...]
    clean: float
    effect: Callable[[Pixels, float, np.random.Generator], Pixels]

    def __call__(self, pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
        """Return a corrupted copy of an image, uint8 `(h, w, 1)` grayscale or `(h, w, 3)` RGB.

        Raises:
            OptionError: the strength is out of range.
        """
        return pixels.copy() if strength == self.clean else self.effect(pixels, strength, rng)


def corrupt(pixels: Pixels, name: str, strength: float, *, seed: int = 0, image: int = 0) -> Pixels:
    """Corrupt an image, uint8 `(h, w, 1)` grayscale or `(h, w, 3)` RGB.

    Equal arguments give equal results: the random numbers are a function of seed, image, name and strength.

    Args:
        pixels: the image.
        name: one of `CORRUPTIONS` or `SIMPLE`.
        strength: severity 1 to 5 of a corruption of ImageNet-C, 0 for none; for a simple one a value in its unit.
        seed: seed of the measurement.
        image: number that identifies the image.

    Raises:
        UnknownNameError: there is no such corruption.
        OptionError: the strength is out of range.
    """
    corruption = _find(name)
    key = scalar(seed, image, zlib.crc32(name.encode()), zlib.crc32(np.float64(strength).tobytes()))
    return corruption(pixels, strength, np.random.Generator(np.random.PCG64(key)))


def find_corruptions(names: Sequence[str] = (), *, quick: bool = False) -> tuple[Corruption, ...]:
    """Return the corruptions with these names, or all; with the first, third and last strength only if `quick`.

    Raises:
        UnknownNameError: there is no such corruption.
    """
    chosen = [_find(name) for name in names or [*CORRUPTIONS, *SIMPLE]]
    return tuple(replace(one, strengths=one.strengths[::2]) if quick else one for one in chosen)


def _find(name: str) -> Corruption:
    known = CORRUPTIONS | SIMPLE
    if name not in known:
        raise UnknownNameError("corruption", name, known)
    return known[name]


def _published(
    effect: Callable[..., effects.Values],
    large: Settings,
    small: Settings,
    lengths: tuple[int, ...],
    pixels: Pixels,
    severity: float,
    rng: np.random.Generator,
) -> Pixels:
    """Apply a corruption with the parameters for the size of the image; those with the indices `lengths` scale."""
    if severity not in range(1, 6):
        raise OptionError(f"a severity is an integer from 1 to 5, or 0 for none, not {severity!r}")
    side = min(pixels.shape[:2])
    big = side > sqrt(_LARGE * _SMALL)
    scale = side / _LARGE if big else max(1.0, side / _SMALL)
    setting = (large if big else small)[int(severity) - 1]
    scaled = (value * scale if i in lengths else value for i, value in enumerate(setting))
    return effects.as_bytes(effect(pixels.astype(np.float32) / 255, rng, *scaled))


def _corruption(
    group: str, effect: Callable[..., effects.Values], large: Settings, small: Settings, lengths: tuple[int, ...] = ()
) -> Corruption:
    apply = partial(_published, effect, large, small, lengths)
    return Corruption(effect.__name__, group, "severity", (1, 2, 3, 4, 5), 0, apply)


def _each(*values: float) -> Settings:
    return tuple((value,) for value in values)


def _elastic(unit: float, *shares: tuple[float, float, float]) -> Settings:
    return tuple((a * unit, b * unit, c * unit) for a, b, c in shares)


#: Corruptions by name, with their parameters of severity 1 to 5 for 224 pixels and for 32 pixels, and the indices of
# the parameters that are lengths.
CORRUPTIONS = {
    corruption.name: corruption
    for corruption in (
        _corruption(
            "noise", effects.gaussian_noise, _each(0.08, 0.12, 0.18, 0.26, 0.38), _each(0.04, 0.06, 0.08, 0.09, 0.10)
        ),
        _corruption("noise", effects.shot_noise, _each(60, 25, 12, 5, 3), _each(500, 250, 100, 75, 50)),
        _corruption(
            "noise", effects.impulse_noise, _each(0.03, 0.06, 0.09, 0.17, 0.27), _each(0.01, 0.02, 0.03, 0.05, 0.07)
        ),
        _corruption(
            "blur",
            effects.defocus_blur,
            ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
            ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
            lengths=(0,),
        ),
        _corruption(
            "blur",
            effects.glass_blur,
            ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
            ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
            lengths=(0, 1),
        ),
        _corruption(
            "blur",
            effects.motion_blur,
            ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
            ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
            lengths=(0, 1),
        ),
        _corruption(
            "blur",
            effects.zoom_blur,
            ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
            ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        ),
        _corruption(
            "weather",
            weather.snow,
            (
                (0.1, 0.3, 3, 0.5, 10, 4, 0.8, 1),
                (0.2, 0.3, 2, 0.5, 12, 4, 0.7, 1),
                (0.55, 0.3, 4, 0.9, 12, 8, 0.7, 1),
                (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65, 1),
                (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55, 1),
            ),
            (
                (0.1, 0.2, 1, 0.6, 8, 3, 0.95, 1),
                (0.1, 0.2, 1, 0.5, 10, 4, 0.9, 1),
                (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9, 1),
                (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85, 1),
                (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8, 1),
            ),
            lengths=(7,),
        ),
        _corruption(
            "weather",
            weather.frost,
            ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
            ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        ),
        _corruption(
            "weather",
            weather.fog,
            ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
            ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        ),
        _corruption("weather", weather.brightness, _each(0.1, 0.2, 0.3, 0.4, 0.5), _each(0.05, 0.1, 0.15, 0.2, 0.3)),
        _corruption("digital", effects.contrast, _each(0.4, 0.3, 0.2, 0.1, 0.05), _each(0.75, 0.5, 0.4, 0.3, 0.15)),
        _corruption(
            "digital",
            effects.elastic_transform,
            # The authors' code has 244, not 224.
            _elastic(244, (2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)),
            _elastic(32, (0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
            lengths=(0, 1, 2),
        ),
        _corruption("digital", effects.pixelate, _each(0.6, 0.5, 0.4, 0.3, 0.25), _each(0.95, 0.9, 0.85, 0.75, 0.65)),
        _corruption("digital", effects.jpeg_compression, _each(25, 18, 15, 10, 7), _each(80, 65, 58, 50, 40)),
    )
}

# The mildest first. A shift, a rotation or a smaller scale fills in black, as in training.
SIMPLE = {
    corruption.name: corruption
    for corruption in (
        Corruption("shift", "geometry", "share of each side", (1 / 32, 1 / 16, 1 / 8, 3 / 16, 1 / 4), 0, simple.shift),
        Corruption(
            "centre_crop", "geometry", "share of each side kept", (0.95, 0.9, 0.8, 0.7, 0.5), 1, simple.centre_crop
        ),
        Corruption("rotation", "geometry", "degrees either way", (5, 10, 20, 30, 45), 0, simple.rotate),
        Corruption("turn", "geometry", "degrees either way", (60, 90, 120, 150, 180), 0, simple.rotate),
        Corruption("zoom_in", "geometry", "factor", (1.1, 1.25, 1.5, 2, 3), 1, simple.scale),
        Corruption("zoom_out", "geometry", "factor", (0.9, 0.8, 0.7, 0.5, 0.3), 1, simple.scale),
        Corruption("occlusion", "geometry", "share of the area", (0.02, 0.05, 0.1, 0.2, 0.4), 0, simple.occlude),
        Corruption("darker", "weather", "factor", (0.8, 0.6, 0.4, 0.2, 0.1), 1, simple.brighten),
        Corruption("brighter", "weather", "factor", (1.2, 1.5, 2, 3, 4), 1, simple.brighten),
        Corruption("noise", "noise", "standard deviation", (0.02, 0.05, 0.1, 0.2, 0.4), 0, simple.add_noise),
        Corruption("blur", "blur", "sigma, share of the side", (0.01, 0.02, 0.03, 0.05, 0.08), 0, simple.blur),
        Corruption("jpeg", "digital", "quality", (75, 50, 30, 15, 5), 100, simple.compress_jpeg),
    )
}
