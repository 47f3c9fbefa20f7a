"""The estimate of decoding memory from the header is never too low."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from colours import picture
from PIL import Image

from hubel.core.errors import DecodeError
from hubel.data.preprocess import Preprocess
from hubel.studio.decode_memory import bytes_per_pixel
from hubel.studio.uploads import UploadDecoder


def jpeg(size: tuple[int, int], mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, "JPEG", **options)
    return file.getvalue()


SIZES = [(100, 100), (448, 448), (896, 900), (1792, 1791), (1792, 1792), (5000, 900), (600, 9000)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [1, 100, 224])
def test_the_reduced_scale_is_that_of_pillow(size: tuple[int, int], side: int) -> None:
    data = jpeg(size)
    image = Image.open(io.BytesIO(data))
    image.draft(None, (2 * side, 2 * side))
    scale = round(size[0] / image.width)
    assert bytes_per_pixel(data, (side, side)) == 14 / scale**2
    image.close()


def test_files_whose_coefficients_are_kept_cost_more() -> None:
    large = (2000, 2000)
    assert bytes_per_pixel(jpeg(large, progressive=True), (224, 224)) == 6 + 14 / 16
    assert bytes_per_pixel(jpeg(large, "CMYK", progressive=True), (224, 224)) == 8 + 14 / 16
    assert bytes_per_pixel(jpeg(large, "L"), (224, 224)) == 14 / 16
    plain = jpeg(large)
    at = plain.index(b"\xff\xda")
    apart = plain[: at + 4] + b"\x01" + plain[at + 5 :]  # a scan of one colour of three
    assert bytes_per_pixel(apart, (224, 224)) == 8 + 14 / 16
    hidden = b"\xff\xd8\xff\xd0" + plain[2:]  # what stands before the frame is not understood
    for data in (plain[:20], hidden, plain[:at] + plain[at + 2 :], b"\xff\xd8\xff"):
        assert bytes_per_pixel(data, (224, 224)) == 8 + 14


def test_other_formats_have_a_price_each() -> None:
    costs = {kind: bytes_per_pixel(picture(kind=kind), (8, 8)) for kind in ("PNG", "WEBP", "TIFF", "GIF", "BMP")}
    assert costs == {"PNG": 14, "WEBP": 23, "TIFF": 16, "GIF": 14, "BMP": 14}
    assert bytes_per_pixel(b"", (8, 8)) == 14


def test_a_decoder_keeps_within_its_memory() -> None:
    preprocess, decoder = Preprocess(8, 8), UploadDecoder(14 * 10_000)
    found = decoder.decode(picture(size=(125, 80)), preprocess)
    assert (found.pixels.shape, found.size) == ((8, 8, 3), (80, 125))
    with pytest.raises(DecodeError, match="101x100 pixels are more than the limit of 10,000"):
        decoder.decode(picture(size=(101, 100)), preprocess)


def test_large_images_wait_for_each_other_and_small_ones_do_not() -> None:
    preprocess, decoder = Preprocess(8, 8), UploadDecoder(14 * 10_000)
    with decoder._large:
        assert decoder.decode(picture(size=(35, 35)), preprocess).size == (35, 35)
        large = threading.Thread(target=decoder.decode, args=(picture(size=(100, 100)), preprocess))
        large.start()
        large.join(0.1)
        assert large.is_alive()
    large.join(5)
    assert not large.is_alive()
