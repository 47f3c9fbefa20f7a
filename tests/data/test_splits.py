"""Which images train, which choose, which measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hubel.core.errors import DataError, OptionError
from hubel.data.index import _COLUMNS, OK, UNREADABLE, Index
from hubel.data.sources.listing import SPLITS, ListingBuilder
from hubel.data.splits import Splits, split


def made(
    labels: Sequence[str | None],
    *,
    digests: Sequence[int] | None = None,
    own: Sequence[str] | None = None,
    bad: Sequence[int] = (),
) -> Index:
    """An index of images that do not exist."""
    rows = ListingBuilder()
    for i, label in enumerate(labels):
        rows.add(f"{i}.png", label, SPLITS.index(own[i]) if own else 0)
    listing = rows.build()
    numbers = digests if digests is not None else range(len(labels))
    columns: dict[str, Any] = {name: np.zeros(len(labels), kind) for name, kind in _COLUMNS.items()}
    columns["digest"] = np.array([number.to_bytes(16, "big") for number in numbers], "V16")
    columns["status"] = np.array([UNREADABLE if i in bad else OK for i in range(len(labels))], np.uint8)
    return Index(
        name="f",
        paths=listing.paths,
        label=listing.label,
        split=listing.split,
        stamp=listing.stamp,
        labels=listing.labels,
        skipped={},
        reasons={},
        **columns,
    )


def parts(splits: Splits) -> list[list[int]]:
    return [rows.tolist() for rows in (splits.train, splits.val, splits.test)]


def count(index: Index, rows: Any) -> Counter[str]:
    return Counter(index.labels[code] for code in index.label[rows])


def test_every_class_gives_its_share() -> None:
    index = made(["a"] * 100 + ["b"] * 50 + ["c"] * 10 + ["d"] * 3)
    splits = split(index)
    assert count(index, splits.test) == {"a": 20, "b": 10, "c": 2, "d": 1}
    assert count(index, splits.val) == {"a": 8, "b": 4, "c": 1, "d": 1}
    assert count(index, splits.train) == {"a": 72, "b": 36, "c": 7, "d": 1}
    assert splits.notes == ()
    assert not splits.test_is_val
    assert all(part == sorted(part) for part in parts(splits))
    other = split(index, val=0.5, test=0.5)
    assert count(index, other.test) == {"a": 50, "b": 25, "c": 5, "d": 2}


def test_the_seed_decides() -> None:
    index = made(["a", "b"] * 100)
    assert parts(split(index, seed=4)) == parts(split(index, seed=4))
    several = [tuple(split(index, seed=seed).test.tolist()) for seed in range(20)]
    assert len(set(several)) == 20
    chosen = np.bincount(np.concatenate(several), minlength=200)
    assert chosen.max() <= 13  # of 20, where 4 are expected


@given(st.data())
def test_splits_are_a_partition_that_parts_no_duplicates(data: st.DataObject) -> None:
    n = data.draw(st.integers(4, 60))
    labels = data.draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    digests = data.draw(st.lists(st.integers(0, 40), min_size=n, max_size=n))
    bad = data.draw(st.sets(st.integers(0, n - 1), max_size=3))
    usable = [i for i in range(n) if i not in bad]
    amounts = Counter(labels[i] for i in usable)
    assume(usable)
    assume(min(amounts.values()) > 1)
    index = made(labels, digests=digests, bad=sorted(bad))
    share = data.draw(st.sampled_from([0.1, 0.3, 0.9]))
    try:
        splits = split(index, seed=data.draw(st.integers(0, 2**63 - 1)), val=share, test=share)
    except DataError as error:
        first = {digest: labels[i] for i, digest in reversed(list(enumerate(digests))) if i in usable}
        assert max(Counter(first.values()).values()) == 1, error  # noqa: PT017
        return
    train, val, test = parts(splits)
    assert train
    assert val
    assert test
    if splits.test_is_val:
        assert any("too few images" in note for note in splits.notes)
        test = []
    assert sorted(train + val + test) == usable
    sides = [{digests[i] for i in part} for part in (train, val, test)]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]


def test_own_splits_are_kept() -> None:
    own = ["train"] * 6 + ["val"] * 4 + ["test"] * 2
    index = made(["a", "b"] * 6, own=own)
    for seed in range(3):
        assert parts(split(index, seed=seed)) == [list(range(6)), list(range(6, 10)), [10, 11]]


def test_val_is_carved_out_of_train_where_there_is_none() -> None:
    index = made(["a", "b"] * 30, own=["train"] * 40 + ["test"] * 20)
    splits = split(index)
    assert splits.test.tolist() == list(range(40, 60))
    assert count(index, splits.val) == {"a": 2, "b": 2}
    assert sorted([*splits.train, *splits.val]) == list(range(40))


def test_val_measures_where_there_is_no_test() -> None:
    splits = split(made(["a", "b"] * 10, own=["train"] * 12 + ["val"] * 8))
    assert splits.test_is_val
    assert splits.val.tolist() == splits.test.tolist() == list(range(12, 20))
    assert split(made(["a", "b"] * 10), test=0).test_is_val


def test_too_few_images_for_three_parts() -> None:
    splits = split(made(["a", "a", "b", "b"]))
    assert len(splits.train) == len(splits.val) == 2
    assert splits.test_is_val
    assert splits.notes == ("too few images to hold some out for validation; the test images are used for it, too",)
    with pytest.raises(DataError, match="too few different images"):
        split(made(["a", "a", "b", "b"], digests=[1, 1, 2, 2]))


def test_images_in_no_split_are_noted() -> None:
    index = made(["a", "b"] * 6, own=["train"] * 6 + ["val"] * 4 + ["", ""])
    assert split(index).notes == ("2 images are in no split and not used",)
    index = made(["a", "b"] * 6, own=["train"] * 6 + ["val"] * 5 + [""])
    assert split(index).notes == ("1 image is in no split and not used",)


def test_duplicates_between_own_splits_are_noted() -> None:
    own = ["train"] * 4 + ["val"] * 3 + ["test"] * 2
    index = made(["a", "b"] * 4 + ["a"], own=own, digests=[0, 1, 2, 2, 0, 1, 5, 0, 8])
    splits = split(index)
    assert parts(splits) == [[0, 1, 2, 3], [4, 5, 6], [7, 8]]
    assert splits.notes == (
        "2 images are in train and again in val, byte for byte, such as 4.png",
        "1 image is in train and again in test, byte for byte, such as 7.png",
        "1 image is in val and again in test, byte for byte, such as 7.png",
    )


def test_classes_that_are_never_trained_are_noted() -> None:
    index = made(["a", "b", "a", "b", "c10", "c9"] * 2, own=["train"] * 4 + ["val"] * 2 + ["train"] * 4 + ["test"] * 2)
    assert split(index).notes == ("never seen in training, so never predicted: c9, c10",)
    many = made(["a", "a"] + [str(i) for i in range(7)] * 2, own=["train"] * 2 + ["val"] * 7 + ["test"] * 7)
    assert split(many).notes == ("never seen in training, so never predicted: 0, 1, 2, 3, 4, ...",)


def test_a_class_of_one_image_is_refused() -> None:
    with pytest.raises(DataError, match="class 'b' has one readable image; each needs at least two"):
        split(made(["a", "a", "b"]))
    with pytest.raises(DataError, match=r"class 'b' has one readable image \(and 1 more such\)"):
        split(made(["a", "a", "b", "b", "c"], bad=[3]))


def test_nothing_to_train_on() -> None:
    with pytest.raises(DataError, match="the split train is empty"):
        split(made(["a", "b"] * 2, own=["test"] * 4))


@pytest.mark.parametrize(("val", "test"), [(0, 0.2), (1, 0.2), (0.1, 1), (0.1, -0.1), (float("nan"), 0.1)])
def test_shares_out_of_range(val: float, test: float) -> None:
    with pytest.raises(OptionError, match="are shares of the images"):
        split(made(["a", "a"]), val=val, test=test)


def test_combinations_of_labels_that_occur_once() -> None:
    index = made([f"{a}|{b}" for a in range(10) for b in range(10, 20)])
    splits = split(index, multi_label=True)
    assert [len(part) for part in parts(splits)] == [72, 8, 20]
    assert splits.notes == ()
    alone = made(["a|b", "a", "a", "b", "c"], own=["train"] * 3 + ["val"] * 2)
    assert split(alone, multi_label=True).notes == ("never seen in training, so never predicted: c",)
