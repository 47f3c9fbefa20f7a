"""Polygons and run lengths become masks as in COCO's own tools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hubel.core.errors import DataError
from hubel.data.sources.regions import decode_runs, encode_runs, polygon_mask, region_mask, unpack_runs

masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda size: arrays(np.bool_, size))


@given(mask=masks)
def test_run_lengths_keep_a_mask(mask: np.ndarray) -> None:
    written = encode_runs(mask)
    assert written["size"] == list(mask.shape)
    assert (region_mask(written, *mask.shape) == mask).all()
    lengths = unpack_runs(written["counts"])
    assert (region_mask({"size": list(mask.shape), "counts": lengths}, *mask.shape) == mask).all()
    assert all(lengths[1:]), "only the first run, of background, may be empty"


def test_the_example_of_the_format() -> None:
    """Down the columns: two pixels of background, three of the region, one of background."""
    mask = decode_runs([2, 3, 1], 2, 3)
    assert mask.tolist() == [[False, True, True], [False, True, False]]


@pytest.mark.parametrize(
    "region",
    [
        "text", {"size": [3, 4], "counts": "00"}, {"size": [4, 3], "counts": [1, 2]}, {"size": [4, 3], "counts": None},
        {"size": [4, 3], "counts": "\x80"}, {"size": [4, 3], "counts": [13, -1]}, {"size": [4, 3], "counts": "o"},
        [[0, 0, 1, 1]], [[0, 0, 1, 1, 2]], [[0, 0, 1, 1, float("nan"), 0]], [["a", "b"] * 3],
        [[0, 0, 1e300, 0, 0, 1e300] * 99],
    ],
)  # fmt: skip
def test_damaged_regions_are_refused_in_a_line(region: object) -> None:
    with pytest.raises(DataError) as caught:
        region_mask(region, 4, 3)
    assert "\n" not in str(caught.value)


def test_a_rectangle_on_whole_pixels_is_exact() -> None:
    mask = polygon_mask([2, 1, 7, 1, 7, 4, 2, 4], 6, 9)
    assert (np.argwhere(mask).min(0) == (1, 2)).all()
    assert mask.sum() == 3 * 5
    assert mask[1:4, 2:7].all()


def test_the_area_of_a_large_polygon_is_that_of_geometry() -> None:
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    corners = np.stack([150 + 100 * np.cos(angle), 120 + 80 * np.sin(angle)], 1)
    x, y = corners.T
    area = abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
    assert polygon_mask(corners.ravel(), 240, 300).sum() == pytest.approx(area, rel=0.01)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@settings(max_examples=100, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    corners=st.lists(st.tuples(st.floats(-10, 50), st.floats(-10, 50)), min_size=3, max_size=9),
    whole=st.booleans(),
    mask=masks,
)
def test_equal_to_coco(size: tuple[int, int], corners: list, whole: bool, mask: np.ndarray) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    flat = [float(round(v)) if whole else v for corner in corners for v in corner]
    theirs = coco.decode(coco.frPyObjects([flat], *size))[..., 0].astype(bool)
    assert (polygon_mask(flat, *size) == theirs).all()
    assert encode_runs(mask)["counts"] == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
