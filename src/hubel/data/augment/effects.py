"""Changes of values that are no matrix: blur, noise, compression, and those of the automatic policies."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from hubel.data.augment.opencv import opencv

__all__ = ["EFFECTS"]

Pixels = NDArray[np.uint8]
Values = tuple[float, ...]
_LEAST_BLUR = 0.1  # pixels; a narrower bell has all of its weight on one


def _blur(pixels: Pixels, values: Values, key: int) -> Pixels:
    """By a bell whose standard deviation is a share of the shorter side."""
    sigma = values[0] * min(pixels.shape[:2])
    if sigma < _LEAST_BLUR:
        return pixels
    cv2 = opencv()
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)).reshape(pixels.shape)


def _noise(pixels: Pixels, values: Values, key: int) -> Pixels:
    """Each channel of each pixel by itself; the standard deviation is in units of full scale."""
    normal = np.random.Generator(np.random.SFC64(key)).standard_normal(pixels.shape, np.float32)
    normal *= np.float32(255 * values[0])
    normal += pixels
    return np.asarray(np.clip(np.rint(normal), 0, 255).astype(np.uint8))


def _jpeg(pixels: Pixels, values: Values, key: int) -> Pixels:
    """Compressed with this quality, and read again."""
    if values[0] >= 100:
        return pixels
    file = BytesIO()
    _image(pixels).save(file, "JPEG", quality=int(values[0]))
    return np.asarray(Image.open(file)).reshape(pixels.shape)


def _posterize(pixels: Pixels, values: Values, key: int) -> Pixels:
    """As many of the upper bits as the value says stay."""
    return pixels & np.uint8(256 - 2 ** (8 - int(values[0])))


def _solarize(pixels: Pixels, values: Values, key: int) -> Pixels:
    """Values from this one on are inverted."""
    return np.where(pixels >= values[0], np.uint8(255) - pixels, pixels)


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])


def _by_pillow(change: Callable[[Image.Image], Image.Image], pixels: Pixels) -> Pixels:
    return np.asarray(change(_image(pixels))).reshape(pixels.shape)


# By name, from an image `(h, w, 1 or 3)`, values and the key of what is random.
EFFECTS: dict[str, Callable[[Pixels, Values, int], Pixels]] = {
    "blur": _blur,
    "noise": _noise,
    "jpeg": _jpeg,
    "posterize": _posterize,
    "solarize": _solarize,
    "equalize": lambda pixels, values, key: _by_pillow(ImageOps.equalize, pixels),
    "autocontrast": lambda pixels, values, key: _by_pillow(ImageOps.autocontrast, pixels),
    "sharpness": lambda pixels, values, key: _by_pillow(
        lambda image: ImageEnhance.Sharpness(image).enhance(values[0]), pixels
    ),
}
