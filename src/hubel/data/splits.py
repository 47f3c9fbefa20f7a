"""Splits: the images for training, validation and testing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, OptionError
from hubel.core.random import bits
from hubel.data.index import Index
from hubel.data.sources.listing import SPLITS, label_parts, natural_key

__all__ = ["Splits", "choose_rows", "split"]

_TRAIN, _VAL, _TEST = (SPLITS.index(name) for name in ("train", "val", "test"))
_ORDER_OF_SAMPLES = 101  # keeps these draws independent of others with the same seed


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Rows of an index for training, validation and testing.

    Attributes:
        train: training rows.
        val: validation rows, which select the best epoch and the temperature.
        test: test rows; the same as `val` where the data has a split `val` but no `test`.
        notes: remarks for the user, a line each.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    @property
    def test_is_val(self) -> bool:
        """Return whether the test images have also selected the best epoch."""
        return np.array_equal(self.val, self.test)


def split(
    index: Index,
    *,
    seed: int = 0,
    val: float = 0.1,
    test: float = 0.2,
    multi_label: bool = False,
    stratify: bool = True,
) -> Splits:
    """Take the data's own splits where there are any, and hold out the missing ones by seed, stratified by class.

    Exact duplicates (same bytes) stay on one side of a split that is made here; between the data's own splits they are
    reported.

    Args:
        index: facts of all images.
        seed: another seed holds out other images.
        val: share of the training images held out for validation, when the data has no `val`.
        test: share of all images held out for testing, when the data has neither `val` nor `test`.
        multi_label: a label may name several classes. The split is then stratified by combination of classes, and
            combinations that occur once form one stratum.
        stratify: labels are classes. Where they are numbers, all images form one stratum.

    Raises:
        DataError: nothing to train on, a class with one image, or too few images to hold any out.
        OptionError: shares out of range.
    """
    if not 0 < val < 1 or not 0 <= test < 1:
        raise OptionError(f"val ({val}) and test ({test}) are shares of the images, between 0 and 1")
    rows = index.usable()
    if not multi_label and stratify:
        _check_counts(index, rows)
    labels = index.label if stratify else np.zeros_like(index.label)
    own = index.split[rows]
    notes = []
    if not own.any():
        test_rows, rest = _hold_out(index, labels, rows, test, seed, pool=multi_label)
    else:
        test_rows, rest = rows[own == _TEST], rows[own == _TRAIN]
        if n := int((own == 0).sum()):
            notes.append(f"{n} {'image is' if n == 1 else 'images are'} in no split and not used")
        if not len(rest):
            raise DataError("there is no training image: the split train is empty")
        notes += _shared_between_splits(index, rows)
    val_rows = rows[own == _VAL]
    train_rows = rest
    if not len(val_rows):
        val_rows, train_rows = _hold_out(index, labels, rest, val, seed + 1, pool=multi_label)
    if not len(test_rows):
        test_rows = val_rows
    if not len(val_rows):
        notes.append("too few images to hold some out for validation; the test images are used for it, too")
        val_rows = test_rows
    if not len(val_rows):
        raise DataError("there are too few different images to hold any out; each class needs at least two")
    if stratify:
        notes += _untrained(index, train_rows, np.union1d(val_rows, test_rows), multi_label=multi_label)
    return Splits(train=train_rows, val=val_rows, test=test_rows, notes=tuple(notes))


def choose_rows(index: Index, trained: Mapping[str, Any], wanted: str) -> tuple[NDArray[np.int64], str]:
    """Return the rows of one split, and its name in a report.

    Args:
        index: facts of all images.
        trained: provenance of a model; if it was trained on exactly this data, the splits are those of its training.
        wanted: "train", "val", "test", "all", or "auto": the images that the training held out, otherwise the data's
            own test or val split, otherwise all images.

    Raises:
        DataError: the data has no such split.
    """
    usable = index.usable()
    own = index.split[usable]
    words = {"train": "training", "val": "validation", "test": "test", "all": "labelled"}
    if wanted == "all":
        return usable, words["all"]
    if trained.get("fingerprint") == index.fingerprint():
        val, test = trained["shares"]
        held = split(
            index,
            seed=trained["seed"],
            val=val,
            test=test,
            multi_label=trained["multi_label"],
            stratify=trained.get("stratify", True),
        )
        if wanted == "auto":
            wanted = "val" if held.test_is_val else "test"
        return getattr(held, wanted), words[wanted]
    if wanted == "auto":
        present = [name for name in ("test", "val") if (own == SPLITS.index(name)).any()]
        if not present:
            return usable, words["all"]
        wanted = present[0]
    rows = usable[own == SPLITS.index(wanted)]
    if not len(rows):
        raise DataError(f"{index.name} has no split {wanted}; use --split all to measure on every image")
    return rows, words[wanted]


def _check_counts(index: Index, rows: NDArray[np.int64]) -> None:
    counts = np.bincount(index.label[rows], minlength=len(index.labels))
    alone = [index.labels[code] for code in np.flatnonzero(counts == 1)]
    if alone:
        more = f" (and {len(alone) - 1} more such)" if len(alone) > 1 else ""
        raise DataError(
            f"class {alone[0]!r} has one readable image{more}; each needs at least two: one to train on, one to test on"
        )


def _hold_out(
    index: Index, labels: NDArray[np.int32], rows: NDArray[np.int64], share: float, seed: int, *, pool: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows held out and the rows that remain, both sorted.

    Of every label, a share of its groups of equal files is held out. At least one group of a label remains, and at
    least one of two or more is held out unless the share is zero. With `pool`, labels with a single group count as one
    label.
    """
    _, group = np.unique(index.digest[rows], return_inverse=True)
    first = np.unique(group, return_index=True)[1]  # a group counts for the label of its first image
    label = labels[rows[first]]
    if pool:
        label = np.where(np.bincount(label)[label] == 1, -1, label)
    _, stratum, members = np.unique(label, return_inverse=True, return_counts=True)
    wanted = np.minimum(members - 1, np.maximum(np.rint(share * members).astype(np.int64), int(share > 0)))
    drawn = np.lexsort((bits(seed, _ORDER_OF_SAMPLES, first), stratum))
    rank = np.arange(len(first)) - np.repeat(np.cumsum(members) - members, members)
    held = np.zeros(len(first), bool)
    held[drawn] = rank < wanted[stratum[drawn]]
    return rows[held[group]], rows[~held[group]]


