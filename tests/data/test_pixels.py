"""Images as Python objects: each kind gives the pixels of its file, and one image is one image."""

from __future__ import annotations

from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from picture_files import SAMPLES, encode, exif
from PIL import Image

from hubel.core.errors import DataError, DecodeError
from hubel.data.decode import decode
from hubel.data.inputs import as_inputs
from hubel.data.pixels import one_image

RGB = np.random.default_rng(0).integers(0, 256, (6, 7, 3), np.uint8)
GREY = RGB[..., 0]
CHW = torch.from_numpy(RGB).movedim(2, 0)


def pixels(images: Any) -> list[NDArray[np.uint8]]:
    return [image.decode().pixels for image in as_inputs(images)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (RGB, [RGB]),
        (RGB / 255, [RGB]),
        (RGB[..., :1], [GREY]),
        (RGB[None], [RGB]),
        (np.stack([RGB, RGB]), [RGB, RGB]),
        (np.stack([GREY, GREY, GREY]), [GREY, GREY, GREY]),
        (np.stack([GREY] * 2)[..., None], [GREY, GREY]),
        ([GREY], [GREY]),
        ([RGB, RGB[:3, :5], GREY], [RGB, RGB[:3, :5], GREY]),
        (np.moveaxis(RGB, 2, 0)[None], [RGB]),
        ([np.moveaxis(RGB, 2, 0)], [RGB]),
        (GREY.tolist() and [GREY.tolist()], [GREY]),
        (CHW / 255, [RGB]),
        ((CHW / 255).requires_grad_(), [RGB]),
        ([CHW], [RGB]),
        (CHW[None], [RGB]),
        (CHW[:1], [GREY]),
        (torch.from_numpy(np.stack([GREY] * 5)), [GREY] * 5),
        (torch.from_numpy(RGB), [RGB]),
        (Image.fromarray(RGB), [RGB]),
        ([Image.fromarray(RGB), GREY, CHW], [RGB, GREY, RGB]),
        (encode(RGB, "PNG"), [RGB]),
        (bytearray(encode(RGB, "PNG")), [RGB]),
        (BytesIO(encode(RGB, "PNG")), [RGB]),
        ([encode(RGB, "PNG"), BytesIO(encode(GREY, "PNG"))], [RGB, GREY]),
        ((image for image in (RGB, GREY)), [RGB, GREY]),
        (np.dstack([RGB, np.full((6, 7), 255, np.uint8)]), [RGB]),
        (np.dstack([RGB, np.zeros((6, 7), np.uint8)])[None], [np.full_like(RGB, 255)]),
        ([], []),
        (RGB[None][:0], []),
    ],
)
def test_each_kind_gives_its_pixels(given: Any, expected: list[NDArray[np.uint8]]) -> None:
    found = pixels(given)
    assert len(found) == len(expected)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_objects_in_an_array() -> None:
    images = np.empty(3, object)
    images[:] = [RGB, Image.fromarray(GREY), encode(RGB, "PNG")]
    assert [one.shape for one in pixels(images)] == [RGB.shape, GREY.shape, RGB.shape]


@pytest.mark.parametrize("kind", [kind for kind in SAMPLES if "CMYK" not in kind])
def test_a_pil_image_is_its_file(kind: str) -> None:
    (found,) = pixels(Image.open(BytesIO(SAMPLES[kind])))
    assert np.array_equal(found, decode(SAMPLES[kind], name=kind).pixels)


def test_a_palette_and_a_turned_photo() -> None:
    palette = Image.fromarray(RGB).quantize(8)
    assert np.array_equal(pixels(palette)[0], np.asarray(palette.convert("RGB")))
    turned = encode(RGB, "JPEG", exif=exif(6))
    assert np.array_equal(pixels(Image.open(BytesIO(turned)))[0], decode(turned, name="").pixels)
    assert pixels(turned)[0].shape == (7, 6, 3)


def test_paths_among_others(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(RGB, "PNG"))
    found = pixels([tmp_path / "a.png", GREY, str(tmp_path / "a.png")])
    assert [one.shape for one in found] == [RGB.shape, GREY.shape, RGB.shape]
    with (tmp_path / "a.png").open("rb") as file:
        assert np.array_equal(pixels(file)[0], RGB)
    with pytest.raises(DataError, match="no such file or folder"):
        pixels([GREY, tmp_path / "b.png"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (GREY, r"not \(6, 7\); give one grey image as \[image\]"),
        (CHW, r"one image in colour or 3 grey ones; give \[x\] for one image"),
        ([torch.zeros(3, 5, 3)], "has its colours first or last"),
        (torch.zeros(2, 3, 5, 3), "has its colours first or last"),
        (CHW.float(), "floats lie between 0 and 1"),
        (7, "images is int; an image is a path, an array"),
        (None, "images is NoneType"),
        ([object()], r"images\[0\] is object; an image is a path"),
        ([RGB, None], r"images\[1\] is NoneType"),
        (StringIO("text"), "opened as text; open it for reading bytes"),
        ([[[1, 2], [3]]], r"images\[0\] is a list whose parts have different sizes"),
        ([RGB[None]], r"images\[0\] has the shape \(1, 6, 7, 3\)"),
        (torch.zeros(3, 6, 7).to("meta"), "a tensor that is no array of plain numbers: Cannot copy out of meta"),
        ([torch.zeros(3, 6, 7).to_sparse()], "a tensor that is no array of plain numbers: can't convert Sparse"),
    ],
)
def test_what_is_no_image(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pixels(given)


def test_pil_images_without_pixels() -> None:
    closed = Image.open(BytesIO(encode(RGB, "PNG")))
    closed.close()
    for given, reason in ((Image.new("RGB", (0, 8)), "an image without pixels, 0x8"), (closed, "closed")):
        with pytest.raises(DecodeError, match=reason):
            one_image(given, "images[0]")


def test_bytes_that_are_no_image() -> None:
    with pytest.raises(DecodeError, match=r"images\[0\]: not an image"):
        pixels(b"nothing")
    with pytest.raises(DecodeError, match="no defined white level"):
        pixels(Image.new("F", (3, 3)))
