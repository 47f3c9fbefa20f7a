"""Operations on pixel values that are no matrix: blur, noise, compression, and those of the automatic policies."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from hubel.data.augment.extremes import extreme_pair, from_unchanged
from hubel.data.augment.opencv import opencv
from hubel.data.augment.operation import PixelEffect, Pixels, Setting, Values, for_each

__all__ = [
    "AUTOCONTRAST",
    "BLUR",
    "EFFECTS",
    "EQUALIZE",
    "JPEG",
    "NOISE",
    "POSTERIZE",
    "SHARPNESS",
    "SOLARIZE",
    "SOLARIZE_ADD",
]

_LEAST_BITS, _MOST_BITS = 3, 6
_LEAST_BLUR = 0.1  # pixels; a narrower bell has all of its weight on one


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])


def _by_pillow(function: Callable[[Image.Image], Image.Image], pixels: Pixels) -> Pixels:
    return np.asarray(function(_image(pixels))).reshape(pixels.shape)


def _up_to(draws: list[float], most: float) -> Values:
    return (most * draws[0],)


def _posterized(pixels: Pixels, values: Values, key: int) -> Pixels:
    """Keep as many of the upper bits as the value says."""
    return pixels & np.uint8(256 - 2 ** (8 - int(values[0])))


def _bits(draws: list[float], share: float) -> Values | None:
    depth = float(_LEAST_BITS + int(draws[1] * (_MOST_BITS - _LEAST_BITS + 1)))
    return (depth,) if draws[0] < share else None


POSTERIZE = PixelEffect(
    name="posterize",
    settings=(
        Setting("posterize", (0, 1), extremes=lambda share: extreme_pair("6 bits", (6.0,), "3 bits", (3.0,))),
    ),
    draws=(32, 33),  # whether, bits
    parameters=for_each(_bits),
    apply=_posterized,
)  # fmt: skip


def _solarized(pixels: Pixels, values: Values, key: int) -> Pixels:
    """Invert values from this one on."""
    return np.where(pixels >= values[0], np.uint8(255) - pixels, pixels)


SOLARIZE = PixelEffect(
    name="solarize",
    settings=(
        Setting(
            "solarize", (0, 1), extremes=lambda share: extreme_pair("from 224 on", (224.0,), "from 64 on", (64.0,))
        ),
    ),
    draws=(34, 35),  # whether, level
    parameters=for_each(lambda draws, share: (255 * draws[1],) if draws[0] < share else None),
    apply=_solarized,
)


def _solarize_added(pixels: Pixels, values: Values, key: int) -> Pixels:
    """Add to values below the middle, clipped (SolarizeAdd of EfficientNet's AutoAugment, Cubuk et al. 2018)."""
    added = np.minimum(pixels.astype(np.int16) + round(255 * values[0]), 255).astype(np.uint8)
    return np.where(pixels < 128, added, pixels)


SOLARIZE_ADD = PixelEffect(
    name="solarize_add",
    settings=(
        Setting(
            "solarize_add",
            (0, 1),
            extremes=from_unchanged(lambda most: f"+{most:.0%} of full scale", lambda most: (most,)),
        ),
    ),
    draws=(45,),
    parameters=for_each(_up_to),
    apply=_solarize_added,
)

EQUALIZE = PixelEffect(
    name="equalize",
    settings=(
        Setting("equalize", (0, 1), extremes=from_unchanged(lambda share: f"{share:.0%} of them", lambda share: ())),
    ),
    draws=(36,),
    parameters=for_each(lambda draws, share: () if draws[0] < share else None),
    apply=lambda pixels, values, key: _by_pillow(ImageOps.equalize, pixels),
)


def _blurred(pixels: Pixels, values: Values, key: int) -> Pixels:
    """Blur by a Gaussian whose standard deviation is a share of the shorter side."""
    sigma = values[0] * min(pixels.shape[:2])
    if sigma < _LEAST_BLUR:
        return pixels
    cv2 = opencv()
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)).reshape(pixels.shape)


BLUR = PixelEffect(
    name="blur",
    settings=(
        Setting(
            "blur", (0, 0.1), extremes=from_unchanged(lambda most: f"{most:.1%} of the side", lambda most: (most,))
        ),
    ),
    draws=(29,),
    parameters=for_each(_up_to),
    apply=_blurred,
)


def _noisy(pixels: Pixels, values: Values, key: int) -> Pixels:
    """Add Gaussian noise to each channel of each pixel by itself; the deviation is in units of full scale."""
    normal = np.random.Generator(np.random.SFC64(key)).standard_normal(pixels.shape, np.float32)
    normal *= np.float32(255 * values[0])
    normal += pixels
    return np.asarray(np.clip(np.rint(normal), 0, 255).astype(np.uint8))


NOISE = PixelEffect(
    name="noise",
    settings=(
        Setting(
            "noise", (0, 1), extremes=from_unchanged(lambda most: f"{most:.1%} of full scale", lambda most: (most,))
        ),
    ),
    draws=(30,),
    parameters=for_each(_up_to),
    apply=_noisy,
)


def _compressed(pixels: Pixels, values: Values, key: int) -> Pixels:
    """Compress with this quality, and decode again."""
    if values[0] >= 100:
        return pixels
    file = BytesIO()
    _image(pixels).save(file, "JPEG", quality=int(values[0]))
    return np.asarray(Image.open(file)).reshape(pixels.shape)


JPEG = PixelEffect(
    name="jpeg",
    settings=(
        Setting(
            "jpeg", (1, 100), extremes=from_unchanged(lambda least: f"quality {least}", lambda least: (float(least),))
        ),
    ),
    draws=(31,),
    parameters=for_each(lambda draws, least: (float(round(least + (100 - least) * draws[0])),)),
    apply=_compressed,
)

# In the order in which they happen.
EFFECTS = (POSTERIZE, SOLARIZE, SOLARIZE_ADD, EQUALIZE, BLUR, NOISE, JPEG)

# Only the automatic policies have these.
AUTOCONTRAST = PixelEffect(
    name="autocontrast", apply=lambda pixels, values, key: _by_pillow(ImageOps.autocontrast, pixels)
)
SHARPNESS = PixelEffect(
    name="sharpness",
    apply=lambda pixels, values, key: _by_pillow(
        lambda image: ImageEnhance.Sharpness(image).enhance(values[0]), pixels
    ),
)
