"""Splits: the images for training, validation and testing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, OptionError
from hubel.core.language import plural, sentence, split_name
from hubel.core.notes import Caution
from hubel.core.progress import counted
from hubel.core.random import bits, permutation
from hubel.data.index import Index
from hubel.data.sources.listing import SPLITS, label_parts, natural_key
from hubel.data.taught import Taught

__all__ = ["EvaluationRows", "Splits", "choose_rows", "hold_out", "split"]

_TRAIN, _VAL, _TEST = (SPLITS.index(name) for name in ("train", "val", "test"))
_ORDER_OF_SAMPLES, _ORDER_OF_SUBSET = 101, 102  # keep these draws independent of others with the same seed


@dataclass(frozen=True, eq=False, kw_only=True)
class Splits:
    """Rows of an index for training, validation and testing; no row is in two of them.

    Attributes:
        train: rows that teach.
        val: rows that select the best epoch and the temperature, and never teach; empty where none can be spared.
        test: rows that only measure; empty where there are none: then `val` measures.
        notes: remarks for the user, a line each.

    Raises:
        OptionError: a row is in two of them, or none is left to measure.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        rows = np.concatenate([self.train, self.val, self.test])
        if len(np.unique(rows)) < len(rows):
            raise OptionError("an image either trains, validates or tests; one is in two splits")
        if not len(self.measured):
            raise OptionError("there is neither a validation nor a test image, so nothing can be measured")

    @property
    def measured(self) -> NDArray[np.int64]:
        """Return the rows that measure the result."""
        return self.test if len(self.test) else self.val

    @property
    def measured_name(self) -> str:
        """Return what reports call these images: "test" only where they select nothing, otherwise "validation"."""
        return "test" if len(self.test) else "validation"

    def with_fewer_to_train(self, images: int, labels: NDArray[np.int32], *, seed: int) -> Splits:
        """Return splits of which so many training images teach, those of each label in its proportion.

        Args:
            images: the number of them; all where there are no more.
            labels: per row of the index, the number of its label.
            seed: another seed draws other images. Of two numbers of images, the smaller draws some of the larger's.
        """
        rows = self.train
        if images >= len(rows):
            return self
        order = permutation(len(rows), seed, _ORDER_OF_SUBSET)
        drawn = labels[rows[order]]
        place = np.empty(len(rows))
        for label in np.unique(drawn):
            # The i-th of a label's n images stands at i / n: one of each label comes first, then all in proportion.
            at = np.flatnonzero(drawn == label)
            place[at] = np.arange(len(at)) / len(at)
        chosen = rows[order[np.argsort(place, kind="stable")[:images]]]
        note = sentence("note.some_train", n=images, images=plural("note.training_images", len(rows)))
        return replace(self, train=np.sort(chosen), notes=(*self.notes, note))

    def with_val_in_train(self) -> Splits:
        """Return splits in which the validation images teach, too, so that nothing is selected."""
        return replace(self, train=np.union1d(self.train, self.val), val=self.val[:0])


@dataclass(frozen=True, eq=False, kw_only=True)
class EvaluationRows:
    """Rows to measure a model on.

    Attributes:
        rows: of an index.
        name: what reports call these images: "training", "validation", "test" or "labelled".
        notes: remarks for the user, a line each: how many of the images taught the model.
    """

    rows: NDArray[np.int64]
    name: str
    notes: tuple[str, ...] = ()


