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
from hubel.data.splits import EvaluationRows, Splits, choose_rows, split
from hubel.data.taught import Taught


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
    columns["digest"] = np.array([number.to_bytes(16, "little") for number in numbers], "V16")
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


NO_TEST = "no image is held out only to test: the validation images, which select the best epoch, measure"
NO_VAL = "no image is held out to validate: the last epoch is kept, and its scores are not calibrated"


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
    assert splits.measured_name == "test"
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
    assume(usable)
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
    assert test
    assert (NO_VAL in splits.notes) == (not val)
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
    assert parts(splits) == [list(range(12)), list(range(12, 20)), []]
    assert (splits.measured.tolist(), splits.measured_name) == (list(range(12, 20)), "validation")
    assert splits.notes == (NO_TEST,)
    train, val, test = parts(split(made(["a", "b"] * 10), test=0))
    assert (len(train), len(val), test) == (18, 2, [])


def test_too_few_images_for_three_parts() -> None:
    splits = split(made(["a", "a", "b", "b"]))
    assert len(splits.train) == len(splits.test) == 2
    assert (len(splits.val), splits.measured_name, splits.notes) == (0, "test", (NO_VAL,))
    with pytest.raises(DataError, match="too few different images"):
        split(made(["a", "a", "b", "b"], digests=[1, 1, 2, 2]))


def test_images_in_no_split_are_noted() -> None:
    index = made(["a", "b"] * 6, own=["train"] * 6 + ["val"] * 4 + ["", ""])
    assert split(index).notes == ("2 images are in no split and not used", NO_TEST)
    index = made(["a", "b"] * 6, own=["train"] * 6 + ["val"] * 5 + [""])
    assert split(index).notes == ("1 image is in no split and not used", NO_TEST)


def test_copies_in_own_splits_do_not_measure() -> None:
    own = ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    index = made(["a", "b"] * 6, own=own, digests=[0, 1, 2, 2, 0, 1, 5, 6, 0, 5, 7, 8])
    splits = split(index)
    assert parts(splits) == [[0, 1, 2, 3], [6, 7], [10, 11]]
    assert splits.notes == (
        "2 images of val are in train, too, byte for byte, such as 4.png: left out of val",
        "1 image of test is in train, too, byte for byte, such as 8.png: left out of test",
        "1 image of test is in val, too, byte for byte, such as 9.png: left out of test",
    )


def test_a_test_split_that_is_the_training_split_again() -> None:
    index = made(["a", "b"] * 8, own=["train"] * 8 + ["test"] * 8, digests=[*range(8)] * 2)
    splits = split(index, val=0.25)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (6, 2, 0)
    assert splits.measured_name == "validation"
    with pytest.raises(DataError, match="too few different images"):
        split(made(["a", "b"] * 2, own=["train"] * 2 + ["test"] * 2, digests=[0, 1] * 2))


def test_what_taught_the_initial_weights_does_not_measure() -> None:
    index = made(["a", "b"] * 6, own=["train"] * 4 + ["val"] * 4 + ["test"] * 4)
    splits = split(index, taught=Taught.of(index.digest[[0, 4, 8, 9]]))
    assert parts(splits) == [[0, 1, 2, 3], [5, 6, 7], [10, 11]]
    assert "2 images of test are among those that taught the initial weights" in splits.notes[1]
    assert parts(split(index, taught=Taught.of(index.digest[8:]))) == [[0, 1, 2, 3], [4, 5, 6, 7], []]
    with pytest.raises(DataError, match="has taught the initial weights already"):
        split(index, taught=Taught.of(index.digest))


