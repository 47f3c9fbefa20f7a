"""Decode image files: one function for training, scan, prediction and the server.

Nothing in here makes Pillow warn, so no warning filter is needed: `warnings.catch_warnings` changes the whole
process, and `decode` runs in many threads. Pillow's plugins are called directly because `Image.open` itself warns
of large images, and imports every plugin that there is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from hubel.core.errors import DecodeError
from hubel.data.containers import CONTAINERS, FORMATS, format_of, orientation_of
from hubel.data.reading import DEFAULT_LIMITS, Limits, RefusalError, check_bytes, one_line

__all__ = ["Decoded", "decode", "flatten", "of_pixels"]


@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded image, upright.

    Attributes:
        pixels: `(h, w)` grey or `(h, w, 3)` RGB, 0 to 255, read-only.
        width: full size in pixels, upright, even where `pixels` was decoded at reduced scale.
        height: likewise.
        mode: Pillow's name of the colour mode in the file, such as "CMYK", "I;16" or "P".
        format: one of `FORMATS`.
        orientation: EXIF orientation, 1 to 8; 1 where absent or malformed. `pixels` has it applied.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    mode: str
    format: str
    orientation: int


_COLOURS = ("RGB", "RGBA", "RGBa", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB")
_BASE = dict.fromkeys(("1", "L", "LA", "La"), "L") | dict.fromkeys(_COLOURS, "RGB")
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA"}
_DEEP = {"I;16", "I;16L", "I;16B", "I"}
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = 5  # from this orientation on, width and height are swapped
# Tags of a TIFF that Pillow leaves to its callers.
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262
_ORIENTATION = 274
_WHITE_IS_ZERO = 0


def decode(
    data: bytes,
    *,
    name: str,
    min_size: tuple[int, int] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Decoded:
    """Decode the first image of a file: grey or RGB, upright, over white where it is transparent.

    Safe to call from many threads, and changes no state of Pillow.

    Args:
        data: the whole file.
        name: of the file, for errors.
        min_size: width and height that the caller will shrink the upright image to. A JPEG is then decoded
            at the smallest scale (1, 1/2, 1/4 or 1/8) at which it is still twice as large on both sides.
        limits: largest sizes that are accepted.

    Raises:
        DecodeError: it is no image, is damaged, truncated or too large, or its colour mode has no defined white.
    """
    kind = format_of(data)
    try:
        check_bytes(len(data), limits)
        if kind is None:
            wanted = f"not an image in one of the formats {', '.join(FORMATS)}"
            raise RefusalError(wanted if data else "the file is empty")
        return _decode(data, kind, min_size, limits.max_pixels)
    except Exception as error:  # plugins raise errors of any type on malformed bytes
        raise DecodeError(name, _reason(error, kind)) from error


def _decode(data: bytes, kind: str, min_size: tuple[int, int] | None, max_pixels: int) -> Decoded:
    picture, exif = CONTAINERS[kind].reduce(data)
    orientation = orientation_of(exif)
    image = CONTAINERS[kind].plugin(BytesIO(picture))
    width, height = image.size
    if kind == "TIFF" and Image.MAX_IMAGE_PIXELS:  # its plugin would warn of a larger one while it loads
        max_pixels = min(max_pixels, Image.MAX_IMAGE_PIXELS)
    if width * height > max_pixels:
        raise RefusalError(f"{width}x{height} pixels are more than the limit of {max_pixels:,}")
    if min_size is not None:
        across, down = _turned(min_size, orientation)
        image.draft(None, (max(1, 2 * across), max(1, 2 * down)))
    mode = image.mode
    if kind == "PNG" and mode == "L" and "transparency" in image.info:
        # Pillow widens grey of 2 and 4 bits to 8, but not the key colour.
        image.info["transparency"] *= {"L;2": 85, "L;4": 17}.get(str(image.tile[0].args), 1)
    image.load()
    width, height = _turned((width, height), orientation)
    return Decoded(_upright(image, orientation), width, height, mode, kind, orientation)


def of_pixels(pixels: NDArray[np.uint8]) -> Decoded:
    """Return pixels `(h, w)` or `(h, w, 3)` that need no decoding."""
    height, width = pixels.shape[:2]
    return Decoded(pixels, width, height, "L" if pixels.ndim == 2 else "RGB", "array", 1)


def flatten(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of an image that Pillow has opened, as `decode` returns those of its file.

    Raises:
        RefusalError: its colour mode has no defined white.
        OSError: its file cannot be read.
    """
    image.load()
    return _upright(image, image.getexif().get(_ORIENTATION, 1))


def _upright(image: Image.Image, orientation: int) -> NDArray[np.uint8]:
    flat = _deep_grey(image) if image.mode in _DEEP else _flat(image)
    return np.asarray(flat.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else flat)


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation >= _SIDEWAYS else size


def _flat(image: Image.Image) -> Image.Image:
    """Convert to "L" or "RGB", with transparent pixels laid over white.

    CMYK needs no care here: Pillow's reader takes that of a JPEG as inverted, which is how Adobe and all
    others write it. LAB goes through `ImageCms`, within `convert`.
    """
    if image.mode not in _BASE:
        raise RefusalError(f"pixels of mode {image.mode} have no defined white level")
    base = _BASE[image.mode]
    if not image.has_transparency_data:
        return image if image.mode == base else image.convert(base)
    layer = image.convert(_WITH_ALPHA[base])
    white = Image.new(base, image.size, "white")
    white.paste(layer, mask=layer)
    return white


def _deep_grey(image: Image.Image) -> Image.Image:
    """Scale grey of 12 or 16 bits to 8, with rounding."""
    levels = np.asarray(image)
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    white = 4095 if tags.get(_BITS_PER_SAMPLE) == (12,) else 65535
    if levels.min() < 0 or levels.max() > white:
        raise RefusalError(f"grey outside of 0 to {white} has no defined white level")
    grey = ((levels.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow inverts these up to 8 bits only
        grey = 255 - grey
    if "transparency" in image.info:
        grey[levels == image.info["transparency"]] = 255
    return Image.fromarray(grey)


_OUTGROWN: dict[type[Exception], str] = {
    MemoryError: "not enough memory to decode it",
    Image.DecompressionBombError: "far too many pixels",
}


def _reason(error: Exception, kind: str | None) -> str:
    """Return the reason why a file could not be decoded, in one line for its owner."""
    text, origin = one_line(error), error.__cause__ or error
    if isinstance(error, RefusalError):
        return text
    if type(error) in _OUTGROWN:
        return _OUTGROWN[type(error)]
    ran_out = isinstance(origin, IndexError | EOFError | struct.error)
    if ran_out or "truncated" in text.lower() or "not enough" in text:
        return f"truncated or damaged {kind} data"
    detail = f"unknown code {text}" if isinstance(origin, KeyError) else text or type(error).__name__
    return f"damaged or unsupported {kind} data ({detail})"
