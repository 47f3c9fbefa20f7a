"""Makers of small image files, and what they must decode to."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hubel.core.errors import DecodeError
from hubel.data.decode import Decoded, decode

Pixels = NDArray[np.uint8]
Y, X = np.mgrid[:40, :56]
RGB: Pixels = np.stack([X * 4, Y * 6, (X + Y) * 2], axis=2).astype(np.uint8)
GREY: Pixels = (X * 3 + Y * 2).astype(np.uint8)
ALPHA: Pixels = ((X * 5 + Y * 7) % 256).astype(np.uint8)


def encode(image: Image.Image | Pixels, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    chunks = [
        (b"IHDR", struct.pack(">2I5B", *size, depth, colour, 0, 0, 0)),
        *extra,
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    written = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def tiff(size: tuple[int, int], strip: bytes, tags: dict[int, Sequence[int]], *, big: bool = False) -> bytes:
    """A little-endian TIFF of one strip, its directory first; every value is a LONG."""
    pointer, width, start = ("Q", 8, 16) if big else ("I", 4, 8)
    tags = {
        256: [size[0]],
        257: [size[1]],
        259: [1],
        273: [0],
        277: [1],
        278: [size[1]],
        279: [len(strip)],
        **tags,
    }
    after = start + (8 if big else 2) + len(tags) * (4 + 2 * width) + width
    outside = sum(4 * len(v) for v in tags.values() if 4 * len(v) > width)
    tags[273] = [after + outside]
    entries, tail = b"", b""
    for tag, values in sorted(tags.items()):
        raw = struct.pack(f"<{len(values)}I", *values)
        if len(raw) > width:
            raw, tail = struct.pack("<" + pointer, after + len(tail)), tail + raw
        entries += struct.pack("<HH" + pointer, tag, 4, len(values)) + raw.ljust(width, b"\0")
    head = struct.pack("<2s3HQ", b"II", 43, 8, 0, 16) if big else struct.pack("<2sHI", b"II", 42, 8)
    return head + struct.pack("<Q" if big else "<H", len(tags)) + entries + bytes(width) + tail + strip


def exif(orientation: int, order: str = ">", kind: str = "H") -> bytes:
    code, mark = {"H": (3, "H2x"), "I": (4, "I")}[kind]
    head = struct.pack(order + "2sHI", b"MM" if order == ">" else b"II", 42, 8)
    return b"Exif\0\0" + head + struct.pack(order + "HHHI" + mark + "I", 1, 274, code, 1, orientation, 0)


def over_white(colour: Pixels, alpha: Pixels) -> NDArray[np.float64]:
    a = alpha.astype(float) / 255
    return colour * (a if colour.ndim == 2 else a[..., None]) + 255 * (1 - (a if colour.ndim == 2 else a[..., None]))


def assert_near(decoded: Decoded, expected: NDArray[Any], tolerance: float = 0.501) -> None:
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.shape == expected.shape
    assert np.abs(decoded.pixels.astype(float) - expected).max() <= tolerance


def reason(data: bytes, **options: Any) -> str:
    with pytest.raises(DecodeError) as caught:
        decode(data, name="the file", **options)
    assert caught.value.name == "the file"
    assert caught.value.reason.isprintable()
    assert " at 0x" not in caught.value.reason
    return caught.value.reason


SAMPLES = {
    "JPEG": encode(RGB, "JPEG", quality=95),
    "progressive JPEG": encode(RGB, "JPEG", progressive=True),
    "PNG": encode(RGB, "PNG"),
    "palette PNG": encode(Image.fromarray(RGB).convert("P"), "PNG", transparency=3),
    "WEBP": encode(RGB, "WEBP"),
    "extended WEBP": encode(np.dstack([RGB, ALPHA]), "WEBP", lossless=True, exif=exif(1)),
    "BMP": encode(RGB, "BMP"),
    "palette BMP": encode(Image.fromarray(RGB).convert("P"), "BMP"),
    "TIFF": encode(RGB, "TIFF"),
    "LZW TIFF": encode(RGB, "TIFF", compression="tiff_lzw"),
    "JPEG TIFF": encode(RGB, "TIFF", compression="jpeg"),
    "fax TIFF": encode(Image.fromarray(GREY).convert("1"), "TIFF", compression="group4"),
    "GIF": encode(Image.fromarray(GREY), "GIF"),
    "animated GIF": encode(Image.fromarray(RGB), "GIF", save_all=True, append_images=[Image.new("RGB", (56, 40))]),
    "AVIF": encode(RGB, "AVIF", quality=90),
    "alpha AVIF": encode(np.dstack([RGB, ALPHA]), "AVIF"),
    "PPM": encode(RGB, "PPM"),
    "grey PPM": encode(GREY, "PPM"),
    "bitmap PPM": encode(Image.fromarray(GREY).convert("1"), "PPM"),
    "MPO": encode(RGB, "MPO", save_all=True, append_images=[Image.fromarray(255 - RGB)]),
}