def test_splits_do_not_overlap() -> None:
    rows = np.arange(6)
    with pytest.raises(OptionError, match="one is in two splits"):
        Splits(train=rows[:4], val=rows[4:], test=rows[3:4])
    with pytest.raises(OptionError, match="nothing can be measured"):
        Splits(train=rows, val=rows[:0], test=rows[:0])
    with pytest.raises(OptionError, match="nothing can be measured"):
        Splits(train=rows[:4], val=rows[4:], test=rows[:0]).with_val_in_train()
    taught = Splits(train=rows[:2], val=rows[2:4], test=rows[4:]).with_val_in_train()
    assert parts(taught) == [[0, 1, 2, 3], [], [4, 5]]


def test_classes_that_are_never_trained_are_noted() -> None:
    index = made(["a", "b", "a", "b", "c10", "c9"] * 2, own=["train"] * 4 + ["val"] * 2 + ["train"] * 4 + ["test"] * 2)
    assert split(index).notes == (
        "never seen in training, so never predicted: c9, c10",
        "only in training, so never measured: a, b",
    )
    many = made(["a", "a"] + [str(i) for i in range(7)] * 2, own=["train"] * 2 + ["val"] * 7 + ["test"] * 7)
    assert split(many).notes[0] == "never seen in training, so never predicted: 0, 1, 2, 3, 4, ..."


def test_a_class_of_one_image_trains_and_is_named() -> None:
    for labels, bad in ((["a"] * 8 + ["okapi"], []), (["a"] * 8 + ["okapi", "okapi"], [9])):
        splits = split(made(labels, bad=bad))
        assert [len(part) for part in parts(splits)] == [6, 1, 2]
        assert 8 in splits.train
        assert splits.notes == ("only in training, so never measured: okapi",)
    for place, note in (("train", "only in training, so never measured"), ("test", "never seen in training")):
        own = ["train"] * 4 + ["test"] * 4 + [place]
        assert any(note in line and "okapi" in line for line in split(made(["a", "b"] * 4 + ["okapi"], own=own)).notes)
    with pytest.raises(DataError, match="too few different images"):
        split(made(["a", "b", "c"]))


def test_nothing_to_train_on() -> None:
    with pytest.raises(DataError, match="the split train is empty"):
        split(made(["a", "b"] * 2, own=["test"] * 4))


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.2), (1, 0.2), (0.1, 1), (0.1, -0.1), (float("nan"), 0.1)])
def test_shares_out_of_range(val: float, test: float) -> None:
    with pytest.raises(OptionError, match="are shares of the images"):
        split(made(["a", "a"]), val=val, test=test)


def test_no_image_validates_where_the_share_is_zero() -> None:
    splits = split(made(["a", "b"] * 6), val=0, test=0.25)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (8, 0, 4)
    assert NO_VAL in splits.notes
    with pytest.raises(DataError, match="nothing would measure the result"):
        split(made(["a", "b"] * 6), val=0, test=0)


def test_combinations_of_labels_that_occur_once() -> None:
    index = made([f"{a}|{b}" for a in range(10) for b in range(10, 20)])
    splits = split(index, multi_label=True)
    assert [len(part) for part in parts(splits)] == [72, 8, 20]
    assert not any("never predicted" in note for note in splits.notes)
    alone = made(["a|b", "a", "a", "b", "c"], own=["train"] * 3 + ["val"] * 2)
    assert "never seen in training, so never predicted: c" in split(alone, multi_label=True).notes


# What a model is measured on --------------------------------------------------------------------------------


def chosen(index: Index, known: dict[str, Any], wanted: str = "auto") -> tuple[list[int], str, str]:
    found: EvaluationRows = choose_rows(index, known, wanted)
    return found.rows.tolist(), found.name, " ".join(found.notes)


def record(index: Index, rows: Sequence[int]) -> dict[str, Any]:
    return {"fingerprint": "of other data", "taught": Taught.of(index.digest[list(rows)]).to_json()}


