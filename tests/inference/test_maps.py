"""The class of each pixel of an image, beside torch's interpolation of the scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from hubel.data.annotation import IGNORED
from hubel.data.preprocess import Preprocess
from hubel.inference import maps
from hubel.inference.maps import decode_maps

SIDES = st.integers(1, 40)


@given(SIDES, SIDES, SIDES, SIDES, st.integers(2, 5))
def test_scores_are_interpolated_as_torch_does(h: int, w: int, height: int, width: int, classes: int) -> None:
    scores = np.random.default_rng(h * w + classes).random((classes, h, w)).astype(np.float32)
    annotation, mean = decode_maps(scores, Preprocess(h, w), (height, width))
    whole = F.interpolate(torch.from_numpy(scores)[None], (height, width), mode="bilinear", align_corners=False)[0]
    best = whole.max(0).values.numpy()
    assert annotation.mask is not None
    taken = np.take_along_axis(whole.numpy(), annotation.mask[None].astype(np.int64), 0)[0]
    assert np.allclose(taken, best, atol=1e-5), "two classes may be equal, but no better one is left out"
    assert mean == pytest.approx(best.mean(), abs=1e-5)


def test_a_large_photo_is_decoded_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
    whole, score = decode_maps(scores, Preprocess(8, 8), (50, 30))
    monkeypatch.setattr(maps, "_VALUES_AT_ONCE", 500)
    bands, same = decode_maps(scores, Preprocess(8, 8), (50, 30))
    assert whole.mask is not None
    assert bands.mask is not None
    assert (bands.mask == whole.mask).all()
    assert same == pytest.approx(score)


def test_the_padding_is_no_part_of_the_mask() -> None:
    # A photo twice as wide as high in a square input: rows 2 to 5 show it, and its left half is of class 1.
    scores = np.zeros((3, 8, 8), np.float32)
    scores[2] = 0.5  # the padding
    scores[:, 2:6] = 0
    scores[1, 2:6, :4] = 1
    scores[0, 2:6, 4:] = 1
    found, _ = decode_maps(scores, Preprocess(8, 8, resize="pad"), (20, 40))
    assert found.mask is not None
    assert (found.mask[2:-2, :18] == 1).all()
    assert (found.mask[2:-2, 22:] == 0).all()


def test_what_a_centre_crop_does_not_show_is_ignored() -> None:
    found, mean = decode_maps(np.ones((1, 8, 8), np.float32), Preprocess(8, 8, resize="crop"), (8, 16))
    assert found.mask is not None
    assert (found.mask[:, 4:12] == 0).all()
    assert (np.delete(found.mask, range(4, 12), axis=1) == IGNORED).all()
    assert mean == pytest.approx(1)
