"""Decode image files: one function for training, scan, prediction and the server.

Nothing in here makes Pillow warn, so no warning filter is needed: `warnings.catch_warnings` changes the whole
process, and `decode` runs in many threads. Pillow's plugins are called directly because `Image.open` itself warns
of large images, and imports every plugin that there is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from hubel.core.errors import DecodeError
from hubel.data.containers import CONTAINERS, FORMATS, format_of, orientation_of
from hubel.data.jpeg_holes import has_hole
from hubel.data.reading import DEFAULT_LIMITS, Limits, RefusalError, check_bytes, one_line

try:
    import simplejpeg
except ImportError:  # installed without its dependencies: Pillow decodes the same pixels, but tells of no damage
    simplejpeg = None

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
        damage: why parts of `pixels` are not those of the photo; empty for a whole file.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    mode: str
    format: str
    orientation: int
    damage: str = ""


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
# Huffman codes have at least a bit for each block of 8x8 pixels. Twice that, for odd factors of subsampling.
_PIXELS_PER_JPEG_BYTE = 2 * 8 * 64
_SIMPLE_COLOURS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
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
            at the smallest scale (1, 1/2, 1/4 or 1/8) at which it is still twice as large on both sides. One of more
            than `limits.max_pixels` is decoded at reduced scale in any case.
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
        return _decode(data, kind, min_size, limits)
    except Exception as error:  # plugins raise errors of any type on malformed bytes
        raise DecodeError(name, _reason(error, kind)) from error


def _decode(data: bytes, kind: str, min_size: tuple[int, int] | None, limits: Limits) -> Decoded:
    picture, exif = CONTAINERS[kind].reduce(data)
    image = CONTAINERS[kind].plugin(BytesIO(picture))
    # The containers of AVIF and HEIF turn images by themselves; their readers tell what is left to do.
    orientation = orientation_of(exif or image.info.get("exif") or b"")
    width, height = image.size
    most = limits.max_pixels
    if kind == "TIFF" and Image.MAX_IMAGE_PIXELS:  # its plugin would warn of a larger one while it loads
        most = min(most, Image.MAX_IMAGE_PIXELS)
    if kind == "JPEG":
        most = limits.max_jpeg_pixels
        _reduce_scale(image, None if min_size is None else _turned(min_size, orientation), limits.max_pixels)
    if width * height > most:
        raise RefusalError(f"{width}x{height} pixels are more than the limit of {most:,}")
    if kind == "JPEG" and width * height > _PIXELS_PER_JPEG_BYTE * len(picture):
        raise RefusalError(
            f"truncated or damaged JPEG data ({len(picture):,} bytes cannot hold {width}x{height} pixels)"
        )
    mode = image.mode
    pixels, damage = _strictly(picture, image) if kind == "JPEG" else (None, "")
    if kind == "PNG" and mode == "L" and "transparency" in image.info:
        # Pillow widens grey of 2 and 4 bits to 8, but not the key colour.
        image.info["transparency"] *= {"L;2": 85, "L;4": 17}.get(str(image.tile[0].args), 1)
    if pixels is None:
        pixels = _pixels(image)
    pixels = _upright(pixels, orientation)
    pixels.setflags(write=False)
    width, height = _turned((width, height), orientation)
    return Decoded(pixels, width, height, mode, kind, orientation, damage)


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
    return _upright(_pixels(image), image.getexif().get(_ORIENTATION, 1))


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    image.load()
    return np.asarray(_deep_grey(image) if image.mode in _DEEP else _flat(image))


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    if orientation not in _UPRIGHT:
        return pixels
    return np.asarray(Image.fromarray(pixels).transpose(_UPRIGHT[orientation]))


def _strictly(data: bytes, image: Image.Image) -> tuple[NDArray[np.uint8] | None, str]:
    """Decode a JPEG by libjpeg-turbo itself, whose warnings Pillow hides; return the pixels, and what is damaged.

    The pixels are the same as Pillow's, at its size and scale; None where Pillow has to decode: files that are damaged,
    which it may refuse, and colours and subsamplings that simplejpeg does not know.
    """
    colours = _SIMPLE_COLOURS.get(image.mode)
    if simplejpeg is None or colours is None:
        return None, ""
    decode_jpeg = partial(simplejpeg.decode_jpeg, data, colours, min_height=image.height, min_width=image.width)
    try:
        pixels: NDArray[np.uint8] = decode_jpeg()
    except ValueError as error:
        try:
            decode_jpeg(strict=False)
        except ValueError:
            return None, ""
        reason = one_line(error).removeprefix("Corrupt JPEG data: ")
        return None, f"damaged JPEG data ({reason})"
    if has_hole(data):
        return None, "damaged JPEG data (a run of zero bytes)"
    if colours == "CMYK" or pixels.shape[:2] != (image.height, image.width):
        return None, ""
    return (pixels[..., 0] if colours == "GRAY" else pixels), ""


def _reduce_scale(image: Image.Image, min_size: tuple[int, int] | None, max_pixels: int) -> None:
    """Have a JPEG decoded at the smallest scale that leaves twice a size; or at the largest that a limit allows."""
    width, height = image.size
    factor = next((factor for factor in (1, 2, 4) if width * height <= max_pixels * factor**2), 8)
    size = (width // factor, height // factor)
    if min_size is not None:
        size = (min(size[0], 2 * min_size[0]), min(size[1], 2 * min_size[1]))
    if size != image.size:
        image.draft(None, (max(1, size[0]), max(1, size[1])))


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


_CUT_SHORT = ("truncated", "not enough", "eof", "end of file")
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
    if ran_out or any(words in text.lower() for words in _CUT_SHORT):
        return f"truncated or damaged {kind} data"
    detail = f"unknown code {text}" if isinstance(origin, KeyError) else text or type(error).__name__
    return f"damaged or unsupported {kind} data ({detail})"
