"""Formats of image files: the magic bytes of each, and its reduction to the parts that encode the first image.

Without metadata, a file can neither fail for it (Pillow refuses a PNG with a long text chunk) nor make Pillow warn
(damaged EXIF, MPF, APNG, TIFF tags).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO

from PIL import ImageFile, TiffTags
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import MAX_SAMPLESPERPIXEL, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from hubel.core.quiet import quiet_libtiff
from hubel.data.reading import RefusalError

__all__ = ["CONTAINERS", "EXTENSIONS", "FORMATS", "Container", "format_of", "orientation_of"]

# Each function below returns the file reduced to its first image, and its EXIF block.

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
            raise RefusalError("a GIF without any image")
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


def _as_it_is(data: bytes) -> tuple[bytes, bytes]:
    return data, b""


def _heif(data: bytes) -> tuple[bytes, bytes]:
    """Detach the metadata from the image: pi-heif 1.4.0 crashes on some that is damaged. Boxes: ISO/IEC 14496-12."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"meta":
            return data[:at] + data[at : at + length].replace(b"cdsc", b"free") + data[at + length :], b""
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
        if length < 8:  # the last box, up to the end
            break
        at += length
    raise EOFError


_TIFF_UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_TIFF_STRINGS = {1, 2, 7}  # types whose many bytes Pillow takes for one value
_ORIENTATION, _SAMPLES_PER_PIXEL = 274, 277
# What the pixels depend on: TIFF 6.0 with its supplements, and the tags of old and new JPEG inside it.
_TIFF_TAGS = {*range(256, 260), 262, 266, 273, *range(277, 280), 284, 292, 293, 317, 320, *range(322, 326)}
_TIFF_TAGS |= {332, 338, 339, 347, *range(512, 516), *range(517, 522), *range(529, 533)}


@dataclass(frozen=True)
class _Directory:
    """Position and layout of the first directory of a TIFF, a BigTIFF or an EXIF block, which are the same."""

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
        """Return tag, type, count, and the bytes of the value, or of its offset where the value is longer."""
        (count,) = self.counter.unpack_from(block, self.start)
        first = self.start + self.counter.size
        return (self.entry.unpack_from(block, first + i * self.entry.size) for i in range(count))

    def number(self, value: bytes) -> int:
        return int.from_bytes(value, "little" if self.order == "<" else "big")


def _tiff(data: bytes) -> tuple[bytes, bytes]:
    """Write a shorter directory over the first: no offset changes, and nothing new follows the pixels."""
    quiet_libtiff()
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
            raise RefusalError(f"{samples} samples per pixel are neither grey nor a colour")
        kept[tag] = directory.entry.pack(tag, kind, count, value)
    if outside > len(data):
        raise RefusalError("damaged TIFF data (its tags overlap)")
    shorter = directory.counter.pack(len(kept)) + b"".join(kept.values()) + directory.pointer.pack(0)
    return data[: directory.start] + shorter + data[directory.start + len(shorter) :], data


def orientation_of(exif: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none and where the block is malformed."""
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
class Container:
    """A format of image files.

    Attributes:
        magic: the first bytes of a file.
        suffixes: endings of file names, in lower case.
        plugin: Pillow's reader, or one of its kind.
        reduce: returns a file without metadata, and its EXIF block.
    """

    magic: re.Pattern[bytes]
    suffixes: tuple[str, ...]
    plugin: Callable[[BytesIO], ImageFile.ImageFile]
    reduce: Callable[[bytes], tuple[bytes, bytes]]


def _heif_image(stream: BytesIO) -> ImageFile.ImageFile:
    """Read a HEIC or HEIF by pi-heif, whose libheif is loaded when the first such file is met."""
    try:
        from pi_heif.as_plugin import HeifImageFile
    except ImportError:
        raise RefusalError("HEIC and HEIF images need the package pi-heif: pip install pi-heif") from None
    image: ImageFile.ImageFile = HeifImageFile(stream)
    return image


_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
# The brands of ISO/IEC 23000-22: the first one is that of the file, or says nothing of the codec; then the others tell.
_AVIF = re.compile(rb".{4}ftyp(?:avi[fs]|m[is]f1.{4}(?:.{4}){0,16}?avi[fs])", re.DOTALL)
_HEIF = re.compile(rb".{4}ftyp(?:he[iv][cmsx]|m[is]f1)", re.DOTALL)
_PPM = re.compile(rb"P[1-6](?:\s|#[^\r\n]*[\r\n])+[0-9]+\s")
CONTAINERS = {
    "JPEG": Container(re.compile(rb"\xff\xd8\xff"), _JPEG_SUFFIXES, JpegImageFile, _jpeg),
    "PNG": Container(re.compile(rb"\x89PNG\r\n\x1a\n"), (".png",), PngImageFile, _png),
    "WEBP": Container(re.compile(rb"RIFF.{4}WEBP", re.DOTALL), (".webp",), WebPImageFile, _webp),
    "BMP": Container(re.compile(rb"BM"), (".bmp", ".dib"), BmpImageFile, _as_it_is),
    "TIFF": Container(re.compile(rb"II[*+]\0|MM\0[*+]"), (".tif", ".tiff"), TiffImageFile, _tiff),
    "GIF": Container(re.compile(rb"GIF8[79]a"), (".gif",), GifImageFile, _gif),
    "AVIF": Container(_AVIF, (".avif",), AvifImageFile, _as_it_is),
    "HEIF": Container(_HEIF, (".heic", ".heif", ".hif"), _heif_image, _heif),
    "PPM": Container(_PPM, (".ppm", ".pgm", ".pbm", ".pnm"), PpmImageFile, _as_it_is),
}
FORMATS = tuple(CONTAINERS)
EXTENSIONS = frozenset(suffix for container in CONTAINERS.values() for suffix in container.suffixes)


def format_of(data: bytes) -> str | None:
    """Return the format that the first bytes of a file state, or None where they are of no image."""
    return next((name for name, container in CONTAINERS.items() if container.magic.match(data)), None)
