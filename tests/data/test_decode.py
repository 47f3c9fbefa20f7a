"""The pixels of every format and colour mode; files that are damaged, huge or no image at all."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import socket
import stat
import struct
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffTags

from hubel.core.errors import DecodeError
from hubel.data import decode as module
from hubel.data.decode import EXTENSIONS, FORMATS, Decoded, Limits, decode, read_regular

Pixels = NDArray[np.uint8]
PHOTOS = Path(__file__).parents[3] / "shared" / "data"

Y, X = np.mgrid[:40, :56]
RGB: Pixels = np.stack([X * 4, Y * 6, (X + Y) * 2], axis=2).astype(np.uint8)
GREY: Pixels = (X * 3 + Y * 2).astype(np.uint8)
ALPHA: Pixels = ((X * 5 + Y * 7) % 256).astype(np.uint8)


def encode(image: Image.Image | Pixels, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def reason(data: bytes, **options: Any) -> str:
    with pytest.raises(DecodeError) as caught:
        decode(data, name="the file", **options)
    assert caught.value.name == "the file"
    assert caught.value.reason.isprintable()
    assert " at 0x" not in caught.value.reason
    return caught.value.reason


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


# Formats ------------------------------------------------------------------------------------------------

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
    "MPO": encode(RGB, "MPO", save_all=True, append_images=[Image.fromarray(255 - RGB)]),
}


def test_formats_and_extensions() -> None:
    assert FORMATS == ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
    suffixes = [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"]
    assert sorted(EXTENSIONS) == sorted(suffixes)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_gives_what_pillow_gives(name: str) -> None:
    data = SAMPLES[name]
    with Image.open(io.BytesIO(data)) as image:
        mode, size = image.mode, image.size
        grey = mode in {"1", "L"}
        plain = Image.new("RGBA", size, "white")
        plain.alpha_composite(image.convert("RGBA"))
    decoded = decode(data, name=name)
    assert_near(decoded, np.asarray(plain.convert("L" if grey else "RGB")), 1)
    kind = "JPEG" if name == "MPO" else name.split()[-1]
    assert (decoded.format, decoded.mode, decoded.width, decoded.height) == (kind, mode, *size)
    assert decoded.orientation == 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_many(kind: str) -> None:
    first, second = Image.fromarray(GREY), Image.fromarray(255 - GREY)
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(first, kind, save_all=True, append_images=[second], **options)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 2  # type: ignore[attr-defined]
    pixels = decode(data, name="f").pixels
    assert np.array_equal(pixels if pixels.ndim == 2 else pixels[..., 1], GREY)


# Colours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
def test_lossless_colour_is_exact(kind: str) -> None:
    picture = (RGB // 64 * 85).astype(np.uint8)  # 64 colours, so that a GIF holds them
    decoded = decode(encode(picture, kind, **({"lossless": True} if kind == "WEBP" else {})), name="f")
    assert np.array_equal(decoded.pixels, picture)
    assert not decoded.pixels.flags.writeable


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_grey_stays_grey(kind: str) -> None:
    options = {"optimize": False} if kind == "GIF" else {}  # its palette is then the ramp of all greys
    assert np.array_equal(decode(encode(GREY, kind, **options), name="f").pixels, GREY)
    black_white = decode(encode(Image.fromarray(GREY > 99), kind), name="f").pixels
    assert np.array_equal(black_white if black_white.ndim == 2 else black_white[..., 0], (GREY > 99) * np.uint8(255))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_over_white(kind: str) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    decoded = decode(encode(np.dstack([RGB, ALPHA]), kind, **options), name="f")
    assert decoded.mode == "RGBA"
    assert_near(decoded, over_white(RGB, ALPHA))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_alpha_over_white(kind: str) -> None:
    decoded = decode(encode(Image.fromarray(np.dstack([GREY, ALPHA]), "LA"), kind), name="f")
    assert decoded.mode == "LA"
    assert_near(decoded, over_white(GREY, ALPHA))


@pytest.mark.parametrize(("channels", "photometric", "mode"), [(1, 1, "La"), (3, 2, "RGBA")])
def test_premultiplied_alpha(channels: int, photometric: int, mode: str) -> None:
    colour = (RGB if channels == 3 else GREY[..., None]).astype(float)
    alpha = np.maximum(ALPHA, 32)[..., None]
    stored = np.concatenate([np.rint(colour * alpha / 255).astype(np.uint8), alpha], axis=2)
    tags = {258: [8] * (channels + 1), 262: [photometric], 277: [channels + 1], 338: [1]}
    decoded = decode(tiff((56, 40), stored.tobytes(), tags), name="f")
    assert decoded.mode == mode
    expected = over_white(colour.squeeze().astype(np.uint8), alpha.squeeze())
    assert_near(decoded, expected, 1.51)


def test_palette_with_every_kind_of_transparency() -> None:
    palette = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
    image = Image.fromarray(GREY, "P")
    image.putpalette(palette.tobytes())
    expected = palette[GREY].astype(float)
    assert_near(decode(encode(image, "PNG"), name="f"), expected, 0)

    alphas = np.random.default_rng(2).integers(0, 256, 256).astype(np.uint8)
    for transparency in (bytes(alphas), 77):
        alpha = alphas[GREY] if isinstance(transparency, bytes) else np.where(GREY == 77, 0, 255).astype(np.uint8)
        decoded = decode(encode(image, "PNG", transparency=transparency), name="f")
        assert decoded.mode == "P"
        assert_near(decoded, over_white(palette[GREY], alpha))

    key = decode(encode(image, "GIF", transparency=77, optimize=False), name="f")
    assert_near(key, over_white(palette[GREY], np.where(GREY == 77, 0, 255).astype(np.uint8)))


def test_palette_with_an_alpha_channel() -> None:
    image = Image.merge("PA", (Image.fromarray(RGB).convert("P", palette=Image.Palette.WEB), Image.fromarray(ALPHA)))
    solid = np.asarray(image.getchannel("P").convert("L"))
    assert solid.shape == GREY.shape
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    decoded = decode(encode(image, "TIFF"), name="f")
    assert decoded.mode == "PA"
    assert_near(decoded, over_white(palette[np.asarray(image)[..., 0]], ALPHA))


def test_key_colours_are_white() -> None:
    picture = RGB.copy()
    picture[3:9, 4:20] = key = (10, 20, 30)
    hidden = (picture == key).all(axis=2)
    decoded = decode(encode(picture, "PNG", transparency=key), name="f")
    assert np.array_equal(decoded.pixels, np.where(hidden[..., None], 255, picture))
    grey = decode(encode(GREY, "PNG", transparency=100), name="f")
    assert np.array_equal(grey.pixels, np.where(GREY == 100, 255, GREY))
    black = decode(encode(Image.fromarray(GREY > 99), "PNG", transparency=0), name="f")
    assert (black.pixels == 255).all()


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_key_grey_of_every_depth(depth: int) -> None:
    levels = np.arange(2**depth if depth < 16 else 256) * (1 if depth < 16 else 257)
    bits = np.unpackbits(levels.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 16 - depth :]
    data = png(
        (len(levels), 1),
        depth,
        0,
        b"\0" + np.packbits(bits).tobytes(),
        (b"tRNS", struct.pack(">H", levels[1])),
    )
    expected = np.rint(levels / (2**depth - 1) * 255)
    expected[1] = 255
    assert_near(decode(data, name="f"), expected[None], 0)


def test_key_colour_of_sixteen_bits_hides_no_other_colour() -> None:
    rows = b"\0" + struct.pack(">6H", 0x1020, 0x1020, 0x1020, 0x2000, 0x2000, 0x2000)
    decoded = decode(png((2, 1), 16, 2, rows, (b"tRNS", struct.pack(">3H", 0x0020, 0x0020, 0x0020))), name="f")
    assert decoded.pixels.tolist() == [[[16] * 3, [32] * 3]]


def cmyk_formula(inks: Pixels) -> NDArray[np.float64]:
    light = 255 - inks.astype(float)
    return light[..., :3] * light[..., 3:] / 255


def test_cmyk() -> None:
    inks = np.dstack([RGB, ALPHA // 2])
    image = Image.frombytes("CMYK", (56, 40), inks.tobytes())
    assert_near(decode(encode(image, "TIFF"), name="f"), cmyk_formula(inks), 1)

    smooth = np.dstack([RGB // 2, GREY // 3])
    data = encode(Image.frombytes("CMYK", (56, 40), smooth.tobytes()), "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in data
    decoded = decode(data, name="f")
    assert decoded.mode == "CMYK"
    assert_near(decoded, cmyk_formula(smooth), 6)


def test_cmyk_jpeg_holds_inverted_inks() -> None:
    """The file's own samples, read as four plain channels, are light and not ink: 255 means no ink."""
    inks = np.zeros((16, 16, 4), np.uint8)
    data = encode(Image.frombytes("CMYK", (16, 16), inks.tobytes()), "JPEG", quality=100)
    with Image.open(io.BytesIO(data)) as image:
        image.tile = [image.tile[0]._replace(args=("CMYK", ""))]  # type: ignore[attr-defined]
        assert (np.asarray(image) == 255).all()
    assert (decode(data, name="f").pixels == 255).all()


