"""The lesson `seeing`: its network, and what it finds in a photo."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hubel.core.errors import HubelError
from hubel.teach.course.lesson import lesson_data
from hubel.teach.course.lessons.seeing.lesson import LESSON, look_into


def sent(side: int = 64) -> str:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def test_the_network_is_trained() -> None:
    data: Any = lesson_data(LESSON)
    assert data["accuracy"] > 0.97
    assert np.shape(data["weights"]["patterns"])[-2:] == (3, 3)
    assert np.shape(data["weights"]["output"]) == (2, 8)


@pytest.mark.parametrize("photo", [None, 3, "no base64!", "AAAA", sent(1200)])
def test_photos_that_cannot_be_read(photo: Any) -> None:
    with pytest.raises(HubelError):
        next(look_into({"photo": photo}))


@pytest.mark.slow
def test_a_photo_is_looked_at() -> None:
    from torch import nn

    from hubel.explain import explain
    from hubel.inference.predictor import load_predictor

    rows = list(look_into({"photo": sent()}))
    kinds = [row["kind"] for row in rows]
    assert list(dict.fromkeys(kinds)) == ["classes", "input", "filters", "maps", "gradcam", "occlusion"]
    predictor = load_predictor("efficientnet_lite0", device="cpu")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(sent()))))
    (found,) = explain(predictor, [pixels], method="gradcam")
    row = rows[kinds.index("gradcam")]
    assert (row["label"], row["largest"]) == (found.label, pytest.approx(float(found.map.max())))
    blocks = np.clip(found.map, 0, None).reshape(56, 4, 56, 4).mean((1, 3)) / found.map.max()
    shown = np.frombuffer(base64.b64decode(row["map"]["bytes"]), np.uint8).reshape(56, 56)
    assert np.abs(shown / 255 - blocks).max() < 0.003
    first = next(layer for layer in predictor.network.modules() if isinstance(layer, nn.Conv2d))
    assert len(rows[kinds.index("filters")]["pictures"]) == first.out_channels == 32
    with pytest.raises(HubelError, match="did you mean"):
        list(look_into({"photo": sent(), "label": "goldfisch"}))