def _shared_between_splits(index: Index, rows: NDArray[np.int64]) -> list[str]:
    """Return notes on equal files in several of the data's own splits."""
    _, group = np.unique(index.digest[rows], return_inverse=True)
    found = []
    for one, other in ((_TRAIN, _VAL), (_TRAIN, _TEST), (_VAL, _TEST)):
        left, right = (rows[index.split[rows] == code] for code in (one, other))
        shared = np.isin(group[index.split[rows] == other], group[index.split[rows] == one])
        if len(left) and shared.any():
            example = index.paths[int(right[shared][0])]
            n = int(shared.sum())
            images = "image is" if n == 1 else "images are"
            found.append(
                f"{n} {images} in {SPLITS[one]} and again in {SPLITS[other]}, byte for byte, such as {example}"
            )
    return found


def _untrained(
    index: Index, train_rows: NDArray[np.int64], others: NDArray[np.int64], *, multi_label: bool
) -> list[str]:
    tested, trained = (
        {
            part
            for code in np.unique(index.label[rows])
            for part in label_parts(index.labels[code], multi_label=multi_label)
        }
        for rows in (others, train_rows)
    )
    absent = sorted(tested - trained, key=natural_key)
    if not absent:
        return []
    names = ", ".join(absent[:5])
    return [f"never seen in training, so never predicted: {names}{', ...' if len(absent) > 5 else ''}"]