def test_ycck_jpeg() -> None:
    """YCCK is YCbCr and K: the CMYK file relabelled shows what becomes of its samples."""
    samples = np.full((16, 16, 4), (55, 127, 127, 0), np.uint8)  # stored inverted: Y 200, Cb 128, Cr 128, K 255
    data = encode(Image.frombytes("CMYK", (16, 16), samples.tobytes()), "JPEG", quality=100)
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    decoded = decode(data[:at] + b"\x02" + data[at + 1 :], name="f")
    assert decoded.mode == "CMYK"
    assert_near(decoded, np.full((16, 16, 3), 55.0), 2)


def test_ycbcr() -> None:
    image = Image.fromarray(RGB).convert("YCbCr")
    decoded = decode(encode(image, "TIFF"), name="f")
    assert decoded.mode == "YCbCr"
    y, cb, cr = np.moveaxis(np.asarray(image).astype(float), 2, 0)
    full = np.stack([y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)])
    assert_near(decoded, np.moveaxis(full, 0, 2).clip(0, 255), 1.5)


def test_hsv() -> None:
    """No format of ours stores it, but the table of modes has it."""
    hues = Image.fromarray(np.array([[[0, 255, 255], [85, 255, 255], [170, 255, 255]]], np.uint8), "HSV")
    assert np.asarray(module._flat(hues)).tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]


