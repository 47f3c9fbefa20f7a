"""Images on their way to the network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import encode

from hubel.core.errors import DecodeError
from hubel.core.random import permutation
from hubel.data import loading
from hubel.data.augment import POLICIES, augment
from hubel.data.index import scan
from hubel.data.loading import Batch, Images, steps_per_epoch
from hubel.data.preprocess import Preprocess
from hubel.data.sources import ArraySource
from hubel.data.sources.folder import FolderSource

PREPROCESS = Preprocess(8, 6)
PIXELS = np.random.default_rng(0).integers(0, 256, (53, 9, 12, 3)).astype(np.uint8)
ROWS = np.arange(3, 50)
STRONG, NONE = POLICIES["strong"], POLICIES["none"]


def loaded(*, threads: int | None = 0, resident: bool = True) -> Images:
    source = ArraySource(PIXELS, [*"ab"] * 26 + ["a"])
    kept = 2**30 if resident else 0
    return Images(source, scan(source, threads=1), ROWS, PREPROCESS, threads=threads, resident_bytes=kept)


def together(batches: Iterable[Batch]) -> tuple[list[list[int]], list[bytes]]:
    listed = list(batches)
    return [batch.positions.tolist() for batch in listed], [batch.pixels.tobytes() for batch in listed]


@given(st.integers(1, 10_000), st.integers(1, 600))
def test_steps_per_epoch(n: int, batch_size: int) -> None:
    steps = steps_per_epoch(n, batch_size)
    assert (steps - 1) * batch_size < n <= steps * batch_size


@pytest.mark.parametrize("batch_size", [1, 5, 8, 47, 100])
def test_an_epoch_is_a_permutation_in_nearly_equal_batches(batch_size: int) -> None:
    batches = list(loaded().epoch(3, 1, batch_size, NONE))
    assert len(batches) == steps_per_epoch(47, batch_size)
    order = np.concatenate([batch.positions for batch in batches])
    assert np.array_equal(order, permutation(47, 3, 1))
    sizes = [len(batch.positions) for batch in batches]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size
    for batch in batches:
        for position, pixels in zip(batch.positions, batch.pixels, strict=True):
            assert np.array_equal(pixels, PREPROCESS.resize(PIXELS[ROWS[position]]))


def test_augmentation_is_that_of_the_rows() -> None:
    images = loaded()
    for batch in images.epoch(3, 1, 10, STRONG):
        plain = images.pixels(batch.positions)
        expected = augment(plain, STRONG, seed=3, epoch=1, samples=ROWS[batch.positions])
        assert np.array_equal(batch.pixels, expected)
    orders = [np.concatenate([b.positions for b in images.epoch(3, epoch, 10, NONE)]).tolist() for epoch in (1, 2)]
    assert orders[0] != orders[1]


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("start", [0, 1, 4, 5])
def test_starting_late_is_skipping(start: int, resident: bool) -> None:
    images = loaded(resident=resident, threads=2)
    positions, pixels = together(images.epoch(0, 2, 10, STRONG))
    assert together(images.epoch(0, 2, 10, STRONG, start=start)) == (positions[start:], pixels[start:])


@pytest.mark.parametrize("threads", [0, 2, 4])
@pytest.mark.parametrize("resident", [True, False])
def test_threads_and_memory_change_nothing(threads: int, resident: bool) -> None:
    expected, images = loaded(), loaded(threads=threads, resident=resident)
    assert together(images.epoch(1, 1, 9, STRONG)) == together(expected.epoch(1, 1, 9, STRONG))
    assert together(images.in_sequence(9)) == together(expected.in_sequence(9))
    assert images.colours() == expected.colours()


def test_resident_chunks_cover_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_CHUNK", 5)
    assert together(loaded(threads=2).in_sequence(47)) == together(loaded(resident=False).in_sequence(47))


def test_in_sequence() -> None:
    images = loaded()
    batches = list(images.in_sequence(20))
    assert [len(batch.positions) for batch in batches] == [20, 20, 7]
    assert np.concatenate([batch.positions for batch in batches]).tolist() == list(range(47))
    assert np.array_equal(batches[2].pixels[-1], PREPROCESS.resize(PIXELS[49]))
    assert images.path(0) == "arrays[3]"
    assert len(images) == 47


def test_no_images_make_no_batches() -> None:
    source = ArraySource(PIXELS, ["a"] * 53)
    assert list(Images(source, scan(source), ROWS[:0], PREPROCESS).in_sequence(5)) == []


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_are_those_of_numpy(channels: int) -> None:
    source = ArraySource(PIXELS, ["a"] * 53)
    preprocess = Preprocess(9, 12, channels, mean=(0.5,) * channels, std=(1.0,) * channels)
    images = Images(source, scan(source), ROWS, preprocess, threads=0)
    values = images.pixels(np.arange(47)).reshape(-1, channels) / 255
    mean, std = images.colours()
    assert mean == tuple(values.mean(0).round(4).tolist())
    assert std == tuple(values.std(0).round(4).tolist())


def test_colours_of_one_grey_level_divide_by_one() -> None:
    source = ArraySource(np.full((4, 3, 3), 51, np.uint8), [*"abab"])
    preprocess = Preprocess(3, 3, 1, mean=(0.5,), std=(0.5,))
    assert Images(source, scan(source), np.arange(4), preprocess).colours() == ((0.2,), (1.0,))


def test_another_normalisation_decodes_nothing_again() -> None:
    images = loaded()
    other = images.normalised_by(replace(PREPROCESS, mean=(0.1, 0.2, 0.3)))
    assert other.preprocess.mean == (0.1, 0.2, 0.3)
    assert images.preprocess == PREPROCESS
    assert other._resident is images._resident


def test_a_batch_is_nobodys_memory() -> None:
    images = loaded()
    for batch in images.epoch(0, 0, 10, NONE):
        batch.pixels[:] = 0
    assert images.pixels(np.arange(47)).any()


@pytest.mark.parametrize("threads", [0, 2])
def test_a_file_that_has_gone_is_named(tmp_path: Path, threads: int) -> None:
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(encode(PIXELS[0], "PNG"))
    source = FolderSource(tmp_path)
    index = scan(source)
    images = Images(source, index, np.arange(2), PREPROCESS, threads=threads, resident_bytes=0)
    (tmp_path / "b" / "1.png").unlink()
    with pytest.raises(DecodeError, match=r"there is no such file"):
        list(images.in_sequence(1))
    with pytest.raises(DecodeError, match=r"there is no such file"):
        list(Images(source, index, np.arange(2), PREPROCESS, threads=threads).in_sequence(1))
