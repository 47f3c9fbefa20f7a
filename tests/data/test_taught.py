"""The record of the images that taught a model: exact, small, and refused when it is damaged."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hubel.core.errors import ModelFileError
from hubel.data import taught as module
from hubel.data.taught import Taught


def digests(*numbers: int) -> NDArray[np.void]:
    return np.array([number.to_bytes(16, "little") for number in numbers], "V16")


@given(st.lists(st.integers(0, 2**64 - 1)), st.lists(st.integers(0, 2**64 - 1)))
def test_it_knows_those_that_taught_and_no_others(some: list[int], others: list[int]) -> None:
    made = Taught.of(digests(*some))
    again = Taught.read({"taught": json.loads(json.dumps(made.to_json()))})
    assert again.images == len(set(some))
    assert again.among(digests(*some, *others)).tolist() == [True] * len(some) + [one in some for one in others]
    both = made | Taught.of(digests(*others))
    assert (both.images, both.among(digests(*some, *others)).all()) == (len({*some, *others}), True)


def test_eight_bytes_an_image_and_a_mebibyte_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    made = Taught.of(digests(*rng.integers(0, 2**62, 1000).tolist()))
    assert len(made.to_json()["keys"]) == pytest.approx(1000 * 8 * 4 / 3, abs=4)
    assert module._MOST_KEYS * 8 == 2**20
    monkeypatch.setattr(module, "_MOST_KEYS", 100)
    some = Taught.of(digests(*range(1000)))
    assert (len(some.keys), some.images) == (100, 1000)
    more = some | Taught.of(digests(*range(990, 1020)))
    assert (len(more.keys), more.images) == (100, 1000)


def test_a_file_without_a_record_knows_no_image() -> None:
    nothing = Taught.read({})
    assert (nothing.images, nothing.among(digests(0, 1)).tolist()) == (0, [False, False])
    assert nothing.among(digests()).tolist() == []


@pytest.mark.parametrize(
    "entry", [None, 3, [], {}, {"images": 1}, {"images": "x", "keys": ""}, {"images": 1, "keys": "AAA="},
              {"images": 1, "keys": "!!!!"}, {"images": 1, "keys": 7}, {"images": float("inf"), "keys": ""}],
)  # fmt: skip
def test_a_damaged_record_is_refused(entry: Any) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        Taught.read({"taught": entry})