def test_images_that_taught_are_left_out_and_counted() -> None:
    index = made(["a", "b"] * 5, digests=[0, 1, 2, 3, 4, 5, 6, 7, 8, 0])
    known = record(index, [0, 1, 2])
    rows, name, note = chosen(index, known)
    assert (rows, name) == ([3, 4, 5, 6, 7, 8], "labelled"), "the copy of an image taught, too"
    assert note == "4 of 10 labelled images were used in training: left out; --split all measures them, too"
    rows, name, note = chosen(index, known, "all")
    assert (rows, name) == ([*range(10)], "labelled")
    assert note == "4 of 10 labelled images were used in training: the result is too good for new images"
    assert chosen(index, known, "train") == ([0, 1, 2, 9], "training", "")
    assert chosen(index, {})[::2] == ([*range(10)], ""), "older files do not tell"


def test_where_all_images_taught_they_are_refused_or_called_training() -> None:
    index = made(["a", "b"] * 2)
    known = record(index, range(4))
    with pytest.raises(
        DataError, match=r"4 of 4 labelled images were used in training.*--split all measures them anyway"
    ):
        choose_rows(index, known, "auto")
    rows, name, note = chosen(index, known, "all")
    assert (rows, name, note) == ([0, 1, 2, 3], "training", "4 of 4 labelled images were used in training")


def test_the_own_test_split_of_other_data_is_cleaned_too() -> None:
    index = made(["a", "b"] * 4, own=["train"] * 4 + ["test"] * 4)
    assert chosen(index, record(index, [0, 1, 4]))[:2] == ([5, 6, 7], "test")
    assert chosen(index, record(index, [0, 1]), "train") == ([0, 1, 2, 3], "training", "")


def test_a_record_of_many_images_is_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubel.data.taught._MOST_KEYS", 3)
    index = made(["a", "b"] * 5)
    rows, _, note = chosen(index, record(index, range(8)))
    assert len(rows) == 7
    assert note.startswith("at least 3 of 10 labelled images were used in training")


def test_the_splits_of_training_are_found_again() -> None:
    index = made(["a", "b"] * 20)
    known = {"fingerprint": index.fingerprint(), "seed": 1, "shares": [0.1, 0.2], "multi_label": False}
    held = split(index, seed=1)
    assert chosen(index, known)[:2] == (held.test.tolist(), "test")
    assert chosen(index, known, "val")[:2] == (held.val.tolist(), "validation")
    known |= {"val_taught": True, "taught": Taught.of(index.digest[held.with_val_in_train().train]).to_json()}
    assert chosen(index, known, "train")[0] == sorted([*held.train, *held.val])
    with pytest.raises(DataError, match="has no split val"):
        choose_rows(index, known, "val")
    unsplit = split(index, seed=1, test=0)
    known = {"fingerprint": index.fingerprint(), "seed": 1, "shares": [0.1, 0], "multi_label": False}
    assert chosen(index, known)[:2] == (unsplit.val.tolist(), "validation")
    with pytest.raises(DataError, match="has no split test"):
        choose_rows(index, known, "test")


def test_without_a_label_nothing_is_measured() -> None:
    with pytest.raises(DataError, match="none of 3 images is readable and labelled"):
        choose_rows(made([None, None, None]), {}, "auto")


@given(st.integers(1, 70), st.integers(0, 5))
def test_fewer_images_train_in_the_proportions_of_the_classes(images: int, seed: int) -> None:
    labels = np.repeat(np.arange(4, dtype=np.int32), [40, 20, 9, 1])
    rows = np.arange(70)
    all_of_them = Splits(train=rows, val=rows[:0] + 70, test=np.array([70]))
    some = all_of_them.with_fewer_to_train(images, np.append(labels, 0), seed=seed)
    counts = np.bincount(labels[some.train], minlength=4)
    assert counts.sum() == min(images, 70)
    assert (some.test == all_of_them.test).all()
    if images >= 4:
        assert (counts >= 1).all()
        assert (np.abs(counts - images * np.array([40, 20, 9, 1]) / 70) <= 2).all()
    fewer = all_of_them.with_fewer_to_train(max(1, images // 2), np.append(labels, 0), seed=seed)
    assert set(fewer.train) <= set(some.train)
