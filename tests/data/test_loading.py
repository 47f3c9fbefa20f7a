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
from hubel.data.augment import POLICIES, Policy, augment_batch, draw_augmentations, mix_batch, transform_image
from hubel.data.decode_cache import CacheMode
from hubel.data.decoded import DecodedImages
from hubel.data.index import scan
from hubel.data.loading import Images, with_principal_axes
from hubel.data.preprocess import Preprocess
from hubel.data.samples import Batch, steps_per_epoch
from hubel.data.sources import ArraySource
from hubel.data.sources.folder import FolderSource

PREPROCESS = Preprocess(8, 6)
PIXELS = np.random.default_rng(0).integers(0, 256, (53, 9, 12, 3)).astype(np.uint8)
ROWS = np.arange(3, 50)
STRONG, NONE = POLICIES["strong"], POLICIES["none"]
WHOLE = Policy(shift=0.125, mirror=True, erase=0.35)  # pixels


def loaded(*, threads: int | None = 0, resident: bool = True) -> Images:
    source = ArraySource(PIXELS, [*"ab"] * 26 + ["a"])
    cache: CacheMode = "ram" if resident else "off"
    return Images(source, scan(source, threads=1), ROWS, PREPROCESS, threads=threads, cache=cache)


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
            assert np.array_equal(pixels, PREPROCESS.apply(PIXELS[ROWS[position]]))


def test_augmentation_is_that_of_the_rows() -> None:
    images = loaded()
    for batch in images.epoch(3, 1, 10, WHOLE):
        plain = images.pixels(batch.positions)
        expected = augment_batch(plain, WHOLE, seed=3, epoch=1, samples=ROWS[batch.positions])
        assert np.array_equal(batch.pixels, expected)
    for batch in images.epoch(3, 1, 10, STRONG):
        for position, pixels in zip(batch.positions.tolist(), batch.pixels, strict=True):
            change = draw_augmentations(STRONG, 3, 1, int(ROWS[position]))[0]
            assert np.array_equal(pixels, transform_image(PIXELS[ROWS[position]], PREPROCESS, change))
    orders = [np.concatenate([b.positions for b in images.epoch(3, epoch, 10, NONE)]).tolist() for epoch in (1, 2)]
    assert orders[0] != orders[1]


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("start", [0, 1, 4, 5])
def test_starting_late_is_skipping(start: int, resident: bool) -> None:
    images = loaded(resident=resident, threads=2)
    positions, pixels = together(images.epoch(0, 2, 10, STRONG))
    assert together(images.epoch(0, 2, 10, STRONG, start=start)) == (positions[start:], pixels[start:])


MIXED = Policy(mirror=True, pca=0.1, noise=0.05, mixup=0.3, cutmix=1.0, repeats=3)


@pytest.mark.parametrize("threads", [0, 1, 2, 4, 8])
@pytest.mark.parametrize("resident", [True, False])
def test_threads_and_memory_change_nothing(threads: int, resident: bool) -> None:
    expected, images = loaded(), loaded(threads=threads, resident=resident)
    for policy in (STRONG, WHOLE, MIXED, POLICIES["trivialaugment"]):
        assert together(images.epoch(1, 1, 9, policy)) == together(expected.epoch(1, 1, 9, policy))
    assert together(images.in_sequence(9)) == together(expected.in_sequence(9))
    assert images.colours() == expected.colours()


@pytest.mark.parametrize("batch_size", [4, 9, 47])
def test_a_sample_is_changed_alike_in_any_batch(batch_size: int) -> None:
    def by_position(size: int) -> dict[int, bytes]:
        batches = loaded(threads=2).epoch(5, 2, size, STRONG)
        return {int(p): x.tobytes() for batch in batches for p, x in zip(batch.positions, batch.pixels, strict=True)}

    assert by_position(batch_size) == by_position(16)


@pytest.mark.parametrize("policy", [STRONG, WHOLE])
def test_repeated_images_stand_together_and_look_different(policy: Policy) -> None:
    images, twice = loaded(), replace(policy, repeats=2)
    once = np.concatenate([batch.pixels for batch in images.epoch(0, 1, 10, policy)])
    seen = list(images.epoch(0, 1, 10, twice))
    positions = np.concatenate([batch.positions for batch in seen])
    assert len(seen) == steps_per_epoch(47, 10)
    assert np.array_equal(positions, np.repeat(permutation(47, 0, 1)[:24], 2)[:47])
    pixels = np.concatenate([batch.pixels for batch in seen])
    assert np.array_equal(pixels[::2], once[:24]), "its first turn is that of an epoch without repeats"
    assert all((a != b).any() for a, b in zip(pixels[::2], pixels[1::2], strict=False))
    assert together(images.epoch(0, 1, 10, twice, start=3))[1] == [batch.pixels.tobytes() for batch in seen[3:]]


