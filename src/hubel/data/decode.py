"""How an image file's bytes become pixels: one function for training, scan, prediction and the server.

Each container is first reduced to what makes its first picture. Metadata is then neither a way to fail (a
PNG, which Pillow refuses for a long text chunk) nor a source of its warnings (damaged EXIF, MPF, APNG, TIFF
tags). So no warning filter is needed: `warnings.catch_warnings` changes the whole process, and `decode` runs
in many threads. Pillow's plugins are called directly because `Image.open` itself warns of large pictures,
and imports every plugin that there is.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffTags
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import MAX_SAMPLESPERPIXEL, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from hubel.core.errors import DecodeError

__all__ = ["EXTENSIONS", "FORMATS", "Decoded", "Limits", "decode", "read_regular"]


@dataclass(frozen=True)
class Limits:
    """What is refused for its size, before memory is spent on it.

    Attributes:
        max_bytes: of the encoded file.
        max_pixels: width times height. The default is Pillow's own threshold, which a TIFF cannot exceed.
    """

    max_bytes: int = 256 * 2**20
    max_pixels: int = 89_478_485


@dataclass(frozen=True, eq=False)
class Decoded:
    """One picture, upright.

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


class _RefusalError(ValueError):
    """A refusal in our own words, which reach the user as they are."""


# Files ------------------------------------------------------------

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_PLAIN = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ELOOP: "a link that leads to itself",
}
# O_NONBLOCK: a pipe may take the file's place after its kind was looked at, and must not be waited for.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)


def read_regular(path: Path, *, root: Path | None = None, limits: Limits = Limits()) -> bytes:
    """The bytes of a regular file; never waits on a pipe, never reads a device.

    Args:
        path: the file.
        root: if given, a folder that the file must really lie in, after all links are followed.
        limits: `max_bytes` holds also for a file that grows while it is read.

    Raises:
        DecodeError: the file is missing, unreadable, not a regular file, outside `root` or too large.
    """
    try:
        real = path
        if root is not None:
            real = Path(os.path.realpath(path, strict=True))
            if not real.is_relative_to(os.path.realpath(root, strict=True)):
                raise _RefusalError(f"its real path lies outside of {root}")
        _check_kind(real.stat())
        with os.fdopen(os.open(real, _FLAGS), "rb") as file:
            facts = os.fstat(file.fileno())
            _check_kind(facts)
            _check_bytes(facts.st_size, limits)
            data = file.read(facts.st_size + 1)
            if len(data) > facts.st_size:
                data += file.read(limits.max_bytes + 1 - len(data))
                _check_bytes(len(data), limits)
    except OSError as error:
        plain = _PLAIN.get(error.errno or 0) or _one_line(error.strerror or error)
        raise DecodeError(str(path), plain) from error
    except ValueError as error:
        raise DecodeError(str(path), _one_line(error)) from error
    return data


def _check_kind(facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise _RefusalError(f"{_KINDS.get(stat.S_IFMT(facts.st_mode), 'something')}, not a regular file")


def _check_bytes(size: int, limits: Limits) -> None:
    if size > limits.max_bytes:
        raise _RefusalError(f"{size:,} bytes are more than the limit of {limits.max_bytes:,}")


# Containers: each function gives the file reduced to its first picture, and its EXIF block --------

# The next marker that has a segment, past fill bytes, junk and the markers that stand alone.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd9\xff])")
_JPEG_SCAN = 0xDA
# APP0 (JFIF) and APP14 (Adobe) stay: they tell how colours are coded. An MPO without MPF is its first JPEG.
_JPEG_METADATA = {*range(0xE1, 0xEE), 0xEF, 0xFE}


def _jpeg(data: bytes) -> tuple[bytes, bytes]:
    parts, exif, at = [data[:2]], b"", 2
    while found := _JPEG_MARKER.search(data, at):
        at, marker = found.start(), found[1][0]
        if marker == _JPEG_SCAN:
            return b"".join((*parts, data[at:])), exif
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if marker not in _JPEG_METADATA:
            parts.append(data[at:end])
        elif not exif and data.startswith(b"\xff\xe1", at) and data.startswith(b"Exif\0\0", at + 4):
            exif = data[at + 4 : end]
        at = end
    raise EOFError


def _png(data: bytes) -> tuple[bytes, bytes]:
    # Pillow keeps 8 of the 16 bits of deep RGB, so that the key colour would match the wrong pixels.
    deep_rgb = data[24:26] == b"\x10\x02"
    needed = {b"IHDR", b"PLTE", b"IDAT", b"IEND"} | (set() if deep_rgb else {b"tRNS"})
    parts, exif, at, found = [data[:8]], b"", 8, set()
    while at + 8 <= len(data) and b"IEND" not in found:
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if kind in needed:
            parts.append(data[at:end])
            found.add(kind)
        elif kind == b"eXIf":
            exif = data[at + 8 : end - 4]
        at = end
    if b"IDAT" not in found:
        raise EOFError
    return b"".join(parts), exif


def _webp(data: bytes) -> tuple[bytes, bytes]:
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data):
        raise EOFError
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            return data, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    return data, b""


