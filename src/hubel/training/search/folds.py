"""Folds of the images that a search may see: the test images are not among them.

In each fold other images are set aside and play the part of the test images, so that a trial is the training run that
`hubel train` would make if there were no more images than these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import permutation
from hubel.data.dataset import Dataset
from hubel.data.sources.listing import SPLITS
from hubel.data.splits import hold_out
from hubel.training.plan import Plan

__all__ = ["Folds"]

Rows = NDArray[np.int64]

_NUMBER = 4
_HELD = (400, 2_500)  # images that trials are compared on: as many as teach, within these bounds
_CONFIRMING = 5_000  # images that measure in a fold that confirms, at most: a difference of a point is beyond noise
_LEAST_FIT = 100  # images that a trial learns from
_TELLING = 1 / 3  # of all images that may teach: fewer do not tell what is best for all of them
_TRAIN, _VAL, _TEST = (SPLITS.index(name) for name in ("train", "val", "test"))
_UNSEEN = -1  # label of an image that is no part of a fold


@dataclass(frozen=True, eq=False, kw_only=True)
class Folds:
    """Disjoint sets of images that are set aside in turn; the others teach.

    Attributes:
        dataset: all images.
        rows: of the images that may teach.
        own_val: rows of the data's own validation images, which select the best epoch in each fold, as in the final
            training.
        held: rows that are set aside, for each fold, in a random order. No two folds share an image, nor a copy of one.
        val_share: share of the others that selects the best epoch where the data has no validation images.
        seed: of the division, and of the samples.
    """

    dataset: Dataset
    rows: Rows
    own_val: Rows
    held: tuple[Rows, ...]
    val_share: float
    seed: int
    _confirming: dict[int, list[Rows]] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, plan: Plan) -> Folds:
        """Divide the images of a plan that teach; its test images are left out."""
        index, splits = plan.dataset.index, plan.splits
        own_val = splits.val[index.split[splits.val] == _VAL]
        rows = np.union1d(splits.train, np.setdiff1d(splits.val, own_val))
        rest, held = rows, list[Rows]()
        for number in range(_NUMBER):
            part, rest = (
                hold_out(
                    index,
                    rest,
                    1 / (_NUMBER - number),
                    plan.loop.seed + number,
                    multi_label=plan.task.multi_label,
                    stratify=plan.task.stratify,
                )
                if number < _NUMBER - 1
                else (rest, rest)
            )
            held.append(part[permutation(len(part), plan.loop.seed)])
        return cls(
            dataset=plan.dataset,
            rows=rows,
            own_val=own_val,
            held=tuple(held),
            val_share=plan.recipe.data.val_share,
            seed=plan.loop.seed,
        )

    def __len__(self) -> int:
        return len(self.held)

    @property
    def fit_images(self) -> int:
        """The number of images to train on in the first fold, the validation images included."""
        return len(self.rows) - len(self.held[0])

    def samples(self) -> Iterator[int]:
        """Yield numbers of images to train on in a fold: all, half of them, a quarter, ..."""
        size = self.fit_images
        yield size
        while (size := size // 2) >= _LEAST_FIT:
            yield size

    def telling(self, sample: int) -> int:
        """Return on how many images a trial has to be confirmed that learnt on `sample` ones, at least.

        What leads on few images may be behind on all of them: on 468 images of Fashion-MNIST frozen features of
        photos are 6.8 points better than a small network from scratch, on 9,000 they are 3.5 points worse.
        """
        enough = max(sample, _TELLING * len(self.rows))
        return min((size for size in self.samples() if size >= enough), default=self.fit_images)

    def measured(self, fit: int) -> int:
        """Return on how many images trials are compared in which so many teach: more would tell little more."""
        least, most = _HELD
        return min(min(map(len, self.held)), max(least, min(fit, most)))

    def validated(self, fit: int) -> int:
        """Return how many images select the best epoch of a trial in which so many teach."""
        return len(self.own_val) or round(self.val_share * fit)

    def confirming(self, fit: int) -> list[Rows]:
        """Return the rows that measure in each fold that confirms, the second and later ones, if so many images teach.

        Those are all that neither teach there, nor were compared on in the first fold, nor measure in an earlier one;
        nor are copies of such images. What does not teach measures: that costs no training.
        """
        if fit not in self._confirming:
            digests, gone, found = self.dataset.digests, self.held[0], list[Rows]()
            for number in range(1, len(self)):
                out = np.concatenate([self._taught(number, fit), gone])
                left = np.setdiff1d(self.rows, out)
                left = left[~np.isin(digests(left), digests(out))]
                found.append(left[permutation(len(left), self.seed)][:_CONFIRMING])
                gone = np.concatenate([gone, found[-1]])
            self._confirming[fit] = found
        return self._confirming[fit]

    def _taught(self, number: int, fit: int) -> Rows:
        rows = np.setdiff1d(self.rows, self.held[number])
        return _sample(self.dataset.index.label[rows], rows, fit, self.seed) if fit < self.fit_images else rows

    def data(self, number: int, fit: int | None = None) -> Dataset:
        """Return the dataset of a fold, in which only its images are to be seen.

        Args:
            number: of the fold: trials are compared in the first, the others confirm.
            fit: the most images to train on, drawn at random; all if None.
        """
        index, fit = self.dataset.index, self.fit_images if fit is None else fit
        rows = self._taught(number, fit)
        held = self.confirming(fit)[number - 1] if number else self.held[0][: self.measured(len(rows))]
        split = np.zeros_like(index.split)
        split[rows], split[self.own_val], split[held] = _TRAIN, _VAL, _TEST
        label = np.where(split > 0, index.label, _UNSEEN).astype(index.label.dtype)
        return replace(self.dataset, index=replace(index, split=split, label=label))


def _sample(labels: NDArray[np.int32], rows: Rows, most: int, seed: int) -> Rows:
    """Return rows in a random order in which each label comes early, cut off."""
    order = permutation(len(rows), seed)
    first = np.unique(labels[order], return_index=True)[1]
    if len(first) <= most:
        order = np.concatenate([order[first], np.delete(order, first)])
    return rows[order[:most]]
