"""JPEGs with damage that libjpeg only warns of: it is told, and whole ones have the pixels that Pillow gives."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import RGB, SAMPLES, encode, exif, reason
from PIL import Image

from hubel.data.dataset import open_dataset
from hubel.data.decode import Decoded, decode
from hubel.data.jpeg_holes import has_hole

pytest.importorskip("simplejpeg")
decode_module = import_module("hubel.data.decode")

NOISE = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
FILES = {
    "colour": encode(NOISE, "JPEG"),
    "grey": encode(NOISE[..., 0], "JPEG"),
    "progressive": encode(NOISE, "JPEG", progressive=True),
    "CMYK": encode(Image.fromarray(NOISE).convert("CMYK"), "JPEG"),
    "turned": encode(NOISE, "JPEG", exif=exif(6)),
}


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2] + b"\xff\xd9"


def zeroed(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[: middle - 2048] + bytes(4096) + data[middle + 2048 :]


def by_pillow(data: bytes, min_size: tuple[int, int] | None = None) -> Decoded:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode_module, "simplejpeg", None)
        return decode(data, name="f", min_size=min_size)


@pytest.mark.parametrize("min_size", [None, (32, 32)])
@pytest.mark.parametrize("harm", [cut, zeroed])
@pytest.mark.parametrize("kind", FILES)
def test_damage_is_told_at_any_scale(kind: str, harm: object, min_size: tuple[int, int] | None) -> None:
    whole, harmed = FILES[kind], (cut if harm is cut else zeroed)(FILES[kind])
    assert decode(whole, name="f", min_size=min_size).damage == ""
    found = decode(harmed, name="f", min_size=min_size)
    assert found.damage.startswith("damaged JPEG data (")
    assert np.array_equal(found.pixels, by_pillow(harmed, min_size).pixels)
    assert by_pillow(harmed, min_size).damage == ""


def photo(**options: object) -> bytes:
    """A JPEG with a plain area of 600x400 pixels between textured ones."""
    pixels = np.full((600, 600, 3), 128, np.uint8)
    pixels[:100] = pixels[500:] = np.random.default_rng(1).integers(0, 255, (100, 600, 3))
    return encode(pixels, "JPEG", **options)


def segments(data: bytes) -> int:
    """The position of the scan's data."""
    at = 2
    while data[at + 1] != 0xDA:
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return at + 2 + int.from_bytes(data[at + 2 : at + 4])


@pytest.mark.parametrize("kind", ["colour", "grey", "turned"])
@pytest.mark.parametrize("at", [0.1, 0.33, 0.5, 0.9])
def test_a_hole_that_libjpeg_does_not_notice(kind: str, at: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it happens once in hundreds of holes: here by a libjpeg that never warns."""
    quiet = decode_module.simplejpeg.decode_jpeg
    monkeypatch.setattr(
        decode_module.simplejpeg, "decode_jpeg", lambda *args, strict=True, **named: quiet(*args, strict=False, **named)
    )
    whole = FILES[kind]
    start = round(segments(whole) + at * (len(whole) - segments(whole) - 600))
    harmed = whole[:start] + bytes(511) + whole[start + 511 :]
    assert decode(whole, name="f").damage == ""
    assert decode(harmed, name="f").damage == "damaged JPEG data (a run of zero bytes)"
    small = whole[:start] + bytes(100) + whole[start + 100 :]
    assert decode(small, name="f").damage == ""


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}, {"quality": 100}])
def test_plain_areas_are_no_holes(options: dict[str, object]) -> None:
    plain = encode(np.full((3000, 3000, 3), 255, np.uint8), "JPEG", **options)
    assert not has_hole(plain)
    assert not has_hole(photo(**options))
    assert (b"\0" * 256 in plain) == bool(options.keys() & {"optimize", "progressive"})
    for cut_at in range(0, 700, 7):
        has_hole(plain[:cut_at] + bytes(300))


def test_a_file_that_ends_early_is_refused_as_before() -> None:
    assert reason(FILES["colour"][:-5000]) == "truncated or damaged JPEG data"


@pytest.mark.parametrize("name", SAMPLES)
def test_whole_files_have_no_damage(name: str) -> None:
    assert decode(SAMPLES[name], name=name).damage == ""


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 120), st.integers(1, 120)),
    st.none() | st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.sampled_from(range(1, 9)),
    st.sampled_from(["4:4:4", "4:2:2", "4:2:0", "grey", "RGB"]),
    st.booleans(),
)
def test_the_pixels_are_those_of_pillow(
    size: tuple[int, int], min_size: tuple[int, int] | None, turn: int, colours: str, progressive: bool
) -> None:
    image = Image.fromarray(NOISE).resize(size)
    options = {"grey": {}, "RGB": {"keep_rgb": True}}.get(colours, {"subsampling": colours})
    image = image.convert("L") if colours == "grey" else image
    data = encode(image, "JPEG", quality=90, progressive=progressive, exif=exif(turn), **options)
    found, expected = decode(data, name="f", min_size=min_size), by_pillow(data, min_size)
    assert np.array_equal(found.pixels, expected.pixels)
    assert not found.pixels.flags.writeable
    assert (found.width, found.height, found.mode) == (expected.width, expected.height, expected.mode)


def test_subsampling_that_the_strict_reader_does_not_know_is_no_damage() -> None:
    data = bytearray(SAMPLES["JPEG"])
    at = data.index(b"\xff\xc0") + 11
    assert data[at] == 0x22  # of the luminance: the chrominance has a half of its resolution, 4:2:0
    data[at] = 0x32
    assert decode(bytes(data), name="f").damage == by_pillow(bytes(data)).damage == ""


def test_damaged_photos_are_left_out_of_a_dataset_by_name(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(cut(FILES["colour"]) if name == "a/2.jpg" else encode(RGB, "JPEG"))
    ((path, why),) = open_dataset(tmp_path).index.unreadable()
    assert (path, why.partition(" (")[0]) == ("a/2.jpg", "damaged JPEG data")