def _gif(data: bytes) -> tuple[bytes, bytes]:
    at = palette_end = 13 + (6 << (data[10] & 7) if data[10] & 0x80 else 0)
    control = b""
    while data[at] != 0x2C:
        if data[at] == 0x3B:
            raise _RefusalError("a GIF without any picture")
        if data[at] == 0x21:
            label, block = data[at + 1], data[at + 3 : at + 7]
            at += 2
            while data[at]:
                at += 1 + data[at]
            if label == 0xF9 and len(block) == 4:
                control = bytes((0x21, 0xF9, 4, block[0] & 1, 0, 0, block[3], 0))
        at += 1
    # A frame beyond the screen, or one with a disposal, makes Pillow allocate before the size is judged here.
    screen = struct.unpack_from("<2H", data, 6)
    left, top, width, height = struct.unpack_from("<4H", data, at + 1)
    sides = (max(screen[0], left + width), max(screen[1], top + height))
    size = b"".join(side.to_bytes(2, "little") for side in sides)
    return b"".join((data[:6], size, data[10:palette_end], control, data[at:])), b""


def _bmp(data: bytes) -> tuple[bytes, bytes]:
    return data, b""


_TIFF_UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_TIFF_STRINGS = {1, 2, 7}  # types whose many bytes Pillow takes for one value
_BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION, _SAMPLES_PER_PIXEL = 258, 262, 274, 277
_WHITE_IS_ZERO = 0
# What the pixels depend on: TIFF 6.0 with its supplements, and the tags of old and new JPEG inside it.
_TIFF_TAGS = {*range(256, 260), 262, 266, 273, *range(277, 280), 284, 292, 293, 317, 320, *range(322, 326)}
_TIFF_TAGS |= {332, 338, 339, 347, *range(512, 516), *range(517, 522), *range(529, 533)}