def lab_to_srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* (D50) to sRGB, with Bradford's matrix from Bruce Lindbloom's tables."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * (0.96422, 1, 0.82521)
    to_linear = np.array(
        [
            [3.1338561, -1.6168667, -0.4906146],
            [-0.9787684, 1.9161415, 0.0334540],
            [0.0719453, -0.2289914, 1.4052427],
        ]
    )
    linear = (xyz @ to_linear.T).clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_lab() -> None:
    lightness, a, b = (v.ravel() for v in np.meshgrid([30, 50, 70], [-8, 0, 8], [-8, 0, 8]))
    stored = np.stack([np.rint(lightness * 2.55), a % 256, b % 256], axis=1).astype(np.uint8)
    tags = {258: [8, 8, 8], 262: [8], 277: [3]}
    decoded = decode(tiff((27, 1), stored.tobytes(), tags), name="f")
    assert decoded.mode == "LAB"
    exact = np.stack([np.rint(lightness * 2.55) / 2.55, a, b], axis=1)
    assert_near(decoded, lab_to_srgb(exact)[None], 1)


def test_sixteen_bits_scale_by_257() -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(levels / 257)
    for kind, mode in (("PNG", "I;16"), ("TIFF", "I;16")):
        decoded = decode(encode(Image.fromarray(levels), kind), name="f")
        assert decoded.mode == mode
        assert_near(decoded, expected, 0)
    big_endian = decode(encode(Image.frombytes("I;16B", (256, 256), levels.astype(">u2").tobytes()), "TIFF"), name="f")
    assert_near(big_endian, expected, 0)
    wide = decode(encode(Image.fromarray(levels.astype(np.int32)), "TIFF"), name="f")
    assert wide.mode == "I"
    assert_near(wide, expected, 0)


def test_sixteen_bits_where_zero_is_white() -> None:
    levels = np.arange(0, 65536, 16, dtype="<u2")
    data = tiff((4096, 1), levels.tobytes(), {258: [16], 262: [0]})
    assert_near(decode(data, name="f"), 255 - np.rint(levels / 257)[None], 0)


def test_twelve_bits_reach_white() -> None:
    levels = np.arange(4096)
    bits = np.unpackbits(levels.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 4:]
    data = tiff((4096, 1), np.packbits(bits).tobytes(), {258: [12], 262: [1]})
    assert_near(decode(data, name="f"), np.rint(levels / 4095 * 255)[None], 0)


