"""The pixels of every colour mode."""

from __future__ import annotations

import io
import struct
from importlib import import_module

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import ALPHA, GREY, RGB, Pixels, assert_near, encode, over_white, png, reason, tiff
from PIL import Image

from hubel.data.decode import decode

decode_module = import_module("hubel.data.decode")


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
    assert np.asarray(decode_module._flat(hues)).tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]


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
