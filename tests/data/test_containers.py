"""Containers reduced to their first picture: orientation, damage, metadata that must not matter."""

from __future__ import annotations

import io
import itertools
import pickle
import struct
import zlib
from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import GREY, RGB, SAMPLES, Pixels, encode, exif, png, reason, tiff
from PIL import Image, TiffTags

from hubel.core.errors import DecodeError
from hubel.data import containers
from hubel.data.containers import EXTENSIONS, FORMATS
from hubel.data.decode import decode
from hubel.data.reading import Limits, one_line

decode_module = import_module("hubel.data.decode")


def test_formats_and_extensions() -> None:
    assert FORMATS == ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF", "PPM")
    suffixes = "jpg jpeg jpe jfif png webp bmp dib tif tiff gif avif heic heif hif ppm pgm pbm pnm"
    assert sorted(EXTENSIONS) == sorted(f".{suffix}" for suffix in suffixes.split())


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
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "LZW TIFF", "AVIF"])
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
    assert containers.orientation_of(b"Exif\0\0" + head + block) in range(1, 9)


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
            assert error.reason.startswith(("truncated", "damaged"))  # noqa: PT017
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
        assert reason(data) == "not an image in one of the formats JPEG, PNG, WEBP, BMP, TIFF, GIF, AVIF, HEIF, PPM"


@pytest.mark.parametrize(
    "magic", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0+", b"RIFF"]
)
def test_only_the_magic_is_right(magic: bytes) -> None:
    for tail in (b"", b"a line\nof text" * 20, bytes(300), b"\xff" * 300):
        reason(magic + tail)


def test_a_gif_without_a_picture() -> None:
    assert "without any image" in reason(b"GIF89a" + struct.pack("<2H3B", 9, 9, 0, 0, 0) + b";")


def test_the_error_names_the_file_and_travels_between_processes() -> None:
    with pytest.raises(DecodeError, match=r"^a/b\.jpg: the file is empty$") as caught:
        decode(b"", name="a/b.jpg")
    assert pickle.loads(pickle.dumps(caught.value)).reason == "the file is empty"


def test_reasons_are_one_line_without_addresses() -> None:
    text = one_line("cannot identify <_io.BytesIO object at 0x7f00aa>\nreally\x1b[31m")
    assert text == "cannot identify it really [31m"
    assert decode_module._reason(MemoryError(), "PNG") == "not enough memory to decode it"
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
    single = {tag for tag in containers._TIFF_TAGS if TiffTags.lookup(tag).length == 1}
    assert {256, 257, 259, 277, 278} <= single
    assert not {258, 273, 279, 320, 324} & single