@pytest.mark.parametrize("levels", [[[-1, 5]], [[0, 65536]], [[0.0, 1.0]]])
def test_no_white_level_is_refused(levels: list[list[float]]) -> None:
    values = np.array(levels, np.float32 if isinstance(levels[0][0], float) else np.int32)
    assert "no defined white level" in reason(encode(Image.fromarray(values), "TIFF"))


# Orientation --------------------------------------------------------------------------------------------

UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda p: p,
    2: np.fliplr,
    3: lambda p: np.rot90(p, 2),
    4: np.flipud,
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "LZW TIFF"])
def test_orientation(kind: str, orientation: int) -> None:
    if kind.endswith("TIFF"):
        packed = {"compression": "tiff_lzw"} if kind == "LZW TIFF" else {}
        data = encode(RGB, "TIFF", tiffinfo={274: orientation}, **packed)
        stored = RGB
    else:
        data = encode(RGB, kind, exif=exif(orientation))
        stored = decode(encode(RGB, kind), name="plain").pixels
    decoded = decode(data, name="f")
    expected = UPRIGHT[orientation](stored)
    assert decoded.orientation == orientation
    assert np.array_equal(decoded.pixels, expected)
    assert (decoded.height, decoded.width) == expected.shape[:2]


def test_orientation_of_sixteen_bits() -> None:
    levels = (np.arange(12, dtype=np.uint16) * 257).reshape(3, 4)
    decoded = decode(encode(Image.fromarray(levels), "PNG", exif=exif(6)), name="f")
    assert np.array_equal(decoded.pixels, np.rot90(levels // 257, -1))


@pytest.mark.parametrize(("order", "kind"), [*itertools.product("<>", "HI")])
def test_orientation_in_either_byte_order_and_type(order: str, kind: str) -> None:
    assert decode(encode(RGB, "JPEG", exif=exif(6, order, kind)), name="f").orientation == 6


@pytest.mark.parametrize("cut", range(0, 32, 3))
def test_malformed_exif_is_no_error(cut: int) -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        assert decode(encode(RGB, kind, exif=exif(6)[:cut]), name="f").orientation in {1, 6}
    assert decode(encode(RGB, "JPEG", exif=exif(99)), name="f").orientation == 1


@given(st.binary(max_size=80), st.sampled_from([b"", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
def test_any_exif_gives_an_orientation(block: bytes, head: bytes) -> None:
    assert module._orientation(b"Exif\0\0" + head + block) in range(1, 9)


# Reduced scale ------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(1, 150), st.integers(1, 150)),
    st.sampled_from(sorted(UPRIGHT)),
)
def test_reduced_scale_leaves_twice_the_size(size: tuple[int, int], wanted: tuple[int, int], turn: int) -> None:
    data = encode(Image.new("RGB", size, "teal"), "JPEG", exif=exif(turn))
    full, reduced = decode(data, name="f"), decode(data, name="f", min_size=wanted)
    assert (reduced.width, reduced.height) == (full.width, full.height)
    assert full.pixels.shape[:2] == (full.height, full.width)
    for now, whole, least in zip(reduced.pixels.shape[:2], full.pixels.shape[:2], wanted[::-1], strict=True):
        assert now >= min(whole, 2 * least)


@pytest.mark.parametrize(("turn", "shape"), [(1, (100, 200)), (6, (200, 100))])
def test_reduced_scale_is_used(turn: int, shape: tuple[int, int]) -> None:
    data = encode(Image.linear_gradient("L").resize((800, 400)), "JPEG", exif=exif(turn))
    reduced = decode(data, name="f", min_size=(shape[1] // 2, shape[0] // 2))
    assert reduced.pixels.shape == shape  # an eighth would be less than twice the wanted size
    colour = encode(Image.new("CMYK", (800, 400)), "JPEG")
    assert decode(colour, name="f", min_size=(50, 50)).pixels.shape == (100, 200, 3)
    assert decode(encode(Image.new("RGB", (800, 400)), "PNG"), name="f", min_size=(5, 5)).pixels.shape[:2] == (400, 800)


# Damage -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_truncation_is_never_silent(name: str) -> None:
    data = SAMPLES[name]
    whole = decode(data, name=name).pixels
    lengths = {*range(16, len(data), max(1, len(data) // 60)), *range(len(data) - 12, len(data))}
    refused = 0
    for length in lengths:
        try:
            pixels = decode(data[:length], name=name).pixels
        except DecodeError as error:
            assert "truncated" in error.reason  # noqa: PT017
            refused += 1
        else:
            assert np.array_equal(pixels, whole)
    assert refused > len(lengths) // 4


@pytest.mark.parametrize("compression", [1, 8])
def test_truncated_pixels_behind_the_directory(compression: int) -> None:
    strip = GREY.tobytes() if compression == 1 else zlib.compress(GREY.tobytes())
    data = tiff((56, 40), strip, {258: [8], 259: [compression], 262: [1]})
    assert np.array_equal(decode(data, name="f").pixels, GREY)
    for cut in (1, 5, 100, len(strip) - 1, len(strip)):
        assert "TIFF data" in reason(data[:-cut])


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(sorted(name for name in SAMPLES if name != "progressive JPEG")),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=12),
    st.booleans(),
)
def test_byte_flips_give_pixels_or_a_reason(name: str, flips: list[tuple[float, int]], head: bool) -> None:
    data = bytearray(SAMPLES[name])
    for where, change in flips:
        data[int(where * (min(len(data), 120) if head else len(data)))] ^= change
    try:
        decoded = decode(bytes(data), name="f", limits=Limits(max_pixels=2**20))
    except DecodeError as error:
        assert error.reason.isprintable()  # noqa: PT017
        assert " at 0x" not in error.reason  # noqa: PT017
    else:
        assert decoded.pixels.dtype == np.uint8
        assert decoded.pixels.shape in {
            (decoded.height, decoded.width),
            (decoded.height, decoded.width, 3),
        }


def test_not_an_image() -> None:
    assert reason(b"") == "the file is empty"
    for data in (
        b"hello, this is text",
        b"<svg/>",
        b"%PDF-1.4",
        bytes(1000),
        b"\xff\xd8",
        b"RIFF\0\0\0\0WAVEfmt ",
    ):
        assert reason(data) == "not an image in one of the formats JPEG, PNG, WEBP, BMP, TIFF, GIF"


@pytest.mark.parametrize(
    "magic", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0+", b"RIFF"]
)
def test_only_the_magic_is_right(magic: bytes) -> None:
    for tail in (b"", b"a line\nof text" * 20, bytes(300), b"\xff" * 300):
        reason(magic + tail)


def test_a_gif_without_a_picture() -> None:
    assert "without any picture" in reason(b"GIF89a" + struct.pack("<2H3B", 9, 9, 0, 0, 0) + b";")


def test_the_error_names_the_file_and_travels_between_processes() -> None:
    with pytest.raises(DecodeError, match=r"^a/b\.jpg: the file is empty$") as caught:
        decode(b"", name="a/b.jpg")
    assert pickle.loads(pickle.dumps(caught.value)).reason == "the file is empty"


def test_reasons_are_one_line_without_addresses() -> None:
    text = module._one_line("cannot identify <_io.BytesIO object at 0x7f00aa>\nreally\x1b[31m")
    assert text == "cannot identify it really [31m"
    assert module._reason(MemoryError(), "PNG") == "not enough memory to decode it"
    unknown = tiff((2, 2), bytes(4), {258: [8], 259: [4242], 262: [1]})
    assert reason(unknown) == "damaged or unsupported TIFF data (unknown code 4242)"


# Metadata that must not matter --------------------------------------------------------------------------


def test_large_or_broken_png_chunks() -> None:
    bomb = zlib.compress(bytes(3 * 2**20))
    extra = [
        (b"zTXt", b"Comment\0\0" + bomb),
        (b"iCCP", b"profile\0\0" + bomb),
        (b"pHYs", b"short"),
        (b"acTL", bytes(8)),
        (b"fcTL", b"\0\0\0\7" * 10),
    ]
    data = png((4, 1), 8, 0, b"\0\1\2\3\4", *extra)
    with pytest.raises(ValueError, match="too large"):
        Image.open(io.BytesIO(data))
    assert decode(data, name="f").pixels.tolist() == [[1, 2, 3, 4]]


def test_broken_jpeg_segments() -> None:
    plain = SAMPLES["JPEG"]
    segments = [
        (0xE1, exif(6)[:20] + b"\xff" * 9),
        (0xE2, b"MPF\0II*\0\x08\0\0\0\x09\0" + bytes(range(60))),
        (0xED, b"Photoshop 3.0\x00" + b"8BIM" * 9),
        (0xFE, b"\xff\xda" * 30000),
        *[(0xE2, b"ICC_PROFILE\0\1\1" + b"\xff\xd9" * 32000)] * 3,
    ]
    written = b"".join(bytes((0xFF, 0xFF, kind)) + struct.pack(">H", len(b) + 2) + b for kind, b in segments)
    data = plain[:2] + written + plain[2:]
    assert np.array_equal(decode(data, name="f").pixels, decode(plain, name="f").pixels)


def test_broken_tiff_tags() -> None:
    tags = {
        258: [8],
        262: [1],
        296: [2, 2, 2],
        270: [7] * 50,
        34665: [99],
        700: [1] * 9,
        278: [40, 40],
        284: [1, 9, 9],
    }
    good = tiff((56, 40), GREY.tobytes(), tags)
    assert np.array_equal(decode(good, name="f").pixels, GREY)
    at = good.index(struct.pack("<HHI", 270, 4, 50)) + 4
    broken = good[:at] + struct.pack("<II", 2**31, 2**31) + good[at + 8 :]
    assert np.array_equal(decode(broken, name="f").pixels, GREY)


def test_bigtiff() -> None:
    data = tiff((56, 40), GREY.tobytes(), {258: [8], 262: [1], 274: [3]}, big=True)
    assert np.array_equal(decode(data, name="f").pixels, np.rot90(GREY, 2))


def test_many_samples_per_pixel_are_refused_without_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    data = tiff((4, 1), bytes(32), {258: [8] * 8, 262: [1], 277: [8]})
    assert reason(data) == "8 samples per pixel are neither grey nor a colour"
    assert not caplog.records


def test_tags_read_as_one_value_are_those_that_pillow_warns_about() -> None:
    single = {tag for tag in module._TIFF_TAGS if TiffTags.lookup(tag).length == 1}
    assert {256, 257, 259, 277, 278} <= single
    assert not {258, 273, 279, 320, 324} & single


# Sizes --------------------------------------------------------------------------------------------------

HUGE = {
    "PNG": png((60000, 60000), 8, 2, b""),
    "GIF": b"GIF89a"
    + struct.pack("<2H3B", 60000, 60000, 0, 0, 0)
    + b","
    + struct.pack("<4HB", 0, 0, 1, 1, 0)
    + b"\2\0;",
    "GIF frame": (
        b"GIF89a"
        + struct.pack("<2H3B", 1, 1, 0, 0, 0)
        + b"!\xf9\4\x08\0\0\0\0,"
        + struct.pack("<4HB", 9, 9, 60000, 60000, 0)
    )
    + b"\2\0;",
    "BMP": b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHH6I", 40, 60000, 60000, 1, 24, *[0] * 6),
    "WEBP": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\x5f\xea\0" * 2,
    "TIFF": tiff((60000, 60000), b"", {258: [8], 262: [1]}),
    "JPEG": b"\xff\xd8\xff\xc0" + struct.pack(">HB2HB9B", 17, 8, 60000, 60000, 3, *[1, 17, 0] * 3) + b"\xff\xda\0\0",
}


@pytest.mark.parametrize("kind", HUGE)
def test_huge_headers_cost_nothing(kind: str) -> None:
    started = time.perf_counter()
    expected = "far too many pixels" if kind == "WEBP" else "pixels are more than the limit of 89,478,485"
    assert reason(HUGE[kind]).endswith(expected)
    assert time.perf_counter() - started < 2


def test_limits() -> None:
    data = SAMPLES["PNG"]
    assert reason(data, limits=Limits(max_pixels=56 * 40 - 1)) == "56x40 pixels are more than the limit of 2,239"
    assert "more than the limit of 20" in reason(data, limits=Limits(max_bytes=20))
    assert decode(data, name="f", limits=Limits(len(data), 56 * 40)).width == 56


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_no_warning_above_pillows_threshold(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(GREY, kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)
    if kind == "TIFF":
        assert reason(data) == "56x40 pixels are more than the limit of 1,500"
    else:
        assert decode(data, name="f").width == 56


# Threads ------------------------------------------------------------------------------------------------


def test_many_threads_agree_and_leave_no_trace() -> None:
    before = (list(warnings.filters), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    expected = {name: decode(data, name=name).pixels for name, data in SAMPLES.items()}
    with ThreadPoolExecutor(8) as pool:
        names = list(SAMPLES) * 8
        for name, decoded in zip(names, pool.map(lambda n: decode(SAMPLES[n], name=n), names), strict=True):
            assert np.array_equal(decoded.pixels, expected[name])
    assert before == (list(warnings.filters), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


# Files --------------------------------------------------------------------------------------------------


def file_reason(path: Path, **options: Any) -> str:
    with pytest.raises(DecodeError) as caught:
        read_regular(path, **options)
    assert caught.value.name == str(path)
    return caught.value.reason


def test_read_regular(tmp_path: Path) -> None:
    path = tmp_path / "a picture.png"
    path.write_bytes(SAMPLES["PNG"])
    assert read_regular(path) == read_regular(path, root=tmp_path) == SAMPLES["PNG"]
    assert file_reason(tmp_path / "none.png") == "there is no such file"
    assert file_reason(path / "below") == "there is no such file"
    assert file_reason(tmp_path).startswith("a folder")
    assert "null" in file_reason(tmp_path / "a\0b")
    (tmp_path / "empty").touch()
    assert read_regular(tmp_path / "empty") == b""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_permission_denied(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    path.chmod(0)
    assert file_reason(path) == "permission denied"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pipe.jpg"
    os.mkfifo(path)
    assert file_reason(path) == "a pipe, not a regular file"

    regular = os.stat_result((stat.S_IFREG, *[0] * 9))
    monkeypatch.setattr(Path, "stat", lambda self, **_: regular)  # the pipe comes after the first look
    reasons: list[str] = []
    thread = threading.Thread(target=lambda: reasons.append(file_reason(path)), daemon=True)
    thread.start()
    thread.join(5)
    assert reasons == ["a pipe, not a regular file"]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no sockets with names here")
def test_a_socket_or_device_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert file_reason(tmp_path / "s") == "a socket, not a regular file"
    assert file_reason(Path(os.devnull)) == "a device, not a regular file"


def link(path: Path, target: Path) -> Path:
    try:
        path.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        pytest.skip("links are not allowed here")
    return path


def test_links_and_the_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "class").mkdir(parents=True)
    outside.mkdir()
    for folder in (root, outside):
        (folder / "a.png").write_bytes(b"data")
    inner, outer = link(root / "class" / "in.png", root / "a.png"), link(root / "out.png", outside / "a.png")
    folder = link(root / "folder", outside)
    assert read_regular(inner, root=root) == b"data"
    assert read_regular(outer) == b"data"
    for path in (outer, folder / "a.png", root / ".." / "outside" / "a.png"):
        assert file_reason(path, root=root) == f"its real path lies outside of {root}"
    assert read_regular(link(tmp_path / "alias", root) / "a.png", root=tmp_path / "alias") == b"data"
    loop = link(root / "loop", root / "loop")
    assert file_reason(loop) == file_reason(loop, root=root) == "a link that leads to itself"
    assert file_reason(link(root / "dangling", root / "nothing"), root=root) == "there is no such file"


def test_the_byte_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(1000))
    assert len(read_regular(path, limits=Limits(max_bytes=1000))) == 1000
    assert file_reason(path, limits=Limits(max_bytes=999)) == "1,000 bytes are more than the limit of 999"

    small = os.stat_result((stat.S_IFREG, *[0] * 5, 10, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: small)  # the file grows after it was measured
    assert len(read_regular(path, limits=Limits(max_bytes=1000))) == 1000
    assert "more than the limit of 500" in file_reason(path, limits=Limits(max_bytes=500))


# Real pictures ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not (PHOTOS / "clothing" / "train").is_dir(), reason="needs ../shared/data/clothing")
def test_real_photos_are_what_pillow_gives() -> None:
    paths = sorted(p for p in (PHOTOS / "clothing" / "train").rglob("*") if p.suffix.lower() in EXTENSIONS)[::40]
    paths += sorted((PHOTOS / "imagenet-100").glob("*.JPEG"))[::10]
    assert len(paths) > 20
    for path in paths:
        with Image.open(path) as image:
            turned = image.getexif().get(274, 1) != 1
            plain = np.asarray(image.convert(image.mode if image.mode == "L" else "RGB"))
        decoded = decode(read_regular(path, root=PHOTOS), name=path.name)
        assert turned or np.array_equal(decoded.pixels, plain), path
        reduced = decode(read_regular(path), name=path.name, min_size=(64, 64))
        assert min(reduced.pixels.shape[:2]) >= 128
        assert min(plain.shape[:2]) < 256 or reduced.pixels.size < decoded.pixels.size