def split(
    index: Index,
    *,
    seed: int = 0,
    val: float = 0.1,
    test: float = 0.2,
    multi_label: bool = False,
    stratify: bool = True,
    taught: Taught | None = None,
) -> Splits:
    """Take the data's own splits where there are any, and hold out the missing ones by seed, stratified by class.

    No image measures whose bytes teach: exact duplicates stay on one side of a split that is made here, and those that
    the data's own splits share are left out of `val` and `test`.

    Args:
        index: facts of all images.
        seed: another seed holds out other images.
        val: share of the training images held out for validation, when the data has no `val`; 0 for none.
        test: share of all images held out for testing, when the data has neither `val` nor `test`.
        multi_label: a label may name several classes. The split is then stratified by combination of classes, and
            combinations that occur once form one stratum.
        stratify: labels are classes. Where they are numbers, all images form one stratum.
        taught: images that have taught the initial weights already: they neither validate nor test.

    Raises:
        DataError: nothing to train on, or nothing that could measure the result.
        OptionError: shares out of range.
    """
    if not 0 <= val < 1 or not 0 <= test < 1:
        raise OptionError(f"val ({val}) and test ({test}) are shares of the images, at least 0 and below 1")
    rows = index.usable()
    labels = index.label if stratify else np.zeros_like(index.label)
    own, notes = index.split[rows], list[str]()
    parts = {code: rows[own == code] for code in (_TRAIN, _VAL, _TEST)}
    if own.any():
        if n := int((own == 0).sum()):
            notes.append(Caution(plural("note.no_split", n)))
        if not len(parts[_TRAIN]):
            raise DataError("there is no training image: the split train is empty")
        _, group = np.unique(index.digest, return_inverse=True)
        for code, other in ((_VAL, _TRAIN), (_TEST, _TRAIN), (_TEST, _VAL)):
            copied = np.isin(group, group[parts[other]])
            notes += _leave_out(index, parts, code, copied, sentence("note.in_other", other=SPLITS[other]))
    else:
        parts[_TEST], parts[_TRAIN] = _hold_out(index, labels, rows, test, seed, pool=multi_label)
    if not len(parts[_VAL]):
        parts[_VAL], parts[_TRAIN] = _hold_out(index, labels, parts[_TRAIN], val, seed + 1, pool=multi_label)
    if not len(parts[_VAL]) and not len(parts[_TEST]):
        raise DataError(
            "there are too few different images to hold any out; at least one class needs two"
            if val or test
            else "no image is held out, neither to validate nor to test, so nothing would measure the result"
        )
    if taught is not None:
        for code in (_VAL, _TEST):
            known = taught.among(index.digest)
            notes += _leave_out(index, parts, code, known, sentence("note.taught_weights"))
        if not len(parts[_VAL]) and not len(parts[_TEST]):
            raise DataError("every image that could measure the result has taught the initial weights already")
    if not len(parts[_TEST]):
        notes.append(Caution(sentence("note.no_test")))
    elif not len(parts[_VAL]):
        notes.append(sentence("note.no_validation"))
    splits = Splits(train=parts[_TRAIN], val=parts[_VAL], test=parts[_TEST])
    if stratify:
        notes += _one_sided(index, splits, multi_label=multi_label)
    return replace(splits, notes=tuple(notes))


