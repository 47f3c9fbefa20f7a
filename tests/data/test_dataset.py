"""A dataset: rows, splits, labels and images of one source and its index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from picture_files import SAMPLES

from hubel.core.errors import DataError, UnknownNameError
from hubel.data.dataset import Dataset, open_dataset
from hubel.data.preprocess import Preprocess
from hubel.data.sources import ArraySource
from hubel.data.sources.listing import SPLITS
from hubel.data.splits import choose_rows, split

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 4, 5), np.uint8)
LABELS = ["b", "a", "a|b"] * 4
OWN = [1, 1, 2, 3] * 3
PREPROCESS = Preprocess(4, 5, 1, mean=(0.5,), std=(0.25,))


@pytest.fixture
def dataset() -> Dataset:
    return open_dataset(ArraySource(PIXELS, LABELS, OWN, name="twelve"), multi_label=True)


def test_rows_by_split(dataset: Dataset) -> None:
    assert dataset.name == "twelve"
    assert dataset.rows().tolist() == list(range(12))
    for name in ("train", "val", "test"):
        assert dataset.rows(name).tolist() == [i for i, code in enumerate(OWN) if SPLITS[code] == name]
    assert dataset.split_codes().tolist() == OWN
    with pytest.raises(DataError, match="arrays has no split val"):
        open_dataset((PIXELS, LABELS)).rows("val")
    with pytest.raises(UnknownNameError, match="no split is called 'tst'; did you mean test"):
        dataset.rows("tst")


def test_labels_and_targets(dataset: Dataset) -> None:
    assert dataset.classes() == ("a", "b")
    assert dataset.labels() == LABELS
    assert dataset.labels(np.array([2, 0])) == ["a|b", "b"]
    assert dataset.targets(("a", "b"), np.array([2, 0, 1])).tolist() == [[1, 1], [0, 1], [1, 0]]
    single = open_dataset((PIXELS, LABELS))
    assert single.targets(single.classes(), np.array([2, 0])).tolist() == [1, 2]


def test_counts_by_class(dataset: Dataset) -> None:
    counts = dataset.class_counts()
    assert counts.splits == ("train", "val", "test")
    assert counts.of_class == {"a": (4, 2, 2), "b": (4, 2, 2)}
    assert counts.images == (6, 3, 3)
    for name, of in counts.of_class.items():
        expected = [
            sum(name in label.split("|") and SPLITS[code] == split for label, code in zip(LABELS, OWN, strict=True))
            for split in counts.splits
        ]
        assert list(of) == expected
    assert open_dataset((PIXELS, [["a"], []] * 6), multi_label=True).class_counts().of_class == {"": (6,), "a": (6,)}


def test_data_without_any_label_is_accepted_on_demand() -> None:
    with pytest.raises(DataError, match="none of the 12 readable images has a label"):
        open_dataset((PIXELS, [None] * 12))
    described = open_dataset((PIXELS, [None] * 12), needed=False)
    assert (len(described.rows()), len(described.index.readable())) == (0, 12)
    assert described.class_counts().splits == ()


def test_images_know_their_rows(dataset: Dataset) -> None:
    rows = np.array([7, 2, 11])
    images = dataset.images(PREPROCESS, rows, threads=0)
    assert images.pixels(np.arange(3))[..., 0].tolist() == PIXELS[rows].tolist()
    assert images.labels() == [LABELS[row] for row in rows]
    assert images.labels(np.array([2])) == [LABELS[11]]
    assert images.splits.tolist() == [OWN[row] for row in rows]
    assert [images.label_names[code] for code in images.label_codes] == images.labels()
    assert images.path(1) == "twelve[2]"
    assert np.array_equal(images.digests, dataset.digests(rows))
    assert len(set(dataset.digests().tolist())) == 12
    assert images.upright(0, (5, 4)).tolist() == PIXELS[7].tolist()


def test_a_subset_is_the_same_images(dataset: Dataset) -> None:
    images = dataset.images(PREPROCESS, np.array([7, 2, 11]), threads=0)
    some = images.subset(np.array([2, 0]))
    assert some.rows.tolist() == [11, 7]
    assert some.threads == 0
    assert np.array_equal(some.pixels(np.arange(2)), images.pixels(np.array([2, 0])))
    assert np.array_equal(some.digests, images.digests[[2, 0]])


def test_splits_and_evaluation_rows_are_those_of_the_index() -> None:
    dataset = open_dataset((PIXELS, ["a", "b"] * 6))
    held, expected = dataset.split(seed=3, test=0.4), split(dataset.index, seed=3, test=0.4)
    assert (held.train.tolist(), held.test.tolist()) == (expected.train.tolist(), expected.test.tolist())
    known = {"fingerprint": dataset.index.fingerprint(), "seed": 3, "shares": (0.1, 0.4), "multi_label": False}
    assert dataset.is_training_data_of(known)
    assert not dataset.is_training_data_of({})
    found = dataset.evaluation_rows(known)
    assert (found.rows.tolist(), found.name, found.notes) == (expected.test.tolist(), "test", ())
    for wanted in ("train", "all"):
        chosen = choose_rows(dataset.index, known, wanted)
        assert dataset.evaluation_rows(known, wanted).rows.tolist() == chosen.rows.tolist()


def test_files_that_cannot_be_read_are_in_the_notes(tmp_path: Path) -> None:
    for name, kind in (("a", "PNG"), ("b", "JPEG")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(SAMPLES[kind])
    (tmp_path / "a" / "2.png").write_bytes(b"")
    dataset = open_dataset(str(tmp_path))
    assert len(dataset.rows()) == 2
    assert dataset.notes() == ["1 file left out because unreadable:", "  a/2.png: the file is empty"]
    assert dataset.labels() == ["a", "b"]
