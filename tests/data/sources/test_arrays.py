"""Images in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.data.index import scan
from hubel.data.pixels import as_pixels
from hubel.data.sources import ArraySource, open_source

GREY = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int64, np.uint64])
def test_integers_stay(dtype: type) -> None:
    assert np.array_equal(as_pixels(GREY.astype(dtype)), GREY)
    assert as_pixels(GREY.astype(dtype)).dtype == np.uint8


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_reach_every_level(dtype: type) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert np.array_equal(as_pixels((levels / 255).astype(dtype)), levels)


def test_booleans_are_black_and_white() -> None:
    assert np.array_equal(as_pixels(GREY > 5), (GREY > 5) * np.uint8(255))


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.floats(0, 1)))
def test_floats_are_rounded(values: NDArray[np.float64]) -> None:
    assert np.abs(as_pixels(values) - values * 255).max() <= 0.5 + 1e-9


def test_shapes() -> None:
    assert as_pixels(GREY[..., None]).shape == (2, 3, 4)
    assert as_pixels(np.stack([GREY] * 3, axis=3)).shape == (2, 3, 4, 3)
    assert as_pixels(GREY.tolist()).shape == (2, 3, 4)
    assert as_pixels(np.zeros((0, 3, 4), np.float32)).shape == (0, 3, 4)


@pytest.mark.parametrize(
    "shape", [(), (3,), (3, 4), (2, 3, 4, 2), (2, 3, 4, 4), (1, 2, 3, 4, 3), (2, 0, 4), (2, 3, 0, 3)]
)
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="images have the shape"):
        as_pixels(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[[0.0, 1.5]]], "between 0 and 1, not 0 to 1.5; divide by the maximum"),
        ([[[-0.5, 1.0]]], "not -0.5 to 1"),
        ([[[0.0, np.nan]]], "finite numbers"),
        ([[[np.inf, 0.0]]], "finite numbers"),
        ([[[0, 256]]], "between 0 and 255, not 0 to 256"),
        ([[[-1, 3]]], "not -1 to 3"),
        ([[["a", "b"]]], "pixels are numbers, not <U1"),
        ([[[1j]]], "pixels are numbers, not complex128"),
        ([[[None]]], "pixels are numbers, not object"),
        ([[[1, 2]], [[1]]], "different sizes"),
    ],
)
def test_other_values_are_refused(values: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_pixels(values)


def test_rows() -> None:
    source = open_source((GREY, ["dog", "cat"], [1, 3]))
    listing = source.listing()
    assert source.location == ""
    assert [listing.paths[i] for i in range(2)] == ["arrays[0]", "arrays[1]"]
    assert [listing.labels[code] for code in listing.label] == ["dog", "cat"]
    assert listing.split.tolist() == [1, 3]
    assert np.array_equal(source.read(1, ""), GREY[1])


def test_labels_may_be_numbers_or_absent() -> None:
    assert ArraySource(GREY, np.array([7, 2])).listing().labels == ("7", "2")
    assert ArraySource(GREY).listing().label.tolist() == [-1, -1]
    assert ArraySource(GREY, [None, "x"]).listing().label.tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("labels", "splits", "message"),
    [
        (["a"], None, r"2 images need 2 labels in one dimension, not an array of shape \(1,\)"),
        (np.eye(2), None, r"labels in one dimension, not an array of shape \(2, 2\)"),
        ([["a"], ["b", "c"]], None, "b, c are several labels; expected one, or --task multi_label"),
        ("ab", None, "labels in one dimension, not str"),
        ({"a", "b"}, None, "labels in one dimension, not set"),
        (None, [1, 2, 3], "2 images need 2 splits"),
        (None, [0, 4], "splits are numbers from 0 to 3"),
        (None, [-1, 0], "splits are numbers"),
        (None, [300, 0], "splits are numbers"),
    ],
)
def test_labels_and_splits_that_do_not_fit(labels: Any, splits: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ArraySource(GREY, labels, splits)


def test_facts() -> None:
    index = scan(ArraySource(np.stack([GREY] * 3, axis=3), ["a", "b"]))
    assert index.width.tolist() == [4, 4]
    assert index.height.tolist() == [3, 3]
    assert index.channels.tolist() == [3, 3]
    assert index.size.tolist() == [36, 36]