def test_mixed_batches_hold_positions_and_share_of_the_others() -> None:
    images, policy = loaded(), Policy(mixup=0.5)
    for number, (plain, mixed) in enumerate(
        zip(images.epoch(2, 3, 10, NONE), images.epoch(2, 3, 10, policy), strict=True)
    ):
        pixels, others, share = mix_batch(plain.pixels, policy, 2, 3, number)
        assert others is not None
        assert mixed.others is not None
        assert np.array_equal(mixed.positions, plain.positions)
        assert np.array_equal(mixed.pixels, pixels)
        assert np.array_equal(mixed.others, plain.positions[others])
        assert mixed.share == share
        part = mixed.part(np.array([3, 1]))
        assert part.others is not None
        assert np.array_equal(part.others, mixed.others[[3, 1]])
        assert part.share == share
        assert plain.others is None
        assert plain.part(np.array([0])).others is None


def test_pictures_are_decoded_only_where_the_change_needs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    images = loaded()
    list(images.in_sequence(10))
    decoded: list[int] = []
    usual = DecodedImages.decoded
    monkeypatch.setattr(DecodedImages, "decoded", lambda self, p, size: decoded.append(p) or usual(self, p, size))
    for policy in (NONE, WHOLE, POLICIES["light"], Policy(pca=0.1, jpeg=50)):
        list(images.epoch(0, 0, 10, policy))
    assert decoded == []
    list(images.epoch(0, 0, 10, POLICIES["standard"]))
    assert sorted(decoded) == list(range(47))
    list(images.epoch(0, 1, 10, POLICIES["standard"]))
    assert len(decoded) == 47, "they are kept"


def test_principal_colours_are_those_of_the_images() -> None:
    images = loaded()
    values = np.cov(images.pixels(np.arange(47)).reshape(-1, 3).T / 255)
    strengths = np.linalg.norm(images.principal_axes(), axis=1)
    assert np.allclose(strengths, np.linalg.eigvalsh(values)[::-1], atol=1e-5)
    policy = POLICIES["standard"]
    assert with_principal_axes(policy, images).axes == images.principal_axes()
    assert replace(with_principal_axes(policy, images), axes=policy.axes) == policy
    own = replace(policy, axes=((0.1, 0.0, 0.0), (0.0, 0.1, 0.0), (0.0, 0.0, 0.1)))
    assert with_principal_axes(own, images) is own
    assert with_principal_axes(STRONG, images).axes == images.principal_axes()
    assert with_principal_axes(WHOLE, images) is WHOLE


def test_resident_chunks_cover_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_CHUNK", 5)
    assert together(loaded(threads=2).in_sequence(47)) == together(loaded(resident=False).in_sequence(47))


def test_in_sequence() -> None:
    images = loaded()
    batches = list(images.in_sequence(20))
    assert [len(batch.positions) for batch in batches] == [20, 20, 7]
    assert np.concatenate([batch.positions for batch in batches]).tolist() == list(range(47))
    assert np.array_equal(batches[2].pixels[-1], PREPROCESS.apply(PIXELS[49]))
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


def test_a_batch_shares_no_memory() -> None:
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
    images = Images(source, index, np.arange(2), PREPROCESS, threads=threads, cache="off")
    (tmp_path / "b" / "1.png").unlink()
    with pytest.raises(DecodeError, match=r"there is no such file"):
        list(images.in_sequence(1))
    with pytest.raises(DecodeError, match=r"there is no such file"):
        list(Images(source, index, np.arange(2), PREPROCESS, threads=threads).in_sequence(1))


def test_what_an_epoch_has_decoded_is_found_by_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh() -> Images:
        source = ArraySource(PIXELS, [*"ab"] * 26 + ["a"])
        return Images(source, scan(source, threads=1), ROWS, PREPROCESS, threads=0, cache="disk")

    first = together(fresh().epoch(3, 1, 10, STRONG))
    monkeypatch.setattr(DecodedImages, "decoded", lambda *_: pytest.fail("all of it is kept"))
    assert together(fresh().epoch(3, 1, 10, STRONG)) == first