@dataclass(frozen=True)
class _Directory:
    """Where the first directory of a TIFF, a BigTIFF or an EXIF block lies (the three are the same)."""

    order: str
    start: int
    counter: struct.Struct
    entry: struct.Struct
    pointer: struct.Struct

    @classmethod
    def of(cls, block: bytes) -> _Directory:
        order = {b"II": "<", b"MM": ">"}[block[:2]]
        counter, entry, pointer, at = ("Q", "HHQ8s", "Q", 8) if 43 in block[2:4] else ("H", "HHI4s", "I", 4)
        (start,) = struct.unpack_from(order + pointer, block, at)
        return cls(order, start, *(struct.Struct(order + code) for code in (counter, entry, pointer)))

    def entries(self, block: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """Tag, type, count, and the bytes of the value, or of its offset where the value is longer."""
        (count,) = self.counter.unpack_from(block, self.start)
        first = self.start + self.counter.size
        return (self.entry.unpack_from(block, first + i * self.entry.size) for i in range(count))

    def number(self, value: bytes) -> int:
        return int.from_bytes(value, "little" if self.order == "<" else "big")


def _tiff(data: bytes) -> tuple[bytes, bytes]:
    """Writes a shorter directory over the first: no offset changes, and nothing new follows the pixels."""
    directory, view = _Directory.of(data), memoryview(data)
    kept: dict[int, bytes] = {}
    outside = 0
    for tag, kind, count, value in directory.entries(data):
        unit = _TIFF_UNITS.get(kind, 0)
        size, offset = unit * count, directory.number(value)
        raw = view[offset : offset + size] if size > len(value) else memoryview(value)[:size]
        if tag not in _TIFF_TAGS or tag in kept or not size:
            continue
        if len(raw) < size:
            raise EOFError
        if TiffTags.lookup(tag).length == 1 and kind not in _TIFF_STRINGS:
            count, raw = 1, raw[:unit]
        if len(raw) <= len(value):
            value = bytes(raw).ljust(len(value), b"\0")
        else:
            outside += len(raw)
        if tag == _SAMPLES_PER_PIXEL and (samples := directory.number(bytes(raw))) > MAX_SAMPLESPERPIXEL:
            raise _RefusalError(f"{samples} samples per pixel are neither grey nor a colour")
        kept[tag] = directory.entry.pack(tag, kind, count, value)
    if outside > len(data):
        raise _RefusalError("damaged TIFF data (its tags overlap)")
    shorter = directory.counter.pack(len(kept)) + b"".join(kept.values()) + directory.pointer.pack(0)
    return data[: directory.start] + shorter + data[directory.start + len(shorter) :], data


def _orientation(exif: bytes) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none and where the block is malformed."""
    block = exif.removeprefix(b"Exif\0\0")
    try:
        directory = _Directory.of(block)
        for tag, kind, count, value in directory.entries(block):
            if tag == _ORIENTATION and count == 1:
                found = directory.number(value[: _TIFF_UNITS[kind]])
                return found if 1 <= found <= 8 else 1
    except (KeyError, OverflowError, struct.error):
        pass
    return 1


@dataclass(frozen=True)
class _Container:
    """How the files of one format begin and are named, what reads them, and what reduces them."""

    magic: re.Pattern[bytes]
    suffixes: tuple[str, ...]
    plugin: type[ImageFile.ImageFile]
    reduce: Callable[[bytes], tuple[bytes, bytes]]


_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
_CONTAINERS = {
    "JPEG": _Container(re.compile(rb"\xff\xd8\xff"), _JPEG_SUFFIXES, JpegImageFile, _jpeg),
    "PNG": _Container(re.compile(rb"\x89PNG\r\n\x1a\n"), (".png",), PngImageFile, _png),
    "WEBP": _Container(re.compile(rb"RIFF.{4}WEBP", re.DOTALL), (".webp",), WebPImageFile, _webp),
    "BMP": _Container(re.compile(rb"BM"), (".bmp", ".dib"), BmpImageFile, _bmp),
    "TIFF": _Container(re.compile(rb"II[*+]\0|MM\0[*+]"), (".tif", ".tiff"), TiffImageFile, _tiff),
    "GIF": _Container(re.compile(rb"GIF8[79]a"), (".gif",), GifImageFile, _gif),
}
FORMATS = tuple(_CONTAINERS)
EXTENSIONS = frozenset(suffix for container in _CONTAINERS.values() for suffix in container.suffixes)


# Pixels ------------------------------------------------------------

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
_SIDEWAYS = 5  # from this orientation on, width and height change places


def decode(
    data: bytes,
    *,
    name: str,
    min_size: tuple[int, int] | None = None,
    limits: Limits = Limits(),
) -> Decoded:
    """Decodes the first picture of an image file: grey or RGB, upright, over white where it is transparent.

    Safe to call from many threads, and changes no state of Pillow.

    Args:
        data: the whole file.
        name: what to call the file in an error.
        min_size: width and height that the caller will shrink the upright picture to. A JPEG is then decoded
            at the smallest scale (1, 1/2, 1/4 or 1/8) at which it is still twice as large on both sides.
        limits: what is too large.

    Raises:
        DecodeError: it is no image, damaged, truncated, too large, or of a kind without a defined white.
    """
    kind = next((kind for kind, container in _CONTAINERS.items() if container.magic.match(data)), None)
    try:
        _check_bytes(len(data), limits)
        if kind is None:
            wanted = f"not an image in one of the formats {', '.join(FORMATS)}"
            raise _RefusalError(wanted if data else "the file is empty")
        return _decode(data, kind, min_size, limits.max_pixels)
    except Exception as error:  # whatever a plugin runs into on malformed bytes: any type is possible
        raise DecodeError(name, _reason(error, kind)) from error


def _decode(data: bytes, kind: str, min_size: tuple[int, int] | None, max_pixels: int) -> Decoded:
    picture, exif = _CONTAINERS[kind].reduce(data)
    orientation = _orientation(exif)
    image = _CONTAINERS[kind].plugin(BytesIO(picture))
    width, height = image.size
    if kind == "TIFF" and Image.MAX_IMAGE_PIXELS:  # its plugin would warn of a larger one while it loads
        max_pixels = min(max_pixels, Image.MAX_IMAGE_PIXELS)
    if width * height > max_pixels:
        raise _RefusalError(f"{width}x{height} pixels are more than the limit of {max_pixels:,}")
    if min_size is not None:
        across, down = _turned(min_size, orientation)
        image.draft(None, (max(1, 2 * across), max(1, 2 * down)))
    mode = image.mode
    if kind == "PNG" and mode == "L" and "transparency" in image.info:
        # Pillow widens grey of 2 and 4 bits to 8, but not the key colour.
        image.info["transparency"] *= {"L;2": 85, "L;4": 17}.get(str(image.tile[0].args), 1)
    image.load()
    flat = _deep_grey(image) if mode in _DEEP else _flat(image)
    if orientation in _UPRIGHT:
        flat = flat.transpose(_UPRIGHT[orientation])
    width, height = _turned((width, height), orientation)
    return Decoded(np.asarray(flat), width, height, mode, kind, orientation)


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation >= _SIDEWAYS else size


def _flat(image: Image.Image) -> Image.Image:
    """As "L" or "RGB", with what is transparent laid over white.

    CMYK needs no care here: Pillow's reader takes that of a JPEG as inverted, which is how Adobe and all
    others write it. LAB goes through `ImageCms`, within `convert`.
    """
    if image.mode not in _BASE:
        raise _RefusalError(f"pixels of mode {image.mode} have no defined white level")
    base = _BASE[image.mode]
    if not image.has_transparency_data:
        return image if image.mode == base else image.convert(base)
    layer = image.convert(_WITH_ALPHA[base])
    white = Image.new(base, image.size, "white")
    white.paste(layer, mask=layer)
    return white


def _deep_grey(image: Image.Image) -> Image.Image:
    """Grey of 12 or 16 bits, scaled to 8 with rounding."""
    levels = np.asarray(image)
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    white = 4095 if tags.get(_BITS_PER_SAMPLE) == (12,) else 65535
    if levels.min() < 0 or levels.max() > white:
        raise _RefusalError(f"grey outside of 0 to {white} has no defined white level")
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
    """Why a file could not be decoded, in one line that means something to its owner."""
    text, origin = _one_line(error), error.__cause__ or error
    if isinstance(error, _RefusalError):
        return text
    if type(error) in _OUTGROWN:
        return _OUTGROWN[type(error)]
    ran_out = isinstance(origin, IndexError | EOFError | struct.error)
    if ran_out or "truncated" in text.lower() or "not enough" in text:
        return f"truncated or damaged {kind} data"
    detail = f"unknown code {text}" if isinstance(origin, KeyError) else text or type(error).__name__
    return f"damaged or unsupported {kind} data ({detail})"


def _one_line(text: object) -> str:
    """Without newlines, control characters, or the addresses of Python objects."""
    plain = re.sub(r"<[^<>]* at 0x[0-9a-fA-F]+>", "it", str(text))
    return " ".join("".join(c if c.isprintable() else " " for c in plain).split())[:200]
