"""The class of each pixel of an image, beside torch's interpolation of the votes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F

from hubel.data.annotation import IGNORED
from hubel.data.preprocess import Preprocess
from hubel.inference import maps
from hubel.inference.maps import decode_maps

SIDES = st.integers(1, 40)


def nearest(cells: int, pixels: int, tie: float) -> NDArray[np.int64]:
    """Return the cell whose centre is nearest to that of each pixel; ties are broken by the sign of `tie`."""
    return np.floor((np.arange(pixels) + 0.5) * cells / pixels + tie).astype(np.int64).clip(0, cells - 1)


@given(SIDES, SIDES, SIDES, SIDES, st.integers(2, 5))
def test_votes_are_interpolated_as_torch_does(h: int, w: int, height: int, width: int, classes: int) -> None:
    rng = np.random.default_rng(h * w + classes)
    answer = np.stack([rng.integers(0, classes, (h, w)), rng.random((h, w))]).astype(np.float32)
    annotation, mean = decode_maps(answer, Preprocess(h, w), (height, width))
    votes = np.where(np.arange(classes)[:, None, None] == answer[0], answer[1], np.float32(0))
    whole = F.interpolate(torch.from_numpy(votes)[None], (height, width), mode="bilinear", align_corners=False)[0]
    best = whole.max(0).values.numpy()
    assert annotation.mask is not None
    taken = np.take_along_axis(whole.numpy(), annotation.mask[None].astype(np.int64), 0)[0]
    assert np.allclose(taken, best, atol=1e-5), "two classes may be equal, but no better one is left out"
    # Of two cells that are equally near, either may be taken.
    rows, columns = ([nearest(*pair, tie) for tie in (-1e-6, 1e-6)] for pair in ((h, height), (w, width)))
    means = [float(answer[1][np.ix_(one, other)].mean()) for one in rows for other in columns]
    assert any(mean == pytest.approx(each, abs=1e-5) for each in means)


def test_a_large_photo_is_decoded_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    answer = np.stack([rng.integers(0, 3, (8, 8)), rng.random((8, 8))]).astype(np.float32)
    whole, score = decode_maps(answer, Preprocess(8, 8), (50, 30))
    monkeypatch.setattr(maps, "_PIXELS_AT_ONCE", 200)
    bands, same = decode_maps(answer, Preprocess(8, 8), (50, 30))
    assert whole.mask is not None
    assert bands.mask is not None
    assert (bands.mask == whole.mask).all()
    assert same == pytest.approx(score)


def test_the_padding_is_no_part_of_the_mask() -> None:
    # A photo twice as wide as high in a square input: rows 2 to 5 show it, and its left half is of class 1.
    answer = np.ones((2, 8, 8), np.float32)
    answer[:, [0, 1, 6, 7]] = np.array([2, 0.5])[:, None, None]  # the padding
    answer[0, 2:6, 4:] = 0
    found, mean = decode_maps(answer, Preprocess(8, 8, resize="pad"), (20, 40))
    assert found.mask is not None
    assert (found.mask[2:-2, :18] == 1).all()
    assert (found.mask[2:-2, 22:] == 0).all()
    assert mean == pytest.approx(1)


def test_what_a_centre_crop_does_not_show_is_ignored() -> None:
    found, mean = decode_maps(
        np.stack([np.zeros((8, 8)), np.ones((8, 8))]).astype(np.float32), Preprocess(8, 8, resize="crop"), (8, 16)
    )
    assert found.mask is not None
    assert (found.mask[:, 4:12] == 0).all()
    assert (np.delete(found.mask, range(4, 12), axis=1) == IGNORED).all()
    assert mean == pytest.approx(1)
