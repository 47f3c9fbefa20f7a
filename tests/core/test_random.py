"""Stateless random numbers against big integers, and their statistics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.core.random import bits, permutation, scalar, uniform

WORD = 2**64


def mixed(z: int) -> int:
    """SplitMix64's finaliser, as its authors print it."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def expected(*keys: int) -> int:
    state = 0x9E3779B97F4A7C15
    for key in keys:
        state = mixed((state * 0xD1342543DE82EF95 + key + 0x9E3779B97F4A7C15) % WORD)
    return state


def test_the_finaliser_gives_the_published_first_outputs() -> None:
    """SplitMix64 seeded with 1234567, from the reference C program."""
    outputs = [mixed((1234567 + i * 0x9E3779B97F4A7C15) % WORD) for i in (1, 2)]
    assert outputs == [6457827717110365317, 3203168211198807973]


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(), max_size=5))
def test_bits_are_those_of_big_integers(keys: list[int]) -> None:
    assert int(bits(*keys)) == expected(*keys)
    assert scalar(*keys) == expected(*keys) // 2
    assert float(uniform(*keys)) == (expected(*keys) >> 11) / 2**53


@given(st.integers(0, 2**40), st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20))
def test_arrays_broadcast(seed: int, samples: list[int]) -> None:
    table = bits(seed, np.arange(3)[:, None], np.array(samples))
    assert table.tolist() == [[expected(seed, epoch, sample) for sample in samples] for epoch in range(3)]


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint64, np.int64])
def test_the_type_of_a_key_changes_nothing(dtype: type) -> None:
    assert bits(1, np.arange(9, dtype=dtype)).tolist() == [expected(1, i) for i in range(9)]


def test_uniform_numbers_are_uniform() -> None:
    values = uniform(3, np.arange(200_000))
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.bincount((values * 100).astype(int), minlength=100)
    assert ((counts - 2000) ** 2 / 2000).sum() < 170  # chi-squared of 99 degrees: p < 1e-5


@pytest.mark.parametrize("place", [0, 1, 2])
def test_seed_epoch_and_sample_are_independent(place: int) -> None:
    """Numbers whose keys differ by one in one place are uncorrelated, also in each single bit."""
    keys = [7, 5, np.arange(50_000)]
    one, other = bits(*keys), bits(*(key + (i == place) for i, key in enumerate(keys)))  # type: ignore[arg-type]
    flipped = np.unpackbits((one ^ other).view(np.uint8)).reshape(-1, 64).mean(0)
    assert np.abs(flipped - 0.5).max() < 0.012
    assert abs(np.corrcoef(uniform(*keys), other.astype(float))[0, 1]) < 0.02  # type: ignore[arg-type]


def test_the_order_of_keys_matters() -> None:
    assert scalar(1, 2) != scalar(2, 1)
    assert len({scalar(), scalar(0), scalar(0, 0), scalar(0, 0, 0)}) == 4


@given(st.integers(0, 300), st.integers(-(2**63), 2**63 - 1), st.integers(0, 1000))
def test_a_permutation_is_one(n: int, seed: int, epoch: int) -> None:
    order = permutation(n, seed, epoch)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))
    assert order.tolist() == sorted(range(n), key=lambda i: expected(seed, epoch, i))


def test_every_place_is_equally_likely() -> None:
    places = np.array([permutation(10, 0, epoch) for epoch in range(3000)])
    counts = np.array([np.bincount(column, minlength=10) for column in places.T])
    assert np.abs(counts - 300).max() < 85  # five standard deviations


def test_scalar_is_a_seed() -> None:
    assert all(0 <= scalar(i, -i) < 2**63 for i in range(200))
