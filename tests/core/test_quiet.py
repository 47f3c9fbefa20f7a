"""Libraries do not print into a command's output."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from hubel.core.errors import DecodeError
from hubel.data.decode import decode


@pytest.mark.skipif(sys.platform == "win32", reason="libtiff is inside of Pillow's own library there")
def test_a_damaged_tiff_file_is_an_error_and_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "TIFF", compression="tiff_lzw")
    data = bytearray(buffer.getvalue())
    data[60:90] = b"\xff" * 30
    with pytest.raises(DecodeError, match="decoder error"):
        decode(bytes(data), name="a.tif")
    assert capfd.readouterr().err == ""