def hold_out(
    index: Index,
    rows: NDArray[np.int64],
    share: float,
    seed: int,
    *,
    multi_label: bool = False,
    stratify: bool = True,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a share of some rows, drawn by seed and by class as in `split`, and the rows that remain, both sorted."""
    labels = index.label if stratify else np.zeros_like(index.label)
    return _hold_out(index, labels, rows, share, seed, pool=multi_label)


def choose_rows(index: Index, trained: Mapping[str, Any], wanted: str) -> EvaluationRows:
    """Return the rows to measure a model on: those of one split, without the images that taught it.

    Args:
        index: facts of all images.
        trained: provenance of a model; if it was trained on exactly this data, the splits are those of its training.
        wanted: "train", "val", "test", or "auto": the images that the training held out, otherwise the data's own test
            or val split, otherwise all labelled images; or "all": every labelled image, those that taught included.

    Raises:
        DataError: no image is labelled, the data has no such split, or all of its images taught the model.
    """
    if not len(index.usable()):
        raise DataError(f"{index.name}: none of {counted(len(index), 'image')} is readable and labelled")
    taught = Taught.read(trained)
    rows, name = _rows_of_split(index, trained, wanted, taught)
    known = taught.among(index.digest[rows])
    n = int(known.sum())
    if not n or name == "training":
        of_training = wanted != "all" and trained.get("fingerprint") == index.fingerprint()
        unknown = "fingerprint" in trained and "taught" not in trained and not of_training
        return EvaluationRows(rows=rows, name=name, notes=(_UNKNOWN,) if unknown else ())
    found = plural("note.taught", n, split=split_name(name), images=len(rows))
    if len(taught.keys) < taught.images:
        found = sentence("note.at_least", found=found)
    if wanted == "all" and n == len(rows):
        return EvaluationRows(rows=rows, name=_NAMES["train"], notes=(Caution(found),))
    if wanted == "all":
        too_good = Caution(sentence("note.too_good", found=found))
        return EvaluationRows(rows=rows, name=name, notes=(too_good,))
    if n == len(rows):
        raise DataError(f"{index.name}: {found}, which tells nothing of new ones; --split all measures them anyway")
    return EvaluationRows(rows=rows[~known], name=name, notes=(sentence("note.taught_out", found=found),))


_UNKNOWN = Caution(sentence("note.not_recorded"))
_NAMES = {"train": "training", "val": "validation", "test": "test", "all": "labelled"}


def _rows_of_split(
    index: Index, trained: Mapping[str, Any], wanted: str, taught: Taught
) -> tuple[NDArray[np.int64], str]:
    """Return the rows of a split as in `choose_rows`, and their name, whether they taught or not."""
    usable = index.usable()
    own = index.split[usable]
    if wanted == "all":
        return usable, _NAMES["all"]
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
        if trained.get("images"):
            held = held.with_fewer_to_train(trained["images"], index.label, seed=trained["seed"])
        if trained.get("val_taught"):
            held = held.with_val_in_train()
        if wanted == "auto":
            return held.measured, held.measured_name
        rows = getattr(held, wanted)
    else:
        if wanted == "auto":
            present = [name for name in ("test", "val") if (own == SPLITS.index(name)).any()]
            if not present:
                return usable, _NAMES["all"]
            wanted = present[0]
        rows = usable[own == SPLITS.index(wanted)]
        if wanted == "train" and not len(rows):
            rows = usable[taught.among(index.digest[usable])]
    if not len(rows):
        raise DataError(f"{index.name} has no split {wanted}; use --split all to measure on every image")
    return rows, _NAMES[wanted]


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


def _leave_out(
    index: Index, parts: dict[int, NDArray[np.int64]], code: int, known: NDArray[np.bool_], where: str
) -> list[str]:
    """Take the rows that are `known`, bool `(len(index),)`, out of a part; return a note, if there are any."""
    rows = parts[code]
    out = rows[known[rows]]
    if not len(out):
        return []
    parts[code] = rows[~known[rows]]
    path = index.paths[int(out[0])]
    return [Caution(plural("note.twice", len(out), split=SPLITS[code], where=where, path=path))]


def _one_sided(index: Index, splits: Splits, *, multi_label: bool) -> list[str]:
    """Return notes on classes that are measured but not trained, or trained but not measured."""

    def classes(rows: NDArray[np.int64]) -> set[str]:
        codes = np.unique(index.label[rows])
        return {part for code in codes for part in label_parts(index.labels[code], multi_label=multi_label)}

    trained, measured = classes(splits.train), classes(splits.measured)
    held_out = measured | classes(splits.val)
    notes: list[str] = []
    for what, names in (
        ("note.never_seen", held_out - trained),
        ("note.never_measured", trained - measured),
    ):
        if names:
            ordered = sorted(names, key=natural_key)
            some = f"{', '.join(ordered[:5])}{', ...' if len(ordered) > 5 else ''}"
            notes.append(Caution(sentence(what, names=some)))
    return notes
