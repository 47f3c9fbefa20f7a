"""The pixels of every format at full and reduced scale; files that are huge; threads; real photos."""

from __future__ import annotations

import io
import struct
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from picture_files import GREY, SAMPLES, assert_near, encode, exif, over_white, png, reason, tiff
from PIL import Image, ImageFile

from hubel.data import containers
from hubel.data.containers import EXTENSIONS, format_of
from hubel.data.decode import decode
from hubel.data.reading import Limits, read_regular

PHOTOS = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_decodes_as_pillow_does(name: str) -> None:
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


# Made by pillow-heif 1.8.1 without loss: four blocks of 32x24 pixels, in turned.heic with orientation 6.
HEIF_TURNED, HEIF_ALPHA = (Path(__file__).with_name(name).read_bytes() for name in ("turned.heic", "alpha.heic"))
_COLOURS = np.array([[[200, 30, 40], [20, 180, 60]], [[30, 40, 220], [240, 240, 10]]])
_ALPHAS = np.array([[255, 128], [0, 64]])


def blocks(values: NDArray[Any]) -> NDArray[Any]:
    return values.repeat(24, 0).repeat(32, 1)


def test_heif() -> None:
    pytest.importorskip("pi_heif")
    turned, alpha = decode(HEIF_TURNED, name="f"), decode(HEIF_ALPHA, name="f")
    assert (turned.format, turned.mode, turned.width, turned.height) == ("HEIF", "RGB", 48, 64)
    assert np.array_equal(turned.pixels, np.rot90(blocks(_COLOURS), -1))
    assert_near(alpha, over_white(blocks(_COLOURS), blocks(_ALPHAS)))
    for cut in range(1, len(HEIF_ALPHA), 40):
        assert "damaged" in reason(HEIF_ALPHA[:-cut])


def test_the_metadata_of_heif_is_detached() -> None:
    """pi-heif 1.4.0 ends the process on some that is damaged."""
    reduce = containers.CONTAINERS["HEIF"].reduce
    assert HEIF_TURNED.count(b"cdsc") == 1
    assert reduce(HEIF_TURNED) == (HEIF_TURNED.replace(b"cdsc", b"free"), b"")
    pixels = struct.pack(">I4sQ", 1, b"mdat", 20) + b"cdsc"  # a box of 64 bits
    assert reduce(pixels + HEIF_TURNED)[0] == pixels + HEIF_TURNED.replace(b"cdsc", b"free")
    with pytest.raises(EOFError):
        reduce(pixels)


def test_heif_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif.as_plugin", None)
    assert reason(HEIF_TURNED) == "HEIC and HEIF images need the package pi-heif: pip install pi-heif"


def test_avif_is_told_from_heif_by_its_brands() -> None:
    brands = b"\0\0\0\x20ftypmif1\0\0\0\0mif1"
    assert format_of(brands + b"avifmiaf") == "AVIF"
    assert format_of(brands + b"heicmiaf") == "HEIF"
    assert format_of(SAMPLES["AVIF"].replace(b"ftypavif", b"ftypmif1")) == "AVIF"
    assert format_of(b"\0\0\0\x20ftypqt  ") is None


@pytest.mark.parametrize(
    ("head", "white"), [(b"P5 2 2 255\n", 255), (b"P5\n# by hand\n2 2\n15\n", 15), (b"P2 2 2 100\n", 100)]
)
def test_portable_grey(head: bytes, white: int) -> None:
    levels = [[0, 3], [10, white]]
    values = [level for row in levels for level in row]
    data = head + (" ".join(map(str, values)).encode() if head[:2] == b"P2" else bytes(values))
    assert_near(decode(data, name="f"), np.array(levels) * 255 / white)


def test_portable_grey_of_sixteen_bits() -> None:
    levels = (np.arange(12, dtype=np.uint16) * 5000).reshape(3, 4)
    assert_near(decode(b"P5 4 3 65535\n" + levels.astype(">u2").tobytes(), name="f"), levels / 257)


# Reduced scale ------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(1, 150), st.integers(1, 150)),
    st.sampled_from(range(1, 9)),
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
    limit = "210,000,000" if kind == "JPEG" else "89,478,485"
    expected = "far too many pixels" if kind == "WEBP" else f"pixels are more than the limit of {limit}"
    assert reason(HUGE[kind]).endswith(expected)
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("size", [(12000, 9000), (16320, 12240)])
def test_photos_of_108_and_200_megapixels_are_decoded_at_reduced_scale(size: tuple[int, int]) -> None:
    encoded = encode(Image.new("L", size, 120), "JPEG", quality=30)
    for min_size in (None, (9999, 9999), (224, 224)):
        found = decode(encoded, name="f", min_size=min_size)
        assert (found.width, found.height) == size
        factor = 8 if min_size == (224, 224) else 2
        assert found.pixels.shape == (size[1] // factor, size[0] // factor)
        assert np.ptp(found.pixels) == 0


def test_a_jpeg_beyond_the_limit_of_its_pixels_is_reduced() -> None:
    levels = np.kron(np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8), np.ones((16, 32), np.uint8))
    data = encode(levels, "JPEG", quality=100, exif=exif(6))
    for factor in (1, 2, 4, 8):
        found = decode(data, name="f", limits=Limits(max_pixels=128 * 256 // factor**2))
        assert (found.width, found.height) == (128, 256)
        assert_near(found, np.rot90(levels[::factor, ::factor], -1), 3)
    assert "pixels are more than the limit of 32,767" in reason(data, limits=Limits(max_jpeg_pixels=128 * 256 - 1))


def test_a_few_bytes_cannot_claim_81_megapixels() -> None:
    data = bytearray(SAMPLES["JPEG"])
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">2H", 9000, 9000)
    assert "bytes cannot hold 9000x9000 pixels" in reason(bytes(data))
    assert "bytes cannot hold 9000x9000 pixels" in reason(bytes(data), min_size=(64, 64))


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


# Real pictures ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not (PHOTOS / "clothing" / "train").is_dir(), reason="needs ../shared/data/clothing")
def test_real_photos_decode_as_pillow_does() -> None:
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
